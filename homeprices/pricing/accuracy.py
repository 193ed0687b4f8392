"""How close estimates of one kind of home came to the listed prices of the hold-out, and the grade that this gives.

`market.json` of a bundle holds the figures. All are of estimates from the form's four fields. What is known before
the price determines the kind: how often the place is listed, the bedrooms, and the third of the estimates that the
estimate lies in. A kind of fewer than `LEAST_HOMES` hold-out homes is widened until it has enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from homeprices.pricing.inputs import COUNTS, INPUT
from homeprices.words import GROUPS, IN, ITEMS, SHORT_PRICE_UNIT

LEAST_HOMES = 50
"""With 50 homes, the standard error of a median error of 16 % is about 3 %."""

MOST_COUNTED = 5
"""Homes with more bedrooms are of one kind."""

Listed = Literal["unknown", "up_to_9", "below_10", "10_to_49", "50_and_more"]
"""`below_10` is the union of the two before it: an unknown place resembles a rarely listed one."""
Band = Literal["cheap", "middle", "dear"]
Grade = Literal["A", "B", "C"]

GRADES: dict[Grade, float] = {"A": 0.15, "B": 0.20}
"""The largest median error of the kinds that get a grade; all others get C."""

Share = Annotated[float, Field(ge=0, le=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Measured(_Frozen):
    """Relative errors of some hold-out homes: the median, and the share of homes with an error of at most 20 %."""

    homes: int = Field(ge=1)
    median_ape: float = Field(ge=0, allow_inf_nan=False)
    within_20: Share


class Kind(NamedTuple):
    """A kind of home; None stands for any. `bedrooms` are at most `MOST_COUNTED`."""

    listed: Listed | None = None
    bedrooms: int | None = None
    band: Band | None = None


class Segment(Measured):
    """A kind of home, with what was measured of it."""

    listed: Listed | None = None
    bedrooms: Annotated[int, Field(ge=1, le=MOST_COUNTED)] | None = None
    band: Band | None = None

    @property
    def kind(self) -> Kind:
        return Kind(self.listed, self.bedrooms, self.band)

    @property
    def grade(self) -> Grade:
        return grade_of(self.median_ape)


class Accuracy(_Frozen):
    """The measured kinds, the widest one among them. `bands` are the limits of the thirds of estimates, lakh rupees.

    `grades` holds what was measured of all hold-out homes that get a grade.
    """

    bands: tuple[float, float]
    segments: list[Segment] = Field(min_length=1)
    grades: dict[Grade, Measured]

    def of(self, listings: int, bedrooms: float | None, estimate: float) -> Segment:
        """Return the narrowest measured kind of a home whose place has so many training homes, 0 if it is unknown."""
        kinds = kinds_of(listings, bedrooms, estimate, self.bands)
        return next(self._by_kind[kind] for kind in kinds if kind in self._by_kind)

    @cached_property
    def _by_kind(self) -> dict[Kind, Segment]:
        return {segment.kind: segment for segment in self.segments}

    def price_range(self, band: Band) -> tuple[float | None, float | None]:
        """Return the limits of a third of the estimates, lakh rupees; None where there is none."""
        low, high = self.bands
        return {"cheap": (None, low), "middle": (low, high), "dear": (high, None)}[band]

    def described(self, kind: Segment) -> str:
        """Return a kind in words: `homes in places listed 10 to 49 times, with 2 bedrooms, estimated up to 61 lakh`."""
        words = [f"{ITEMS} {IN} {GROUPS} {_LISTED[kind.listed]}" if kind.listed else f"{ITEMS} of every kind"]
        if kind.bedrooms is not None:
            more = " or more" if kind.bedrooms == MOST_COUNTED else ""
            noun = INPUT[COUNTS[0]].noun
            words.append(f"with {kind.bedrooms}{more} {noun if kind.bedrooms > 1 else noun.removesuffix('s')}")
        if kind.band is not None:
            low, high = self.price_range(kind.band)
            ends = f"{low:.0f} to {high:.0f}" if low and high else f"up to {high:.0f}" if high else f"above {low:.0f}"
            words.append(f"estimated {'at ' * bool(low and high)}{ends} {SHORT_PRICE_UNIT}")
        return ", ".join(words)


_LISTED: dict[Listed, str] = {
    "unknown": "that the model does not know",
    "up_to_9": "listed up to 9 times",
    "below_10": "listed up to 9 times or not known",
    "10_to_49": "listed 10 to 49 times",
    "50_and_more": "listed 50 times and more",
}


def kinds_of(listings: int, bedrooms: float | None, estimate: float, bands: tuple[float, float]) -> Iterator[Kind]:
    """Yield the kinds that a home is of, from the narrowest to the widest."""
    listed, band = _listed(listings), _band(estimate, bands)
    if bedrooms is not None:
        yield Kind(listed, min(MOST_COUNTED, max(1, int(bedrooms))), band)
    yield Kind(listed, None, band)
    yield Kind(listed)
    if listings < 10:
        yield Kind("below_10", None, band)
        yield Kind("below_10")
    yield Kind()


def grade_of(median_ape: float) -> Grade:
    """Return the grade of a kind of home with this median error."""
    return next((grade for grade, most in GRADES.items() if median_ape <= most), "C")


def _listed(listings: int) -> Listed:
    if listings >= 50:
        return "50_and_more"
    if listings >= 10:
        return "10_to_49"
    return "up_to_9" if listings else "unknown"


def _band(estimate: float, bands: tuple[float, float]) -> Band:
    if estimate <= bands[0]:
        return "cheap"
    return "middle" if estimate <= bands[1] else "dear"
