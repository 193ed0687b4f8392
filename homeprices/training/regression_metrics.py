"""Error metrics of estimates. Errors are relative to the true price, and every test row counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from homeprices.model.feature_matrix import Prices
from homeprices.model.price_model import Estimates
from homeprices.pricing.accuracy import LEAST_HOMES, Accuracy, Kind, Measured, Segment, kinds_of
from homeprices.pricing.features import key_of
from homeprices.pricing.inputs import COUNTS, INPUT, LOCATION
from homeprices.pricing.predictor import PRICE_DIGITS
from homeprices.words import SHORT_PRICE_UNIT

Inside = npt.NDArray[np.bool_]

DRAWS = 200
"""Bootstrap samples. A bound of a 95 % interval is then the fifth smallest or largest, which is stable enough."""

ALL_INPUTS_PREFIX = "all_"
"""Prefix of metrics of estimates from all inputs; metrics without it are of the form's four fields only."""


@dataclass(frozen=True, eq=False)
class HoldoutScore:
    """A model's estimates of the hold-out, computed once for parity check, metrics, report and plots.

    `rows` are the clean rows and `inputs` their model inputs; `form` and `full` are the estimates from the form's
    fields and from all inputs.
    """

    rows: pd.DataFrame
    inputs: pd.DataFrame
    form: Estimates
    full: Estimates

    @property
    def prices(self) -> Prices:
        """The true prices, lakh rupees."""
        return self.rows["price"].to_numpy(np.float64)


def measure(prices: Prices, estimates: Prices) -> dict[str, float]:
    """Median and mean absolute percentage error and the shares within 10 and 20 % as fractions; MAE, RMSE in lakh."""
    error = estimates - prices
    relative = np.abs(error) / prices
    total = float(np.sum((prices - prices.mean()) ** 2))
    return {
        "median_ape": float(np.median(relative)),
        "mean_ape": float(np.mean(relative)),
        "within_10": float(np.mean(relative <= 0.10)),
        "within_20": float(np.mean(relative <= 0.20)),
        "mae": float(np.mean(np.abs(error))),
        "rmse": float(np.sqrt(np.mean(error**2))),
        "r2": float(1 - np.sum(error**2) / total) if total else 0.0,
        "rmsle": float(np.sqrt(np.mean((np.log1p(estimates) - np.log1p(prices)) ** 2))),
    }


def measure_both(prices: Prices, form: Prices, full: Prices) -> dict[str, float]:
    """`measure` of estimates from the form's fields, and, with the prefix `all_`, of estimates from all inputs."""
    return measure(prices, form) | {ALL_INPUTS_PREFIX + name: value for name, value in measure(prices, full).items()}


def bootstrap(
    prices: Prices,
    estimates: Prices,
    seed: int,
    draws: int = DRAWS,
    measured: Callable[[Prices, Prices], dict[str, float]] = measure,
) -> dict[str, tuple[float, float]]:
    """The 95 % interval of each figure of `measured`: the percentile bootstrap over homes (Efron 1979)."""
    rng = np.random.default_rng(seed)
    drawn = [rng.integers(0, len(prices), len(prices)) for _ in range(draws)]
    found = [measured(prices[homes], estimates[homes]) for homes in drawn]
    return {name: _middle([values[name] for values in found]) for name in found[0]}


def _middle(values: list[float]) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def coverage(prices: Prices, inside: Inside) -> dict[str, float]:
    """The share of homes whose price lies within their interval, of all and of each third by price."""
    return {
        "interval_coverage": float(np.mean(inside)),
        **{f"interval_coverage_{name}": _share(inside, chosen) for name, chosen in terciles(prices).items()},
    }


def terciles(prices: Prices) -> dict[str, Inside]:
    """Which homes belong to the cheap, the middle and the dear third."""
    low, high = np.quantile(prices, [1 / 3, 2 / 3])
    return {"cheap": prices <= low, "middle": (prices > low) & (prices <= high), "dear": prices > high}


def _share(inside: Inside, chosen: Inside) -> float:
    return float(np.mean(inside[chosen])) if chosen.any() else 0.0


def segments(rows: pd.DataFrame, training: pd.DataFrame) -> dict[str, dict[str, Inside]]:
    """Which rows belong to which group, by price, by bedrooms and by listings of the location in `training`.

    `rows` are clean and have prices. A row is in one group of each kind; a group can be empty.
    """
    prices = rows["price"].to_numpy(np.float64)
    by_count = {name: rows[name].to_numpy(np.float64) for name in COUNTS[:1]}
    counts = training[LOCATION].map(key_of).value_counts()
    listings = rows[LOCATION].map(key_of).map(counts).fillna(0).to_numpy(np.int64)
    group = INPUT[LOCATION].drift_name
    low, high = np.quantile(prices, [1 / 3, 2 / 3])
    titles = tuple(
        f"{band} {SHORT_PRICE_UNIT}" for band in (f"up to {low:.0f}", f"{low:.0f} to {high:.0f}", f"above {high:.0f}")
    )
    return {
        "price": dict(zip(titles, terciles(prices).values(), strict=True)),
        "size": {
            title: inside
            for name, counted in by_count.items()
            for title, inside in {
                **{f"{n} {name}": counted == n for n in (1, 2, 3, 4)},
                f"5 {name} and more": counted >= 5,
            }.items()
        },
        "location": {
            f"{group} listed 50 times and more": listings >= 50,
            f"{group} listed 10 to 49 times": (listings >= 10) & (listings < 50),
            f"{group} listed up to 9 times": (listings > 0) & (listings < 10),
            f"{group} never listed": listings == 0,
        },
    }


def measure_slices(
    rows: pd.DataFrame, training: pd.DataFrame, estimates: Prices, inside: Inside
) -> list[dict[str, Any]]:
    """Count, median error, share within 20 % and coverage of each group of `segments`.

    `training` are the rows that the model was fitted on. Empty groups are omitted.
    """
    prices = rows["price"].to_numpy(np.float64)
    error = np.abs(estimates - prices) / prices
    return [
        {
            "by": by,
            "name": name,
            "count": int(chosen.sum()),
            "median_ape": float(np.median(error[chosen])),
            "within_20": float(np.mean(error[chosen] <= 0.20)),
            "covered": float(inside[chosen].mean()),
        }
        for by, named in segments(rows, training).items()
        for name, chosen in named.items()
        if chosen.any()
    ]


def measure_accuracy(score: HoldoutScore, listings: Mapping[str, int]) -> Accuracy:
    """Return the accuracy of estimates from the form's fields by kind of home, and what each grade means.

    `listings` counts the training homes of each location that the model has learned.
    """
    # As they are shown: a home at the limit of two thirds is then of the same kind here and in a service.
    estimates = np.round(score.form.price, PRICE_DIGITS)
    error = np.abs(score.form.price - score.prices) / score.prices
    low, high = np.round(np.quantile(estimates, [1 / 3, 2 / 3]), PRICE_DIGITS).tolist()
    counted = score.rows[COUNTS[0]].tolist() if COUNTS else [None] * len(estimates)
    homes = [
        (listings.get(place, 0), bedrooms, estimate)
        for place, bedrooms, estimate in zip(score.inputs[LOCATION], counted, estimates.tolist(), strict=True)
    ]
    members: dict[Kind, list[int]] = defaultdict(list)
    for number, home in enumerate(homes):
        for kind in kinds_of(*home, (low, high)):
            members[kind].append(number)
    segments = [
        Segment(**kind._asdict(), **_measured(error[numbers]).model_dump())
        for kind, numbers in sorted(members.items(), key=str)
        if len(numbers) >= LEAST_HOMES or kind == Kind()
    ]
    found = Accuracy(bands=(low, high), segments=segments, grades={})
    grades = np.array([found.of(*home).grade for home in homes])
    measured = {str(grade): _measured(error[grades == grade]) for grade in np.unique(grades)}
    return Accuracy.model_validate({**found.model_dump(), "grades": measured})


def _measured(error: npt.NDArray[np.float64]) -> Measured:
    return Measured(homes=len(error), median_ape=float(np.median(error)), within_20=float(np.mean(error <= 0.20)))
