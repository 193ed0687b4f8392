"""The prepared dataset: clean rows, the hold-out flag of each, and the quality counts, made once per training run.

The hold-out is the same homes in every version of the dataset, and no model is ever fitted on them. A hash of the home
without its price decides. So a home that is listed twice, even at two prices, is on one side, and a row keeps its side
when other rows come and go. Production and candidate can always be compared on it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from homeprices.data.cleaning import Cleaned, as_keys
from homeprices.data.listing import HOME_COLUMNS as HOME_COLUMNS
from homeprices.errors import InvalidInput
from homeprices.pricing.home import Home
from homeprices.pricing.inputs import OPTIONAL, REQUIRED, TEXTS, WHOLE_NUMBERS
from homeprices.pricing.manifest import DatasetReference
from homeprices.tables.cells import key_of

SHARE = 0.15

# Changing this changes the hold-out, and with it every comparison between an old model and a new one.
SALT = "homeprices hold-out 1"

_HELD_OUT = "held_out"
_QUALITY = b"quality"


@dataclass(frozen=True, eq=False)
class PreparedDataset:
    """Clean rows, which of them are the hold-out, and the quality report (`Cleaned.quality()`)."""

    rows: pd.DataFrame
    held_out: npt.NDArray[np.bool_]
    quality: dict[str, Any]

    @property
    def training(self) -> pd.DataFrame:
        """The rows that models are fitted on."""
        return self.rows[~self.held_out]

    @property
    def holdout(self) -> pd.DataFrame:
        """The rows that models are measured on."""
        return self.rows[self.held_out]

    def reference(self, **dataset: Any) -> DatasetReference:
        """The entry in a bundle's manifest for the stored file that these rows come from.

        `dataset` has the version, key, sha256, source and time of import of the file.
        """
        return DatasetReference(
            **dataset,
            rows=self.quality["rows"],
            rows_used=len(self.rows),
            holdout=SALT,
        )

    def to_parquet(self) -> bytes:
        """A Parquet file, from which `from_parquet` gives the same rows in the same order with the same index."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pandas(self.rows.assign(**{_HELD_OUT: self.held_out}))
        table = table.replace_schema_metadata({**table.schema.metadata, _QUALITY: json.dumps(self.quality).encode()})
        body = io.BytesIO()
        pq.write_table(table, body)
        return body.getvalue()

    @classmethod
    def from_parquet(cls, body: bytes) -> PreparedDataset:
        """The dataset that `to_parquet` wrote."""
        import pyarrow.parquet as pq

        table = pq.read_table(io.BytesIO(body))
        rows = table.to_pandas().astype(dict.fromkeys(TEXTS, object))
        held_out = rows.pop(_HELD_OUT).to_numpy(np.bool_)
        return cls(rows, held_out, json.loads(table.schema.metadata[_QUALITY]))


def prepare(cleaned: Cleaned) -> PreparedDataset:
    """The prepared dataset of clean listings."""
    return PreparedDataset(cleaned.rows, _held_out(cleaned.rows, SALT), cleaned.quality())


def split(rows: pd.DataFrame, salt: str = SALT) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(training, hold-out) of clean rows, about 85 to 15. Other salts give other splits, to measure their variation."""
    held_out = _held_out(rows, salt)
    return rows[~held_out], rows[held_out]


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
