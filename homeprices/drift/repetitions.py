"""Exact repetitions of rows, which are no new evidence: a file with every home five times counts as the file with each
home once.

Two rows are one home when all compared columns agree, in any spelling. Rows without an area and a location cannot be
told apart, so they count as different homes. The treatment of a repetition depends on the kind of rows:

- Listings, which have a price: a repetition is dropped, as cleaning drops it from what a model is fitted on.
- Requests with a visitor: the same home of the same visitor within a session is dropped. Of two visitors it is two.
- Requests without a visitor: two people may have asked for the same home, which has no more than four inputs, so no row
  is dropped. But what only the repetitions show is not drift: the comparison is repeated with `distinct`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from homeprices.drift.samples import (
    NUMBER_FEATURES,
    PREDICTION,
    PRICE,
    TEXT_FEATURES,
    Floats,
    Sample,
    sample_of_columns,
)
from homeprices.pricing.features import key_of
from homeprices.pricing.inputs import AREA, INPUT, LOCATION

Column = Sequence[Any] | Floats
Mask = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.intp]

SESSION = np.timedelta64(30, "m")
"""Requests of one visitor for the same home count once while each follows the last within this time."""

NO_VALUE = -1


@dataclass(frozen=True, eq=False)
class Counted:
    """The sample of a table, its sample when every home counts once, and how many rows repeat another."""

    sample: Sample
    distinct: Sample
    repetitions: int = 0


def without_repetitions(
    columns: Mapping[str, Column],
    rows: int,
    visitors: Sequence[Any] | None = None,
    moments: Sequence[Any] | None = None,
) -> Counted:
    """Return the sample of `rows` rows without their repetitions; `columns` as for `sample_of_columns`.

    `visitors` are ids, `moments` the times (UTC) of the requests; both may hold blanks.
    """
    visitors = visitors if visitors is not None and any(map(_known, visitors)) else None
    mask = repeated(columns, rows, visitors, moments)
    repetitions = int(mask.sum())
    if not repetitions:
        sample = sample_of_columns(columns, rows)
        return Counted(sample, sample)
    kept = ~mask
    distinct = sample_of_columns(
        {name: list(compress(values, kept)) for name, values in columns.items()}, rows - repetitions
    )
    drops = PRICE in columns or visitors is not None
    return Counted(distinct if drops else sample_of_columns(columns, rows), distinct, repetitions)


def repeated(
    columns: Mapping[str, Column],
    rows: int,
    visitors: Sequence[Any] | None = None,
    moments: Sequence[Any] | None = None,
) -> Mask:
    """Return which rows repeat an earlier one.

    With `visitors` a row repeats only a row of the same visitor; those without an id count as one visitor. With
    `moments` as well, it repeats only a row of the same session; rows without a moment share one.
    """
    codes = {
        name: _codes(name, values) for name, values in columns.items() if name in (*NUMBER_FEATURES, *TEXT_FEATURES)
    }
    if rows == 0 or not codes.keys() >= {AREA, LOCATION}:
        return np.zeros(rows, dtype=bool)
    homes = (codes[AREA] != NO_VALUE) | (codes[LOCATION] != NO_VALUE)
    if visitors is not None:
        codes.pop(PREDICTION, None)  # two bundles may have answered the same request
        codes["visitor"] = pd.factorize(_objects([one if _known(one) else None for one in visitors]))[0]
    table = pd.DataFrame(codes)
    if visitors is None or moments is None:
        again = np.asarray(table.duplicated(), dtype=bool)
    else:
        again = _within_a_session(table, moments)
    mask: Mask = np.logical_and(again, homes)
    return mask


def _within_a_session(table: pd.DataFrame, moments: Sequence[Any]) -> Mask:
    """Return which rows equal a row of at most SESSION before."""
    dated = [text if (text := str(moment))[:1].isdigit() else None for moment in moments]  # "now" would be a date
    at = pd.to_datetime(_objects(dated), errors="coerce", utc=True, format="ISO8601")
    order = at.sort_values(kind="stable", na_position="last").index.to_numpy()
    at = at.iloc[order].reset_index(drop=True)
    homes = table.iloc[order].reset_index(drop=True).groupby(list(table.columns), sort=False).ngroup()
    again = np.asarray(at.groupby(homes).diff()) <= SESSION
    unknown = at.isna() & pd.DataFrame({"home": homes, "unknown": at.isna()}).duplicated()
    found = np.empty(len(table), dtype=bool)
    found[order] = again | np.asarray(unknown)
    return found


def _codes(name: str, values: Column) -> Codes:
    """Return one whole number for each distinct value, NO_VALUE for a missing one; spellings of a word share one."""
    if name in NUMBER_FEATURES:
        return pd.factorize(np.asarray(values, dtype=np.float64))[0]
    codes, spellings = pd.factorize(_objects(values))
    form = INPUT[name].feature or key_of
    words, _ = pd.factorize(_objects([form(str(spelling)) or None for spelling in spellings]))
    return np.append(words, NO_VALUE)[codes]


def _objects(values: Column) -> pd.Series:
    return pd.Series(values, dtype=object)


def _known(visitor: object) -> bool:
    return bool(visitor.strip()) if isinstance(visitor, str) else isinstance(visitor, int)
