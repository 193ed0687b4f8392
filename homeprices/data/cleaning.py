"""Cleaning: from raw listings to clean ones, and areas in any unit to square feet.

A row is rejected for missing or unreadable values, never because it is unusual: a model that is measured only on homes
with usual prices looks better than it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from homeprices.errors import DatasetRefused
from homeprices.pricing.features import AREA_TYPES, area_type_feature
from homeprices.pricing.inputs import OPTIONAL, REQUIRED, TEXTS
from homeprices.tables.cells import UNKNOWN, is_missing, key_of, number, status, word
from homeprices.tables.ratios import Outside, measure_ratios
from homeprices.tables.units import bedrooms, parse_area

CLEAN_COLUMNS = (*REQUIRED, *OPTIONAL, "price")

MIN_SQUARE_FEET_A_BEDROOM = 300.0
MAX_REFUSED_SHARE = 0.30
"""The public data loses 7 %. Above this limit, a column has most likely changed its meaning."""

TOO_SMALL = "under_300_sqft_a_bedroom"
CELL_SHOWN, FIRST_SHOWN, UNKNOWN_SHOWN = 40, 3, 10

CAUSE = {
    "no_area": "total_sqft",
    "no_size": "size",
    "no_location": "location",
    "no_bath": "bath",
    "no_price": "price",
    TOO_SMALL: "total_sqft",
}
"""The raw column that each reason is about."""

REASONS = tuple(CAUSE)
_MEASURED = ("total_sqft", "bhk", "bath", "balcony", "price")


@dataclass(frozen=True, eq=False)
class Cleaned:
    """Clean listings: CLEAN_COLUMNS in square feet and lakh rupees; missing text is '', a missing balcony NaN.

    `refused` counts rows by the first reason of REASONS that holds; `duplicates` are exact repetitions, dropped.
    """

    rows: pd.DataFrame
    raw_rows: int
    duplicates: int
    refused: dict[str, int] = field(default_factory=dict)
    first_refused: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The first rows of each reason, as `line 5: '1,2,3'`: the line and the start of the cell."""
    outside: tuple[Outside, ...] = ()
    """What lies outside the possible ratios, of all rows that could be read."""

    @property
    def refused_share(self) -> float:
        """Refused rows as a share of raw rows; duplicates are not counted as refused."""
        return sum(self.refused.values()) / self.raw_rows if self.raw_rows else 0.0

    def quality(self) -> dict[str, object]:
        """The quality report that is stored with a bundle. Its last two members are left out when they are empty."""
        report: dict[str, object] = {
            "rows": self.raw_rows,
            "used": len(self.rows),
            "duplicates": self.duplicates,
            "refused": self.refused,
            "refused_share": round(self.refused_share, 6),
            "missing": {name: int(self.rows[name].isin(["", np.nan]).sum()) for name in OPTIONAL},
        }
        found = {
            "unknown_availability": self.unknown_availability(),
            "unknown_area_type": self.unknown_area_type(),
            "outside": {one.ratio.column: {"rows": one.rows, "share": round(one.share, 6)} for one in self.outside},
        }
        return report | {name: value for name, value in found.items() if value}

    def unknown_availability(self) -> dict[str, int]:
        """The most frequent availabilities that are neither ready nor later, cut to a readable length, with rows."""
        return self._unknown("availability", lambda text: status(text) == UNKNOWN)

    def unknown_area_type(self) -> dict[str, int]:
        """The most frequent area types that are none of the known ones, cut to a readable length, with rows."""
        return self._unknown("area_type", lambda text: not is_missing(text) and not area_type_feature(text))

    def _unknown(self, column: str, is_unknown: Callable[[str], bool]) -> dict[str, int]:
        counts = self.rows[column].value_counts()
        unknown = [(text, int(count)) for text, count in counts.items() if is_unknown(str(text))]
        return {str(text)[:CELL_SHOWN]: count for text, count in unknown[:UNKNOWN_SHOWN]}

    def sentences(self) -> list[str]:
        """Notes for a person, a line each: rejected rows, unknown words, impossible ratios."""
        said = [f"{self.raw_rows:,} rows: {len(self.rows):,} used, {self.duplicates:,} repetitions dropped"]
        said += [
            f"refused, {reason}: {count:,} ({', '.join(self.first_refused.get(reason, ()))})"
            for reason, count in self.refused.items()
            if count
        ]
        for unknown, meaning in (
            (self.unknown_availability(), "availability that is neither ready nor a date, taken as unknown"),
            (self.unknown_area_type(), f"area type that is none of {', '.join(AREA_TYPES)}, taken as missing"),
        ):
            if unknown:
                said.append(f"{meaning}: {', '.join(f'{text!r} {count:,}' for text, count in unknown.items())}")
        return [*said, *(one.sentence() for one in self.outside)]


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
    unique = kept[~as_keys(kept).duplicated()]
    return Cleaned(
        unique,
        raw_rows=len(raw),
        duplicates=len(kept) - len(unique),
        refused={name: int((reason == name).sum()) for name in REASONS},
        first_refused={name: _first(text.loc[reason == name, column]) for name, column in CAUSE.items()},
        outside=measure_ratios({name: rows[name].to_numpy(float) for name in _MEASURED}, [*rows.index]),
    )


def as_keys(rows: pd.DataFrame) -> pd.DataFrame:
    """Clean rows with every text as its key, so that two spellings of one home are equal."""
    return rows.assign(**{name: _each(rows[name], key_of) for name in TEXTS})


def _first(cells: pd.Series) -> tuple[str, ...]:
    return tuple(f"line {line}: {cell[:CELL_SHOWN]!r}" for line, cell in cells.head(FIRST_SHOWN).items())


def require_usable(cleaned: Cleaned) -> None:
    """Raise DatasetRefused when too many rows were rejected: then the table is probably another one."""
    counts = ", ".join(f"{name} {count:,}" for name, count in cleaned.refused.items() if count) or "no rows"
    problem = ""
    if cleaned.rows.empty:
        problem = f"none of its {cleaned.raw_rows:,} rows is valid ({counts}), so it cannot be used"
    elif cleaned.refused_share > MAX_REFUSED_SHARE:
        problem = (
            f"{cleaned.refused_share:.0%} of {cleaned.raw_rows:,} rows cannot be used ({counts}); "
            f"at most {MAX_REFUSED_SHARE:.0%} may be"
        )
    if problem:
        first = "; ".join(f"{name} {places[0]}" for name, places in cleaned.first_refused.items() if places)
        raise DatasetRefused({"file": f"{problem}. First: {first}" if first else problem})


def _each(column: pd.Series, parse: Callable[[str], float | str | None]) -> pd.Series:
    """Apply `parse` to every cell, once per distinct text."""
    values = {text: parse(text) for text in column.unique()}
    return column.map(values)


def _text(column: pd.Series) -> pd.Series:
    return _each(column, word).astype(object)


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
