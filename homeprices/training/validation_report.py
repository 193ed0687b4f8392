"""The validation report: one page with its pictures inside, so that it can be opened from wherever it is kept."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from homeprices.model.estimators import estimator
from homeprices.model.price_model import Estimates, PriceModel
from homeprices.pricing.bundle import Bundle
from homeprices.pricing.inputs import AREA, BEDROOMS, limits_of
from homeprices.pricing.manifest import Columns, Draft
from homeprices.training.plots import draw
from homeprices.training.regression_metrics import ALL_INPUTS_PREFIX, bootstrap, measure_slices
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


# The model card of a bundle, `model_card.md`: what a person should know before trusting an estimate.
#
# After Mitchell and others, Model Cards for Model Reporting (2019), https://arxiv.org/abs/1810.03993.


CARD_FILE = "model_card.md"

_CARD = jinja2.Environment(  # noqa: S701  (Markdown; every value is this project's own)
    undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
).from_string(Path(__file__).with_name("model_card.md.jinja").read_text())

_TITLES = {
    "median_ape": "median error",
    "mean_ape": "mean error",
    "within_10": "within 10 %",
    "within_20": "within 20 %",
    "interval_coverage": "within the interval",
}


def model_card(draft: Draft, columns: Columns, quality: dict[str, Any], slices: list[dict[str, Any]]) -> str:
    """The card, in Markdown. `quality` is `Cleaned.quality()`, `slices` are of the hold-out (`measure_slices`)."""
    refused = {name: count for name, count in quality["refused"].items() if count}
    return _CARD.render(
        title=estimator(draft.estimator).title,
        draft=draft,
        columns=columns,
        quality=quality,
        refused=sum(refused.values()),
        reasons=f" ({', '.join(f'{name} {count}' for name, count in refused.items())})" if refused else "",
        holdout_rows=sum(group["count"] for group in slices if group["by"] == "price"),
        figures=[
            (title, f"{draft.metrics[name]:.1%}", f"{draft.metrics[f'all_{name}']:.1%}")
            for name, title in _TITLES.items()
        ],
        slices=slices,
        areas=limits_of(AREA),
        rooms=limits_of(BEDROOMS),
        learned_areas=columns.ranges[AREA],
    )
