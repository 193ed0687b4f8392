"""The model card of a bundle, `model_card.md`: what a person should know before trusting an estimate.

After Mitchell and others, Model Cards for Model Reporting (2019), https://arxiv.org/abs/1810.03993.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

from homeprices.model.estimators import estimator
from homeprices.pricing.home import AREA_LIMITS_SQUARE_FEET, ROOM_LIMITS
from homeprices.pricing.manifest import Columns, Draft

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
        areas=AREA_LIMITS_SQUARE_FEET,
        rooms=ROOM_LIMITS,
    )
