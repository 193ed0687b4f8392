"""Cleaning: from raw listings to clean ones, and areas in any unit to square feet.

A row is rejected for what it lacks, never for how it compares with others: a model that is measured only on homes with
usual prices looks better than it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from homeprices.errors import DatasetRefused
from homeprices.pricing.inputs import OPTIONAL, REQUIRED
from homeprices.tables.cells import is_missing, number, tidy
from homeprices.tables.units import bedrooms, parse_area

CLEAN_COLUMNS = (*REQUIRED, *OPTIONAL, "price")

MIN_SQUARE_FEET_A_BEDROOM = 300.0
MAX_REFUSED_SHARE = 0.30
"""The public data loses 7 %. Above this limit, a column has most likely changed its meaning."""

TOO_SMALL = "under_300_sqft_a_bedroom"
REASONS = ("no_area", "no_size", "no_location", "no_bath", "no_price", TOO_SMALL)


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
            "location": _text(text["location"]),
            "bhk": _each(text["size"], bedrooms).astype(float),
            "bath": _positive(text["bath"]),
            "area_type": _text(text["area_type"]),
            "balcony": _number(text["balcony"]),
            "availability": _text(text["availability"]),
            "society": _text(text["society"]),
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


def _each(column: pd.Series, parse: Callable[[str], float | None]) -> pd.Series:
    """Apply `parse` to every cell, once per distinct text."""
    values = {text: parse(text) for text in column.unique()}
    return column.map(values)


def _text(column: pd.Series) -> pd.Series:
    """The texts with single spaces; '' for one that stands for a missing value."""
    values = {text: "" if is_missing(text) else tidy(text) for text in column.unique()}
    return column.map(values).astype(object)


def _number(column: pd.Series) -> pd.Series:
    """Finite numbers from 0; NaN for any other text."""
    numbers = _each(column, number).astype(float)
    return numbers.where(numbers >= 0)


def _positive(column: pd.Series) -> pd.Series:
    numbers = _number(column)
    return numbers.where(numbers > 0)


PARSERS: dict[str, Callable[[str], float | None]] = {"total_sqft": parse_area}
"""How a number is read that people write in several ways, by the name of the input."""

LISTED_AS: dict[str, tuple[str, Callable[[str], float | None]]] = {"size": ("bhk", bedrooms)}
"""Raw columns whose name is not the input's: the input, and how its text is read (`3 BHK`)."""
