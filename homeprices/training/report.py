"""The validation report: one page with its pictures inside, so that it can be opened from wherever it is kept."""

from __future__ import annotations

import base64
import json
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from homeprices.model.price_model import Estimates, PriceModel
from homeprices.pricing.bundle import Bundle
from homeprices.training.card import CARD_FILE, model_card
from homeprices.training.metrics import ALL_INPUTS_PREFIX, bootstrap, measure_slices
from homeprices.training.plots import draw
from homeprices.training.validation import Report, inspect

SEED = 1
"""Of the bootstrap: the same model has the same report."""

_PAGE = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
    """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Validation of {{ report.estimator }}</title>
<style>
body { font: 16px/1.5 sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 1rem 0 } td, th { border: 1px solid #ccc; padding: .2rem .6rem }
td.number { text-align: right } img { max-width: 100% } .failed { color: #b00020; font-weight: bold }
</style></head><body>
<h1>Validation of {{ report.estimator }}</h1>
<p>Dataset train_V{{ dataset.version }}: {{ dataset.rows }} rows, {{ dataset.rows_used }} of them used.
Measured on {{ holdout_rows }} homes that the model has never seen, none left out.
Prices in lakh rupees; in brackets the 95 % interval of a metric, by bootstrap.</p>
<h2>Metrics</h2>
<table><tr><th>metric</th><th>form fields</th><th>all inputs</th></tr>
{% for name, form, full in metrics %}<tr><td>{{ name }}</td><td class="number">{{ form }}</td>
<td class="number">{{ full }}</td></tr>
{% endfor %}</table>
<h2>By price, size and location</h2>
<table><tr><th>homes</th><th>count</th><th>median error</th><th>within 20 %</th><th>within the interval</th></tr>
{% for slice in slices %}<tr><td>{{ slice.name }}</td><td class="number">{{ slice.count }}</td>
<td class="number">{{ "%.1f %%" | format(100 * slice.median_ape) }}</td>
<td class="number">{{ "%.1f %%" | format(100 * slice.within_20) }}</td>
<td class="number">{{ "%.0f %%" | format(100 * slice.covered) }}</td></tr>
{% endfor %}</table>
<h2>Checks</h2>
<table>{% for check in report.checks %}<tr><td>{{ check.name }}</td>
<td>{% if check.passed %}passed{% else %}<span class="failed">failed</span> {{ check.detail }}{% endif %}</td></tr>
{% endfor %}</table>
<h2>Pictures</h2>
{% for name, picture in pictures %}<p><img alt="{{ name }}" src="data:image/png;base64,{{ picture }}"></p>
{% endfor %}</body></html>
"""
)


def write_report(
    bundle: Bundle,
    model: PriceModel,
    training: pd.DataFrame,
    holdout: pd.DataFrame,
    estimates: Estimates,
    *,
    quality: dict[str, Any],
    onnx_difference: float,
) -> Report:
    """Inspect a draft and write `validation.json`, `validation.html`, `model_card.md` and `plots/` into its folder.

    `estimates` are of the hold-out rows, from the form's fields; `quality` is `Cleaned.quality()`.
    """
    folder, metrics = bundle.folder, bundle.manifest.metrics
    prices = holdout["price"].to_numpy(np.float64)
    report = inspect(bundle)
    slices = measure_slices(holdout, training, estimates.price, estimates.cover(prices))
    full = bootstrap(prices, model.predict(holdout, form=False), SEED)
    spans = bootstrap(prices, estimates.price, SEED) | {ALL_INPUTS_PREFIX + name: span for name, span in full.items()}
    content = report.model_dump(mode="json") | {
        "onnx_relative_difference": onnx_difference,
        "slices": slices,
        "metric_intervals": spans,
    }
    (folder / "validation.json").write_text(json.dumps(content, indent=1))
    pictures = draw(folder / "plots", model, holdout, estimates)
    page = _PAGE.render(
        report=report,
        dataset=bundle.manifest.dataset,
        holdout_rows=len(holdout),
        metrics=_table(metrics, spans),
        slices=slices,
        pictures=[(path.stem.replace("_", " "), base64.b64encode(path.read_bytes()).decode()) for path in pictures],
    )
    (folder / "validation.html").write_text(page)
    (folder / CARD_FILE).write_text(model_card(bundle.manifest, bundle.columns, quality, slices))
    return report


def _table(metrics: dict[str, float], spans: dict[str, tuple[float, float]]) -> list[tuple[str, str, str]]:
    """(metric, from the form's fields, from all inputs) as text, with their 95 % intervals."""

    def said(name: str) -> str:
        if name not in metrics:
            return ""
        return f"{metrics[name]:.4g}" + (f" ({spans[name][0]:.4g} to {spans[name][1]:.4g})" if name in spans else "")

    names = [name for name in metrics if not name.startswith(ALL_INPUTS_PREFIX)]
    return [(name, said(name), said(ALL_INPUTS_PREFIX + name)) for name in names]
