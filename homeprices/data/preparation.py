"""The prepared dataset: clean rows, the hold-out flag of each, and the quality counts, made once per training run.

The hold-out is the same homes in every version of the dataset, and no model is ever fitted on them. A hash of the home
without its price decides. So a home that is listed twice, even at two prices, is on one side, and a row keeps its side
when other rows come and go. Production and candidate can always be compared on it.

Listings with dates are divided by time: the hold-out is the newest part, because a model is asked about the future.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from homeprices.data.cleaning import Cleaned, as_keys
from homeprices.data.listing import HOME_COLUMNS as HOME_COLUMNS
from homeprices.data.listing_dates import LISTED_ON
from homeprices.data.place_prices import history_of, table_as_of, time_factors
from homeprices.errors import InvalidInput
from homeprices.pricing.home import Home
from homeprices.pricing.inputs import OPTIONAL, REQUIRED, TEXTS, WHOLE_NUMBERS
from homeprices.pricing.manifest import DatasetReference
from homeprices.pricing.market import PlacePrices
from homeprices.tables.cells import key_of

SHARE = 0.15

# Changing this changes the hold-out, and with it every comparison between an old model and a new one.
SALT = "homeprices hold-out 1"

BY_TIME = "listed from "
"""The start of the rule of a hold-out by time. The first day of the hold-out follows."""

LEAST_SHARE, MOST_SHARE = 0.05, 0.30
"""Where the days divide the rows into a newest part of another size, for example because all are of one day, the hash
decides."""

TIME_FACTOR = "time_factor"
"""The column of the level of a row's place at its day, as a multiple of the level in the table of the first day of the
hold-out. NaN where there was no level yet."""

_HELD_OUT = "held_out"
_QUALITY, _RULE, _BASE, _ADJUSTED = b"quality", b"holdout", b"place_prices", b"time_adjusted"


class Holdout(NamedTuple):
    """Hold-out rows at their listed prices, and the table that their column TIME_FACTOR refers to, if they have it."""

    rows: pd.DataFrame
    base: PlacePrices | None = None


@dataclass(frozen=True, eq=False)
class PreparedDataset:
    """Clean rows, which of them are the hold-out, and the quality report (`Cleaned.quality()`).

    Of listings with dates, `base` is the table of place prices of the first day of the hold-out, None if there were too
    few listings. `time_adjusted` says that models learn prices at the levels of that table.
    """

    rows: pd.DataFrame
    held_out: npt.NDArray[np.bool_]
    quality: dict[str, Any]
    rule: str = SALT
    base: PlacePrices | None = None
    time_adjusted: bool = False

    @property
    def training(self) -> pd.DataFrame:
        """The rows that models are fitted on. Prices are at the levels of `base` if `time_adjusted`."""
        return self._priced(self.rows[~self.held_out])

    @property
    def holdout(self) -> pd.DataFrame:
        """The rows that models are measured on, with prices as in `training`. Relative errors are those at the day."""
        return self._priced(self.rows[self.held_out])

    @property
    def listed_holdout(self) -> Holdout:
        """The hold-out at its listed prices, for models of different bases."""
        return Holdout(self.rows[self.held_out], self.base)

    def _priced(self, rows: pd.DataFrame) -> pd.DataFrame:
        if not self.time_adjusted:
            return rows
        known = rows[rows[TIME_FACTOR].notna()]
        return known.assign(price=known["price"] / known[TIME_FACTOR])

    def reference(self, **dataset: Any) -> DatasetReference:
        """The entry in a bundle's manifest for the stored file that these rows come from.

        `dataset` has the version, key, sha256, source and time of import of the file.
        """
        return DatasetReference(
            **dataset,
            rows=self.quality["rows"],
            rows_used=len(self.rows),
            holdout=self.rule,
        )

    def to_parquet(self) -> bytes:
        """A Parquet file, from which `from_parquet` gives the same rows in the same order with the same index."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pandas(self.rows.assign(**{_HELD_OUT: self.held_out}))
        stored = {_QUALITY: json.dumps(self.quality).encode(), _RULE: self.rule.encode()}
        if self.base is not None:
            stored |= {_BASE: self.base.model_dump_json().encode(), _ADJUSTED: str(self.time_adjusted).encode()}
        table = table.replace_schema_metadata({**table.schema.metadata, **stored})
        body = io.BytesIO()
        pq.write_table(table, body)
        return body.getvalue()

    @classmethod
    def from_parquet(cls, body: bytes) -> PreparedDataset:
        """The dataset that `to_parquet` wrote."""
        import pyarrow.parquet as pq

        table = pq.read_table(io.BytesIO(body))
        names = [name for name in (*TEXTS, LISTED_ON) if name in table.schema.names]
        rows = table.to_pandas().astype(dict.fromkeys(names, object))
        held_out = rows.pop(_HELD_OUT).to_numpy(np.bool_)
        stored = table.schema.metadata
        base = PlacePrices.model_validate_json(stored[_BASE]) if _BASE in stored else None
        adjusted = stored.get(_ADJUSTED) == b"True"
        return cls(
            rows, held_out, json.loads(stored[_QUALITY]), stored.get(_RULE, SALT.encode()).decode(), base, adjusted
        )


def prepare(cleaned: Cleaned) -> PreparedDataset:
    """The prepared dataset of clean listings.

    Of listings with dates, an earlier listing of a home of the hold-out is in neither part: a model that has learned it
    knows the home.
    """
    rows, rule = cleaned.rows, rule_of(cleaned.rows)
    if not rule.startswith(BY_TIME):
        return PreparedDataset(rows, _held_out(rows, SALT), cleaned.quality())
    first_day = date.fromisoformat(rule.removeprefix(BY_TIME))
    history = history_of(rows)
    base = table_as_of(history, first_day)
    if base is not None:
        rows = rows.assign(**{TIME_FACTOR: time_factors(history, base)})
    training, holdout = split(rows, rule)
    kept = rows.loc[rows.index.isin(training.index) | rows.index.isin(holdout.index)]
    quality = cleaned.quality() | {
        "holdout": {"listed_from": first_day.isoformat(), "earlier_listings_left_out": len(rows) - len(kept)}
    }
    return PreparedDataset(kept, kept.index.isin(holdout.index), quality, rule, base)


def rule_of(rows: pd.DataFrame) -> str:
    """The rule of the hold-out of clean rows: by time if they have dates that divide them, else the hash."""
    if LISTED_ON not in rows or rows.empty:
        return SALT
    days = np.sort(rows[LISTED_ON].to_numpy(str))
    newest = days[int(len(days) * (1 - SHARE))]
    later = days[days > newest]
    for first_day in (newest, *later[:1]):
        if LEAST_SHARE <= (days >= first_day).mean() <= MOST_SHARE:
            return f"{BY_TIME}{first_day}"
    return SALT


def split(rows: pd.DataFrame, salt: str = SALT) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(training, hold-out) of clean rows, about 85 to 15. Other salts give other splits, to measure their variation.

    `salt` may be a rule by time (`rule_of`): then earlier listings of homes of the hold-out are in neither.
    """
    held_out = unseen_by(rows, salt)
    if not salt.startswith(BY_TIME):
        return rows[~held_out], rows[held_out]
    homes = pd.Series(home_keys(rows), index=rows.index)
    return rows[~homes.isin(set(homes[held_out]))], rows[held_out]


def unseen_by(rows: pd.DataFrame, rule: str) -> npt.NDArray[np.bool_]:
    """Which rows are in the hold-out of this rule. Raises InvalidInput for a rule by time and rows without dates."""
    if not rule.startswith(BY_TIME):
        return _held_out(rows, rule)
    if LISTED_ON not in rows:
        raise InvalidInput({"holdout": f"is {rule!r}, and the listings have no column {LISTED_ON}"})
    return np.asarray(rows[LISTED_ON] >= rule.removeprefix(BY_TIME), dtype=np.bool_)


def _held_out(rows: pd.DataFrame, salt: str) -> npt.NDArray[np.bool_]:
    homes = zip(*(rows[name].tolist() for name in HOME_COLUMNS), strict=True)
    return np.array([_position(home, salt) < SHARE for home in homes], dtype=np.bool_)


def _position(home: tuple[Hashable, ...], salt: str) -> float:
    """The position of a home in [0, 1). It ignores spelling and digits past a hundredth: files differ in them."""
    values = [f"{value:.2f}" if isinstance(value, int | float) else key_of(str(value)) for value in home]
    digest = hashlib.sha256("\x1f".join([salt, *values]).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def home_keys(rows: pd.DataFrame) -> list[tuple[Hashable, ...]]:
    """The home of each row without its price, comparable between tables.

    Homes are compared by the keys of their texts, as in cleaning: capitals, blanks and typographic signs are ignored.
    """
    return list(as_keys(rows[list(HOME_COLUMNS)]).fillna(-1).itertuples(index=False, name=None))


def priceable(rows: pd.DataFrame) -> pd.DataFrame:
    """The clean rows within the limits of the service, which `to_homes` returns."""
    return rows[[_parsed(values) is not None for values in _fields(rows, form=False)]]


def to_homes(rows: pd.DataFrame, *, form: bool = False) -> list[Home]:
    """Clean rows as the homes that visitors ask about, with the four fields of the form only when `form`.

    Rows beyond the limits of the service (an estate of several acres) are left out.
    """
    return to_priced_homes(rows, form=form)[0]


def to_priced_homes(rows: pd.DataFrame, *, form: bool = False) -> tuple[list[Home], npt.NDArray[np.float64]]:
    """`to_homes` with their prices."""
    homes, prices = [], []
    for values, price in zip(_fields(rows, form), rows["price"].tolist(), strict=True):
        if (home := _parsed(values)) is not None:
            homes.append(home)
            prices.append(price)
    return homes, np.array(prices, dtype=np.float64)


def _parsed(values: dict[str, Any]) -> Home | None:
    try:
        return Home.parse(values)
    except InvalidInput:
        return None


def _fields(rows: pd.DataFrame, form: bool) -> Iterator[dict[str, Any]]:
    names = REQUIRED if form else REQUIRED + OPTIONAL
    for record in rows.loc[:, list(names)].to_dict("records"):
        present = {str(name): value for name, value in record.items() if value != "" and not pd.isna(value)}
        yield {name: int(value) if name in WHOLE_NUMBERS else value for name, value in present.items()}
