"""Cleaning: from raw listings to clean ones, by the declarations of `listing`.

A row is rejected for missing or unreadable values, never because it is unusual: a model that is measured only on homes
with usual prices looks better than it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pandas as pd

from homeprices.data.listing import MISSING_REASONS, RULES, UNKNOWN_WORDS
from homeprices.data.listing import PARSERS as PARSERS
from homeprices.data.listing_dates import AFTER_IMPORT, ALLOWED, LISTED_ON, NO_DAY, parse_day
from homeprices.errors import DatasetRefused
from homeprices.pricing.inputs import NUMBERS, OPTIONAL, REQUIRED, SPELT, TEXTS
from homeprices.tables.cells import key_of, number, word
from homeprices.tables.ratios import Outside, measure_ratios

CLEAN_COLUMNS = (*REQUIRED, *OPTIONAL, "price")

MAX_REFUSED_SHARE = 0.30
"""The public data loses 7 %. Above this limit, a column has most likely changed its meaning."""

CELL_SHOWN, FIRST_SHOWN, UNKNOWN_SHOWN = 40, 3, 10

LISTED_AS: dict[str, tuple[str, Callable[[str], float | None]]] = {
    column: (spelling.name, spelling.read) for column, spelling in SPELT.items()
}
"""Raw columns whose name is not the input's: the input, and how its text is read (`3 BHK`)."""

_LISTED_IN = {name: column for column, (name, _) in LISTED_AS.items()}
_READ = {**dict(LISTED_AS.values()), **PARSERS}

CAUSE = {reason: _LISTED_IN.get(name, name) for name, reason in MISSING_REASONS.items()} | {
    reason: column for reason, (column, _) in RULES.items()
}
"""The raw column that each reason is about."""

REASONS = tuple(CAUSE)


@dataclass(frozen=True, eq=False)
class Cleaned:
    """Clean listings: CLEAN_COLUMNS; missing text is '', a missing number NaN. `listed_on` too, if the table has it.

    `refused` counts rows by the first reason of REASONS, or of the dates, that holds; `duplicates` are exact
    repetitions, dropped.
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
        found: dict[str, object] = {f"unknown_{name}": self.unknown_words(name) for name in UNKNOWN_WORDS}
        found["outside"] = {one.ratio.column: {"rows": one.rows, "share": round(one.share, 6)} for one in self.outside}
        return report | {name: value for name, value in found.items() if value}

    def unknown_words(self, name: str) -> dict[str, int]:
        """The most frequent texts of an input that are not understood, cut to a readable length, with rows."""
        is_unknown = UNKNOWN_WORDS[name][0]
        counts = self.rows[name].value_counts()
        unknown = [(text, int(count)) for text, count in counts.items() if is_unknown(str(text))]
        return {str(text)[:CELL_SHOWN]: count for text, count in unknown[:UNKNOWN_SHOWN]}

    def sentences(self) -> list[str]:
        """Notes for a person, a line each: rejected rows, unknown words, impossible ratios."""
        said = [f"{self.raw_rows:,} rows: {len(self.rows):,} used, {self.duplicates:,} repetitions dropped"]
        said += [
            f"refused, {reason}: {count:,} ({', '.join(self.first_refused.get(reason, ()))}){allowed_for(reason)}"
            for reason, count in self.refused.items()
            if count
        ]
        for name, (_, meaning) in UNKNOWN_WORDS.items():
            unknown = self.unknown_words(name)
            if unknown:
                said.append(f"{meaning}: {', '.join(f'{text!r} {count:,}' for text, count in unknown.items())}")
        return [*said, *(one.sentence() for one in self.outside)]


def clean(raw: pd.DataFrame, until: date | None = None) -> Cleaned:
    """Return the clean listings of a raw table (columns of `schema.COLUMNS`, text). Each row is judged on its own.

    In a table with `listed_on`, a row without a day is rejected, and one with a day after `until`, that of the import.
    """
    text = raw.fillna("").astype(str)
    rows = pd.DataFrame({name: _column(name, text) for name in CLEAN_COLUMNS}, index=raw.index)
    wrong = {reason: rows[name].isna() | (rows[name] == "") for name, reason in MISSING_REASONS.items()}
    wrong |= {reason: has(rows) for reason, (_, has) in RULES.items()}
    causes = CAUSE
    if LISTED_ON in raw.columns:
        rows[LISTED_ON] = _each(text[LISTED_ON], parse_day).astype(object)
        wrong |= {NO_DAY: rows[LISTED_ON] == "", AFTER_IMPORT: rows[LISTED_ON] > (until or date.max).isoformat()}
        causes = CAUSE | {NO_DAY: LISTED_ON, AFTER_IMPORT: LISTED_ON}
    reason = np.select(list(wrong.values()), list(wrong), default="")
    kept = rows[reason == ""]
    unique = kept[~as_keys(kept).duplicated()]
    return Cleaned(
        unique,
        raw_rows=len(raw),
        duplicates=len(kept) - len(unique),
        refused={name: int((reason == name).sum()) for name in causes},
        first_refused={name: _first(text.loc[reason == name, column]) for name, column in causes.items()},
        outside=measure_ratios({name: rows[name].to_numpy(float) for name in (*NUMBERS, "price")}, [*rows.index]),
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
        first = "; ".join(
            f"{name} {places[0]}{allowed_for(name)}" for name, places in cleaned.first_refused.items() if places
        )
        raise DatasetRefused({"file": f"{problem}. First: {first}" if first else problem})


def allowed_for(reason: str) -> str:
    """Return what a reason asks for, behind a colon; '' for a reason whose name says it."""
    return f": {ALLOWED[reason]}" if reason in ALLOWED else ""


def _column(name: str, text: pd.DataFrame) -> pd.Series:
    """The clean values of an input, or of the price, in every row of a raw table."""
    cells = text[_LISTED_IN.get(name, name)]
    if name in TEXTS:
        return _text(cells)
    if name in _READ:
        return _each(cells, _READ[name]).astype(float)
    return _number(cells) if name in OPTIONAL else _positive(cells)


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
