"""The gate before traffic: challenger and champion, compared on the same hold-out homes.

A candidate is rejected if it is clearly worse: the 95 % paired bootstrap interval of the difference in median error is
above 0. A candidate that is better or about equal is published and goes to an A/B test.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from homeprices.data.listing_dates import LISTED_ON
from homeprices.data.preparation import BY_TIME, SALT, TIME_FACTOR, Holdout, priceable, to_priced_homes, unseen_by
from homeprices.errors import InvalidInput, PublicationRefused
from homeprices.model.feature_matrix import Prices
from homeprices.pricing.bundle import Bundle
from homeprices.pricing.home import Home
from homeprices.pricing.inputs import LOCATION
from homeprices.pricing.manifest import DRAFT_FILE
from homeprices.pricing.predictor import Estimate, Predictor
from homeprices.words import ITEM, ITEMS

SAME_RELATIVE = 1e-3
"""Smaller differences are invisible: visitors see lakh rupees with at most two decimals."""

DRAWS = 1_000
CONFIDENCE = 0.95
LEAST_UNSEEN = 50
"""Homes of a hold-out by time that the other model has not learned either, without which nothing is compared."""

SEED = 1
"""Fixed, so that the comparison of two models is reproducible."""


class PairedErrors(BaseModel):
    """Median absolute percentage errors on the same homes, as fractions, and the interval of their difference."""

    model_config = ConfigDict(frozen=True)

    inputs: Literal["form", "all"]
    homes: int
    candidate: float
    production: float
    difference: float
    low: float
    high: float

    @property
    def clearly_worse(self) -> bool:
        """Whether the whole interval of candidate - production lies above 0."""
        return self.low > 0


class Comparison(BaseModel):
    """Candidate against production on the hold-out. `same`: no visitor can distinguish their estimates."""

    model_config = ConfigDict(frozen=True)

    production: str
    same: bool
    form: PairedErrors
    full: PairedErrors

    def rejection_reason(self) -> str | None:
        """Return the reason why the candidate must not be published; None if it may."""
        if self.same:
            return (
                f"its estimates equal those of {self.production} on every hold-out {ITEM}, so nothing would be learned"
            )
        for one, described in ((self.form, "by the form's fields"), (self.full, "by all their inputs")):
            if one.clearly_worse:
                return (
                    f"it is clearly worse than {self.production}: on {one.homes:,} hold-out {ITEMS}, described "
                    f"{described}, its median error is {one.candidate:.1%} against {one.production:.1%}; with "
                    f"{CONFIDENCE:.0%} confidence it is {one.low:.1%} to {one.high:.1%} larger"
                )
        return None


def compare_with_champion(candidate: Path, production: Path, holdout: Holdout) -> Comparison:
    """Compare two bundle folders on clean hold-out rows, from the form's fields and from all inputs.

    A model with place prices prices each home at the level of its place on the day of the listing. Raises BundleRefused
    when one of them cannot be loaded, PublicationRefused when production was trained with another hold-out, because it
    may have learned the prices that it would be scored on.
    """
    one, other = _open(candidate), _open(production)
    rows = _unseen(holdout.rows, other)
    changes = [level_changes(model, Holdout(rows, holdout.base)) for model in (one, other)]
    form, full = (to_priced_homes(rows, form=form) for form in (True, False))
    answers = [
        tuple(_scaled(model.estimate(homes), change) for model, change in zip((one, other), changes, strict=True))
        for homes, _ in (form, full)
    ]
    return Comparison(
        production=other.version,
        same=all(_agree(mine, theirs) for mine, theirs in answers),
        form=_paired("form", form, *answers[0]),
        full=_paired("all", full, *answers[1]),
    )


def has_same_predictions(candidate: Path, other: Path, holdout: Holdout) -> bool:
    """Whether two bundle folders give the same estimates and bounds for all clean rows, from the form and all inputs.

    Raises BundleRefused when one of them cannot be loaded.
    """
    one, two = _open(candidate), _open(other)
    first, second = (level_changes(model, holdout) for model in (one, two))
    described = [to_priced_homes(holdout.rows, form=form)[0] for form in (True, False)]
    return all(_agree(_scaled(one.estimate(homes), first), _scaled(two.estimate(homes), second)) for homes in described)


def _unseen(rows: pd.DataFrame, production: Predictor) -> pd.DataFrame:
    """The hold-out rows that production has not learned either. Raises PublicationRefused."""
    rule = production.bundle.manifest.dataset.holdout or SALT
    if rule == SALT and LISTED_ON not in rows:
        return rows
    try:
        if rule != SALT and not rule.startswith(BY_TIME):
            raise InvalidInput({"holdout": f"is {rule!r}"})
        unseen = rows[unseen_by(rows, rule)]
    except InvalidInput:
        unseen = rows[:0]
    if len(unseen) < LEAST_UNSEEN:
        raise PublicationRefused(
            f"{production.version} was trained with the hold-out {rule!r} and may have learned from rows of this one "
            f"({len(unseen)} of {len(rows):,} are in both, at least {LEAST_UNSEEN} are needed); nothing can be "
            "compared with it. Publish a first model again"
        )
    return unseen


def level_changes(model: Predictor, holdout: Holdout) -> Prices | None:
    """Return the price level of each priceable row at its day as a multiple of the model's; None for no change."""
    if model.base_place_prices is None or holdout.base is None:
        return None
    rows = priceable(holdout.rows)
    since = [holdout.base.change_since(model.base_place_prices, place) for place in rows[LOCATION].tolist()]
    changes: Prices = rows[TIME_FACTOR].fillna(1.0).to_numpy(np.float64) * np.array(since, dtype=np.float64)
    return changes


def _scaled(estimates: list[Estimate], changes: Prices | None) -> list[Estimate]:
    if changes is None:
        return estimates
    return [
        one._replace(price=one.price * change, low=one.low * change, high=one.high * change)
        for one, change in zip(estimates, changes.tolist(), strict=True)
    ]


def _paired(
    inputs: Literal["form", "all"], homes: tuple[list[Home], Prices], mine: list[Estimate], theirs: list[Estimate]
) -> PairedErrors:
    prices = homes[1]
    my_errors, their_errors = (np.abs([one.price for one in estimates] / prices - 1) for estimates in (mine, theirs))
    low, high = bootstrap_difference(my_errors, their_errors)
    candidate, production = float(np.median(my_errors)), float(np.median(their_errors))
    return PairedErrors(
        inputs=inputs,
        homes=len(prices),
        candidate=candidate,
        production=production,
        difference=candidate - production,
        low=low,
        high=high,
    )


def bootstrap_difference(candidate: Prices, production: Prices, draws: int = DRAWS) -> tuple[float, float]:
    """The interval of median(candidate) - median(production) by paired bootstrap over the same homes."""
    rng = np.random.default_rng(SEED)
    differences = np.empty(draws)
    for n in range(draws):
        homes = rng.integers(0, len(candidate), len(candidate))
        differences[n] = np.median(candidate[homes]) - np.median(production[homes])
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(differences, [tail, 1 - tail])
    return float(low), float(high)


def _agree(mine: list[Estimate], theirs: list[Estimate]) -> bool:
    return all(
        math.isclose(one, other, rel_tol=SAME_RELATIVE)
        for a, b in zip(mine, theirs, strict=True)
        for one, other in ((a.price, b.price), (a.low, b.low), (a.high, b.high))
    )


def _open(folder: Path) -> Predictor:
    return Predictor(Bundle.open_draft(folder) if (folder / DRAFT_FILE).exists() else Bundle.open(folder))
