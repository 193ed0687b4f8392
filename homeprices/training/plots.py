"""The plots of a validation report: estimates, errors, intervals and importances on the hold-out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from homeprices.model.feature_matrix import Prices
from homeprices.model.price_model import Estimates, PriceModel
from homeprices.pricing.inputs import INPUT, LOCATION, NUMBERS, TEXTS
from homeprices.reporting.charts import COLOURS, INK, log_scale, new_figure, short_label
from homeprices.training.regression_metrics import HoldoutScore
from homeprices.words import GROUPS_LEARNED, ITEMS, PRICE_UNIT

WIDTH, HEIGHT = 6.0, 3.8  # inches
DOTS_PER_INCH = 80
LOCATIONS_SHOWN = 15
INTERVALS_SHOWN = 80
DOTS: dict[str, Any] = {"s": 9, "alpha": 0.8, "linewidth": 0, "rasterized": True}
SEED = 1


def draw(folder: Path, model: PriceModel, score: HoldoutScore) -> dict[str, Figure]:
    """Draw a model's hold-out estimates from the form's fields: return the figures by their name.

    Each is also written into `folder` as a PNG.
    """
    folder.mkdir(exist_ok=True)
    prices, estimates = score.prices, score.form
    plots: dict[str, Callable[[Axes], None]] = {
        "actual_and_estimated": lambda axes: _actual_and_estimated(axes, prices, estimates.price),
        "relative_errors": lambda axes: _relative_errors(axes, prices, estimates.price),
        "residuals": lambda axes: _residuals(axes, prices, estimates.price),
        "intervals": lambda axes: _intervals(axes, prices, estimates),
        "error_by_location": lambda axes: _error_by_location(axes, score.rows, estimates.price),
        "what_matters": lambda axes: _what_matters(axes, importances(model, score)),
    }
    return {name: _draw(folder / f"{name}.png", plot) for name, plot in plots.items()}


def importances(model: PriceModel, score: HoldoutScore) -> dict[str, float]:
    """Permutation importance: the growth of the median error (a fraction, all inputs) when an input is shuffled."""
    rng = np.random.default_rng(SEED)
    inputs, prices = score.inputs, score.prices

    def median_error(estimates: Prices) -> float:
        return float(np.median(np.abs(estimates / prices - 1)))

    unchanged = median_error(score.full.price)
    shuffled = {name: inputs.assign(**{name: rng.permutation(inputs[name].to_numpy())}) for name in (*NUMBERS, *TEXTS)}
    return {name: median_error(model.predict(changed)) - unchanged for name, changed in shuffled.items()}


def _actual_and_estimated(axes: Axes, prices: Prices, estimates: Prices) -> None:
    axes.scatter(prices, estimates, color=COLOURS[0], **DOTS)
    ends = [min(prices.min(), estimates.min()), max(prices.max(), estimates.max())]
    axes.plot(ends, ends, color=INK, linewidth=1)
    log_scale(axes.xaxis)
    log_scale(axes.yaxis)
    axes.set(xlabel=f"price, {PRICE_UNIT}", ylabel=f"estimate from the form's fields, {PRICE_UNIT}")


def _relative_errors(axes: Axes, prices: Prices, estimates: Prices) -> None:
    axes.hist(100 * np.clip(estimates / prices - 1, -1, 2), bins=60, color=COLOURS[0])
    axes.axvline(0, color=INK, linewidth=1)
    axes.set(
        xlabel="error of the estimate, % of the price (over 200 % counted as 200 %)", ylabel=f"{ITEMS} of the hold-out"
    )


def _residuals(axes: Axes, prices: Prices, estimates: Prices) -> None:
    axes.scatter(estimates, prices / estimates, color=COLOURS[0], **DOTS)
    axes.axhline(1, color=INK, linewidth=1)
    log_scale(axes.xaxis)
    log_scale(axes.yaxis)
    axes.set(xlabel=f"estimate, {PRICE_UNIT}", ylabel="price as a multiple of the estimate")


def _intervals(axes: Axes, prices: Prices, estimates: Estimates) -> None:
    """Intervals and prices of homes at regular distances over the range of estimates."""
    order = np.argsort(estimates.price)
    shown = order[np.linspace(0, len(order) - 1, min(INTERVALS_SHOWN, len(order))).astype(int)]
    position = np.arange(len(shown))
    axes.vlines(position, estimates.low[shown], estimates.high[shown], color=COLOURS[0], alpha=0.7)
    inside = estimates.cover(prices)[shown]
    for chosen, colour, label in ((inside, INK, "within"), (~inside, COLOURS[1], "outside")):
        axes.scatter(position[chosen], prices[shown][chosen], s=8, color=colour, label=f"price, {label}", zorder=2)
    axes.legend(fontsize="small", frameon=False, labelcolor=INK, loc="upper left")
    log_scale(axes.yaxis)
    axes.set(xlabel=f"{ITEMS} in rising order of the estimate", ylabel=PRICE_UNIT, xticks=[])


def _error_by_location(axes: Axes, holdout: pd.DataFrame, estimates: Prices) -> None:
    error = (holdout["price"] / estimates - 1).abs()
    counts = holdout[LOCATION].value_counts().sort_index().sort_values(ascending=False, kind="stable")
    shown = counts.index[:LOCATIONS_SHOWN]
    by_location = error.groupby(holdout[LOCATION]).median().loc[shown].sort_values(kind="stable")
    axes.barh([short_label(str(name)) for name in by_location.index], 100 * by_location.to_numpy(), color=COLOURS[0])
    axes.tick_params(axis="y", labelsize="small")
    axes.set(xlabel=f"median error, %, of the {GROUPS_LEARNED} with most {ITEMS}")


def _what_matters(axes: Axes, importance: dict[str, float]) -> None:
    ordered = sorted(importance.items(), key=lambda item: item[1])
    axes.barh([INPUT[name].drift_name for name, _ in ordered], [100 * value for _, value in ordered], color=COLOURS[0])
    axes.set(xlabel="increase of the median error, percentage points, if its values are shuffled")


def _draw(path: Path, plot: Callable[[Axes], None]) -> Figure:
    figure, axes = new_figure(WIDTH, HEIGHT)
    plot(axes)
    # Without Matplotlib's version in the metadata, the same model gives the same file.
    figure.savefig(path, dpi=DOTS_PER_INCH, metadata={"Software": None})
    return figure
