"""Cleaning: from raw listings to clean ones, and areas in any unit to square feet.

A row is rejected for what it lacks, never for how it compares with others: a model that is measured only on homes with
usual prices looks better than it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from homeprices.errors import DatasetRefused
from homeprices.pricing.inputs import OPTIONAL, REQUIRED

CLEAN_COLUMNS = (*REQUIRED, *OPTIONAL, "price")

MIN_SQUARE_FEET_A_BEDROOM = 300.0
MAX_REFUSED_SHARE = 0.30
"""The public data loses 7 %. Above this limit, a column has most likely changed its meaning."""

TOO_SMALL = "under_300_sqft_a_bedroom"
REASONS = ("no_area", "no_size", "no_location", "no_bath", "no_price", TOO_SMALL)

_SIZE = re.compile(r"(\d+)\s*(?:bhk|bedrooms?|rk)", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Cleaned:
    """Clean listings: CLEAN_COLUMNS in square feet and lakh rupees; missing text is '', a missing balcony NaN.

    `refused` counts rows by the first reason of REASONS that holds; `duplicates` are exact repetitions, dropped.
    """

    rows: pd.DataFrame
    raw_rows: int
    duplicates: int
    refused: dict[str, int] = field(default_factory=dict)

    @property
    def refused_share(self) -> float:
        """Refused rows as a share of raw rows; duplicates are not counted as refused."""
        return sum(self.refused.values()) / self.raw_rows if self.raw_rows else 0.0

    def quality(self) -> dict[str, object]:
        """The quality report that is stored with a bundle."""
        return {
            "rows": self.raw_rows,
            "used": len(self.rows),
            "duplicates": self.duplicates,
            "refused": self.refused,
            "refused_share": round(self.refused_share, 6),
            "missing": {name: int(self.rows[name].isin(["", np.nan]).sum()) for name in OPTIONAL},
        }


def clean(raw: pd.DataFrame) -> Cleaned:
    """Return the clean listings of a raw table (columns of `schema.COLUMNS`, text). Each row is judged on its own."""
    text = raw.fillna("").astype(str)
    rows = pd.DataFrame(
        {
            "total_sqft": _each(text["total_sqft"], parse_area).astype(float),
            "location": _tidy(text["location"]),
            "bhk": _each(text["size"], bedrooms).astype(float),
            "bath": _positive(text["bath"]),
            "area_type": _tidy(text["area_type"]),
            "balcony": _number(text["balcony"]),
            "availability": _tidy(text["availability"]),
            "society": _tidy(text["society"]),
            "price": _positive(text["price"]),
        },
        index=raw.index,
    )
    reason = np.select(
        [
            rows["total_sqft"].isna(),
            rows["bhk"].isna(),
            rows["location"] == "",
            rows["bath"].isna(),
            rows["price"].isna(),
            rows["total_sqft"] / rows["bhk"] < MIN_SQUARE_FEET_A_BEDROOM,
        ],
        REASONS,
        default="",
    )
    kept = rows[reason == ""]
    unique = kept.drop_duplicates()
    refused = {name: int((reason == name).sum()) for name in REASONS}
    return Cleaned(unique, raw_rows=len(raw), duplicates=len(kept) - len(unique), refused=refused)


def require_usable(cleaned: Cleaned) -> None:
    """Raise DatasetRefused when too many rows were rejected: then the table is probably another one."""
    if cleaned.rows.empty or cleaned.refused_share > MAX_REFUSED_SHARE:
        counts = ", ".join(f"{name} {count:,}" for name, count in cleaned.refused.items() if count)
        raise DatasetRefused(
            {
                "file": f"{cleaned.refused_share:.0%} of {cleaned.raw_rows:,} rows cannot be used ({counts}); "
                f"at most {MAX_REFUSED_SHARE:.0%} may be"
            }
        )


def bedrooms(text: str) -> float | None:
    """The bedrooms of `3 BHK`, `4 Bedroom`, `1 RK`; None of anything else."""
    found = _SIZE.fullmatch(text.strip())
    return float(found[1]) if found and int(found[1]) > 0 else None


def _each(column: pd.Series, parse: Callable[[str], float | None]) -> pd.Series:
    """Apply `parse` to every cell, once per distinct text."""
    values = {text: parse(text) for text in column.unique()}
    return column.map(values)


def _tidy(column: pd.Series) -> pd.Series:
    return column.str.split().str.join(" ")


def _number(column: pd.Series) -> pd.Series:
    """Finite numbers from 0; NaN for any other text."""
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    return numbers.where((numbers >= 0) & np.isfinite(numbers))


def _positive(column: pd.Series) -> pd.Series:
    numbers = _number(column)
    return numbers.where(numbers > 0)


# Square feet in one of each. A guntha is 121 square yards, a cent 1/100 acre, a perch 272.25, a ground (Chennai) 2,400.
SQUARE_FEET = {
    "sqmeter": 10.763910417,
    "sqyards": 9.0,
    "acres": 43_560.0,
    "guntha": 1_089.0,
    "cents": 435.6,
    "perch": 272.25,
    "grounds": 2_400.0,
    "sqft": 1.0,
    "": 1.0,
}

_NUMBER = r"([0-9][0-9,]*(?:\.[0-9]*)?|\.[0-9]+)"
_AREA = re.compile(rf"{_NUMBER}\s*(?:-\s*{_NUMBER}\s*)?([a-z. ]*)")


def parse_area(text: str) -> float | None:
    """Square feet of `1200`, `1056 - 1200` (the middle), `34.46Sq. Meter`, `2.09Acres`; None of anything else."""
    found = _AREA.fullmatch(text.strip().lower())
    if not found:
        return None
    low, high, unit = found.groups()
    unit = re.sub(r"[. ]", "", unit)
    factor = SQUARE_FEET.get(unit) or SQUARE_FEET.get(f"{unit}s")
    if factor is None:
        return None
    numbers = [float(number.replace(",", "")) for number in (low, high) if number]
    area = sum(numbers) / len(numbers) * factor
    return area if area > 0 else None


PARSERS: dict[str, Callable[[str], float | None]] = {"total_sqft": parse_area}
"""How a number is read that people write in several ways, by the name of the input."""

LISTED_AS: dict[str, tuple[str, Callable[[str], float | None]]] = {"size": ("bhk", bedrooms)}
"""Raw columns whose name is not the input's: the input, and how its text is read (`3 BHK`)."""
