"""Synthetic listings: the columns, locations, price structure and dirt of the public dataset, from a seed.

Calibrated so that the estimators of `homeprices.training` come out in the same order and with similar errors as on the
public data. Effects of societies and unobserved differences are random; nothing is copied from a real listing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from homeprices.data.listing import COLUMNS, MIN_SQUARE_FEET_A_BEDROOM
from homeprices.data.localities import LOCALITIES
from homeprices.tables.units import SQUARE_FEET

DEFAULT_ROWS = 13_320
DEFAULT_SEED = 7

# Shares and spreads, estimated from the public data; spreads are standard deviations of the logarithm.
RARE_LOCATION_SHARE = 0.22
RARE_LOCATIONS = 700
RARE_RATE_SPREAD = 0.30
SOCIETY_SPREAD = 0.22
WITHIN_SOCIETY_SPREAD = 0.07
NO_SOCIETY_SPREAD = 0.16
HOUSE_SPREAD = 0.26
LISTINGS_A_SOCIETY = 2.5
# The price of a plot is that of its land, plus the house on it.
HOUSE_PREMIUM = 0.55
CARPET_PREMIUM = 0.35
LARGE_FLAT_PREMIUM = 0.22  # four bedrooms and more
FLAT_SIZE_EXPONENT = 0.12  # larger flats cost more a square foot

_PARTS_OF_PLACES = (
    "1st Phase", "2nd Phase", "1st Stage", "2nd Stage", "3rd Stage", "1st Block", "2nd Block", "3rd Block",
    "5th Block", "6th Block", "Sector 1", "Sector 3", "Upper", "Old", "New",
)  # fmt: skip
_SYLLABLES = (
    "Pra",
    "Sri",
    "De",
    "Bri",
    "So",
    "Gar",
    "Man",
    "Vas",
    "Nit",
    "Sal",
    "Pur",
    "Gra",
    "Shi",
    "Ela",
    "Ro",
    "Aka",
)

# bedrooms: (share, mean area) of flats; area in square feet
_FLATS = {1: (0.05, 650), 2: (0.50, 1130), 3: (0.39, 1590), 4: (0.05, 2900), 5: (0.01, 3900)}
_HOUSE_BEDROOMS = {2: 0.18, 3: 0.22, 4: 0.36, 5: 0.12, 6: 0.07, 7: 0.03, 8: 0.02}
# Sites are laid out in feet: 20x30, 30x40, 30x50, 40x60, 50x80.
_SITES = {600: 0.10, 1200: 0.38, 1500: 0.14, 2400: 0.16, 4000: 0.04}
_CROWDED_SHARE = 0.060  # small sites with many rooms, under 300 square feet a bedroom
_LATER = [f"{year}-{month}" for year in (18, 19, 20, 21) for month in ("Mar", "May", "Aug", "Oct", "Dec")]

PLACE_WEIGHTS = {place.name: place.weight for place in LOCALITIES}
"""How many listings each place has, relative to the others."""

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Places:
    names: list[str]
    rates: Numbers
    weights: Numbers
    house_shares: Numbers


def make_listings(rows: int = DEFAULT_ROWS, seed: int = DEFAULT_SEED) -> pd.DataFrame:
    """Return `rows` raw listings as text (blank: ''), in the form of the public dataset. Same seed, same rows."""
    rng = np.random.default_rng(seed)
    places = _places(rng)
    at = rng.choice(len(places.names), rows, p=places.weights)
    house = rng.random(rows) < places.house_shares[at]
    crowded = rng.random(rows) < _CROWDED_SHARE
    house |= crowded
    bhk = np.where(
        house, _draw(rng, _HOUSE_BEDROOMS, rows), _draw(rng, {n: share for n, (share, _) in _FLATS.items()}, rows)
    )
    area = np.where(house, _house_areas(rng, rows), _flat_areas(rng, bhk))
    crammed = np.maximum(bhk, np.ceil(area / rng.uniform(150, 280, rows)))
    roomy = np.minimum(bhk, np.floor(area / MIN_SQUARE_FEET_A_BEDROOM))
    bhk = np.where(crowded, crammed, roomy).clip(1, 27)
    area_type = _area_types(rng, house)
    society, society_effect = _societies(rng, at, area_type)
    listings = pd.DataFrame(
        {
            "area_type": area_type,
            "availability": _availabilities(rng, house),
            "location": np.array(places.names, dtype=object)[at],
            "size": _sizes(rng, bhk, house),
            "society": society,
            "total_sqft": [f"{value:.0f}" for value in area],
            "bath": _baths(rng, bhk, house).astype(int).astype(str),
            "balcony": _balconies(rng, bhk).astype(int).astype(str),
            "price": _prices(rng, places.rates[at], area, bhk, house, area_type, society_effect),
        }
    )
    return soil(listings.astype(object), rng).reindex(columns=list(COLUMNS), fill_value="")


def _places(rng: np.random.Generator) -> _Places:
    """The known localities, and a long tail of parts of them that are listed once or a few times."""
    base = rng.choice(len(LOCALITIES), RARE_LOCATIONS)
    parts = rng.choice(_PARTS_OF_PLACES, RARE_LOCATIONS)
    rare = {
        f"{part} {LOCALITIES[i].name}": LOCALITIES[i].rate * np.exp(rng.normal(0, RARE_RATE_SPREAD))
        for i, part in zip(base, parts, strict=True)
    }
    for place in LOCALITIES:
        rare.pop(place.name, None)
    known = np.array([place.weight for place in LOCALITIES])
    tail = rng.pareto(1.3, len(rare)) + 0.3
    weights = np.concatenate([known / known.sum() * (1 - RARE_LOCATION_SHARE), tail / tail.sum() * RARE_LOCATION_SHARE])
    rates = np.array([place.rate for place in LOCALITIES] + list(rare.values()), dtype=float)
    # Where land is expensive, few homes for sale are detached; in the old quarters nearly all are.
    shares = rng.beta(0.6, 3.4, len(rates)) + 0.25 * (rates > 9_000)
    return _Places(
        [place.name for place in LOCALITIES] + list(rare), rates, weights / weights.sum(), shares.clip(0, 0.9)
    )


def _draw(rng: np.random.Generator, shares: dict[int, float], rows: int) -> Numbers:
    weights = np.array(list(shares.values()))
    return rng.choice(list(shares), rows, p=weights / weights.sum()).astype(float)


def _flat_areas(rng: np.random.Generator, bhk: Numbers) -> Numbers:
    means = np.array([_FLATS.get(int(n), (0, 700 * n))[1] for n in bhk], dtype=float)
    area = means * np.exp(rng.normal(0, 0.16, len(bhk)))
    return np.maximum(
        np.where(rng.random(len(bhk)) < 0.35, np.round(area / 50) * 50, np.round(area / 5) * 5), 310 * bhk
    )


def _house_areas(rng: np.random.Generator, rows: int) -> Numbers:
    sizes, shares = np.array(list(_SITES)), np.array(list(_SITES.values()))
    built = np.round(np.exp(rng.normal(7.55, 0.45, rows)) / 50) * 50
    area = np.where(rng.random(rows) < shares.sum(), rng.choice(sizes, rows, p=shares / shares.sum()), built)
    areas: Numbers = np.maximum(area.astype(float), 600)
    return areas


def _area_types(rng: np.random.Generator, house: npt.NDArray[np.bool_]) -> npt.NDArray[np.object_]:
    dice = rng.random(len(house))
    flat = np.select([dice < 0.82, dice < 0.993], ["Super built-up  Area", "Built-up  Area"], "Carpet  Area")
    return np.where(house, np.where(dice < 0.72, "Plot  Area", "Built-up  Area"), flat).astype(object)


def _availabilities(rng: np.random.Generator, house: npt.NDArray[np.bool_]) -> npt.NDArray[np.str_]:
    ready = rng.random(len(house)) < np.where(house, 0.93, 0.76)
    return np.where(ready, "Ready To Move", rng.choice(_LATER, len(house)))


def _societies(
    rng: np.random.Generator, at: npt.NDArray[np.int64], area_type: npt.NDArray[np.object_]
) -> tuple[list[str], Numbers]:
    """The society of each listing (blank: none), and how far its prices lie above its location's (NaN: none)."""
    has = rng.random(len(at)) < np.select(
        [area_type == "Super built-up  Area", area_type == "Plot  Area"], [0.71, 0.22], 0.51
    )
    in_place = pd.Series(at).map(pd.Series(at).value_counts()).to_numpy(float)
    # The square favours low numbers: each place has a few large societies and many small ones.
    number = (rng.random(len(at)) ** 2 * np.ceil(in_place * 0.6 / LISTINGS_A_SOCIETY)).astype(int)
    names: dict[tuple[int, int], str] = {}
    effects: dict[tuple[int, int], float] = {}
    for key in zip(at.tolist(), number.tolist(), strict=True):
        if key not in names:
            first, second, third = rng.choice(_SYLLABLES, 3)
            names[key] = f"{first}{second.lower()}{third.lower()}"
            effects[key] = float(rng.normal(0, SOCIETY_SPREAD))
    keys = list(zip(at.tolist(), number.tolist(), has.tolist(), strict=True))
    return (
        [names[place, n] if with_society else "" for place, n, with_society in keys],
        np.array([effects[place, n] if with_society else np.nan for place, n, with_society in keys]),
    )


def _sizes(rng: np.random.Generator, bhk: Numbers, house: npt.NDArray[np.bool_]) -> list[str]:
    words = np.where(house & (rng.random(len(bhk)) < 0.95), "Bedroom", "BHK")
    words = np.where((bhk == 1) & (rng.random(len(bhk)) < 0.03), "RK", words)
    return [f"{n:.0f} {word}" for n, word in zip(bhk, words, strict=True)]


def _baths(rng: np.random.Generator, bhk: Numbers, house: npt.NDArray[np.bool_]) -> Numbers:
    step = np.where(house, rng.choice([-1, 0, 1], len(bhk), p=[0.25, 0.6, 0.15]), 0)
    step = np.where(~house & (bhk >= 3) & (rng.random(len(bhk)) < 0.33), -1, step)
    step = np.where(~house & (bhk >= 3) & (rng.random(len(bhk)) < 0.08), 1, step)
    baths: Numbers = np.maximum(bhk + step, 1)
    return baths


def _balconies(rng: np.random.Generator, bhk: Numbers) -> Numbers:
    return np.clip(np.round(rng.normal(0.75 + 0.32 * bhk, 0.75)), 0, 3)


def _prices(
    rng: np.random.Generator,
    rate: Numbers,
    area: Numbers,
    bhk: Numbers,
    house: npt.NDArray[np.bool_],
    area_type: npt.NDArray[np.object_],
    society_effect: Numbers,
) -> list[str]:
    """Asking prices in lakh rupees: rounded, a few with decimals."""
    in_society = ~np.isnan(society_effect)
    spread = np.select([house, in_society], [HOUSE_SPREAD, WITHIN_SOCIETY_SPREAD], NO_SOCIETY_SPREAD)
    # Student's t: a few homes cost half or twice the expected price.
    log_price = (
        np.log(rate * area / 100_000)
        + np.where(house, HOUSE_PREMIUM - 0.35 * np.log(area / 1_500), FLAT_SIZE_EXPONENT * np.log(area / 1_250))
        + np.where(area_type == "Carpet  Area", CARPET_PREMIUM, 0)
        + np.where(~house & (bhk >= 4), LARGE_FLAT_PREMIUM, 0)
        + np.where(in_society, society_effect, 0)
        + spread * rng.standard_t(5, len(area))
    )
    price = np.exp(log_price).clip(8, 3_600)
    step = np.select([price < 50, price < 150, price < 500], [0.5, 1, 5], 10)
    rounded = np.where(rng.random(len(area)) < 0.15, np.round(price, 2), np.maximum(np.round(price / step) * step, 8))
    return [f"{value:.2f}".rstrip("0").rstrip(".") for value in rounded]


# The dirt of real listings: ranges, other units, blanks, stray spaces, repeated rows.


RANGE_SHARE = 0.016
STRAY_SPACE_SHARE = 0.01
DUPLICATE_SHARE = 0.04
BLANK_SHARES = {"balcony": 0.047, "bath": 0.006, "size": 0.0012, "location": 0.0001}
_UNITS = {
    "Sq. Meter": 0.0015, "Sq. Yards": 0.0012, "Acres": 0.0005, "Cents": 0.0003, "Guntha": 0.0003, "Perch": 0.0002,
    "Grounds": 0.0002,
}  # fmt: skip


def soil(listings: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """The same number of rows with the dirt of the public data, shuffled, numbered from 0. Text in, text out."""
    rows = len(listings)
    dirty = listings.copy()
    area = dirty["total_sqft"].astype(float).to_numpy()
    ranged = rng.random(rows) < RANGE_SHARE
    half = np.round(area * rng.uniform(0.03, 0.2, rows))
    ranges = [f"{middle - h:.0f} - {middle + h:.0f}" for middle, h in zip(area, half, strict=True)]
    dirty["total_sqft"] = np.where(ranged, ranges, dirty["total_sqft"])
    dice, below = rng.random(rows), 0.0
    for unit, share in _UNITS.items():
        factor = SQUARE_FEET[unit.lower().replace(". ", "").replace(".", "")]
        chosen = ~ranged & (dice >= below) & (dice < below + share)
        written = [f"{value / factor:.2f}".rstrip("0").rstrip(".") + unit for value in area]
        dirty["total_sqft"] = np.where(chosen, written, dirty["total_sqft"])
        below += share
    for name, share in BLANK_SHARES.items():
        dirty[name] = dirty[name].where(rng.random(rows) >= share, "")
    spaced = rng.random(rows) < STRAY_SPACE_SHARE
    dirty["location"] = dirty["location"].where(~spaced, " " + dirty["location"].str.replace(" ", "  ") + " ")
    copies = rng.random(rows) < DUPLICATE_SHARE
    source = np.where(copies, rng.integers(0, rows, rows), np.arange(rows))
    return dirty.iloc[source].reset_index(drop=True)
