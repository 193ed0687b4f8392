"""The validation report (`validation.html`, one file with its plots inside) and the model card (`model_card.md`).

The card follows Mitchell and others, Model Cards for Model Reporting (2019), https://arxiv.org/abs/1810.03993.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from homeprices import words
from homeprices.model.estimators import estimator
from homeprices.model.price_model import PriceModel
from homeprices.names import SYNTHETIC_SOURCE
from homeprices.pricing.accuracy import GRADES, LEAST_HOMES
from homeprices.pricing.bundle import Bundle
from homeprices.pricing.inputs import AREA, COUNTS, INPUT, INPUTS, LOCATION, NUMBERS, limits_of
from homeprices.pricing.manifest import Columns, DatasetReference, Draft
from homeprices.pricing.market import MOST_LISTINGS_A_PLACE, Market
from homeprices.reporting import html
from homeprices.reporting.charts import in_page
from homeprices.training import ratio_study
from homeprices.training.plots import draw
from homeprices.training.ratio_study import RatioStudy
from homeprices.training.regression_metrics import ALL_INPUTS_PREFIX, HoldoutScore, bootstrap, measure_slices
from homeprices.training.validation import Report, inspect
from homeprices.words import ITEMS, PRICE_UNIT

SEED = 1
"""Seed of the bootstrap, fixed so that the same model has the same report."""

CARD_FILE = "model_card.md"


def write_report(
    bundle: Bundle,
    model: PriceModel,
    training: pd.DataFrame,
    score: HoldoutScore,
    *,
    quality: dict[str, Any],
    onnx_difference: float,
) -> Report:
    """Inspect a draft and write `validation.json`, `validation.html`, `model_card.md` and `plots/` into its folder.

    `quality` is `Cleaned.quality()`.
    """
    folder, metrics = bundle.folder, bundle.manifest.metrics
    prices, estimates = score.prices, score.form
    report = inspect(bundle)
    slices = measure_slices(score.rows, training, estimates.price, estimates.cover(prices))
    full = bootstrap(prices, score.full.price, SEED)
    spans = bootstrap(prices, estimates.price, SEED) | {ALL_INPUTS_PREFIX + name: span for name, span in full.items()}
    studies = {
        inputs: ratio_study.ratio_study(prices, of_inputs.price, SEED)
        for inputs, of_inputs in {"form": estimates, "full": score.full}.items()
    }
    content = report.model_dump(mode="json") | {
        "onnx_relative_difference": onnx_difference,
        "slices": slices,
        "metric_intervals": spans,
        "ratio_study": {inputs: ratio_study.as_json(study) for inputs, study in studies.items()},
    }
    (folder / "validation.json").write_text(json.dumps(content, indent=1))
    figures = draw(folder / "plots", model, score)
    (folder / "validation.html").write_text(
        _page(report, bundle.manifest.dataset, len(score.rows), _table(metrics, spans), slices, studies, figures)
    )
    card = model_card(bundle.manifest, bundle.columns, bundle.market(), quality, slices, studies)
    (folder / CARD_FILE).write_text(card)
    return report


def _page(
    report: Report,
    dataset: DatasetReference,
    holdout_rows: int,
    metrics: Sequence[tuple[str, str, str]],
    slices: Sequence[dict[str, Any]],
    studies: dict[str, list[RatioStudy]],
    figures: dict[str, Figure],
) -> str:
    origin = f" ({dataset.described()})" if dataset.described() else ""
    facts = (
        f"Dataset train_V{dataset.version}{origin}: {dataset.rows:,} rows, {dataset.rows_used:,} of them used. "
        f"Measured on {holdout_rows:,} {ITEMS} that the model has never seen, none excluded. Prices in {PRICE_UNIT}; "
        "in brackets the 95 % interval of a metric, by bootstrap."
    )
    groups = [
        (each["name"], each["count"], f"{each['median_ape']:.1%}", f"{each['within_20']:.1%}", f"{each['covered']:.0%}")
        for each in slices
    ]
    failed = Markup('<span class="bad">failed</span> {}')
    checks = [(check.name, "passed" if check.passed else failed.format(check.detail)) for check in report.checks]
    heading = Markup("<h2>{}</h2>").format
    return html.page(
        f"Validation of {report.estimator}",
        Markup("<p>{}</p>").format(facts),
        heading("Metrics"),
        html.table(metrics, ("metric", "form fields", "all inputs")),
        heading(f"By price, size and {INPUT[LOCATION].drift_name}"),
        html.table(groups, (ITEMS, "count", "median error", "within 20 %", "within the interval")),
        heading("Ratio study"),
        Markup("<p>{}</p>").format(ratio_study.EXPLANATION),
        *(
            Markup("<p>{}: {}</p>{}").format(
                ratio_study.INPUTS[inputs],
                ratio_study.verdict(study),
                html.table(map(ratio_study.as_text, study), ratio_study.head()),
            )
            for inputs, study in studies.items()
        ),
        heading("Checks"),
        html.table(checks),
        heading("Charts"),
        *(Markup(in_page(figure, name.replace("_", " "))) for name, figure in figures.items()),  # noqa: S704  escaped
    )


def _table(metrics: dict[str, float], spans: dict[str, tuple[float, float]]) -> list[tuple[str, str, str]]:
    """(metric, value from the form's fields, value from all inputs) as text, with 95 % intervals."""

    def formatted(name: str) -> str:
        if name not in metrics:
            return ""
        return f"{metrics[name]:.4g}" + (f" ({spans[name][0]:.4g} to {spans[name][1]:.4g})" if name in spans else "")

    names = [name for name in metrics if not name.startswith(ALL_INPUTS_PREFIX)]
    return [(name, formatted(name), formatted(ALL_INPUTS_PREFIX + name)) for name in names]


_ENVIRONMENT = jinja2.Environment(  # noqa: S701  (Markdown; every value is this project's own)
    undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
)
_ENVIRONMENT.filters["figure"] = "{:.12g}".format
_CARD = _ENVIRONMENT.from_string(Path(__file__).with_name("model_card.md.jinja").read_text())

_TITLES = {
    "median_ape": "median error",
    "mean_ape": "mean error",
    "within_10": "within 10 %",
    "within_20": "within 20 %",
    "interval_coverage": "within the interval",
}


def model_card(
    draft: Draft,
    columns: Columns,
    market: Market | None,
    quality: dict[str, Any],
    slices: list[dict[str, Any]],
    studies: dict[str, list[RatioStudy]],
) -> str:
    """The model card in Markdown.

    `quality` is `Cleaned.quality()`; `slices` is `measure_slices` and `studies` the ratio studies of the hold-out.
    """
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
        explanation=ratio_study.EXPLANATION,
        ratio_head=ratio_study.head(),
        studies={
            ratio_study.INPUTS[inputs]: (ratio_study.verdict(study), [ratio_study.as_text(of) for of in study])
            for inputs, study in studies.items()
        },
        required=[field.drift_name for field in INPUTS if field.required],
        optional=[field.drift_name for field in INPUTS if not field.required],
        areas=limits_of(AREA),
        rooms=[limits_of(name) for name in COUNTS[:1]],
        area=INPUT[AREA],
        words=words,
        learned_areas=columns.ranges[AREA],
        market=market,
        most_listings_a_place=MOST_LISTINGS_A_PLACE,
        least_homes=LEAST_HOMES,
        grade_limits=GRADES,
        described=market.accuracy.described if market and market.accuracy else None,
        numbers=[INPUT[name].drift_name for name in NUMBERS],
        synthetic=draft.dataset.source == SYNTHETIC_SOURCE,
    )
