"""The hold-out: the same homes in every version of the dataset, on which nothing is ever fitted.

The side is a hash of the home without its price, so that a home listed twice, even at two prices, is on one side, and a
row stays on its side when other rows come and go. Production and candidate can always be compared on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from homeprices.errors import InvalidInput
from homeprices.pricing.home import Home
from homeprices.pricing.inputs import OPTIONAL, REQUIRED, WHOLE_NUMBERS

SHARE = 0.15
# Fixed: a new input must not move homes between the sides.
HOME_COLUMNS = ("total_sqft", "location", "bhk", "bath", "area_type", "balcony", "availability", "society")

# Changing this changes the hold-out, and with it every comparison between an old model and a new one.
SALT = "homeprices hold-out 1"


def split(rows: pd.DataFrame, salt: str = SALT) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(training, hold-out) of clean rows, about 85 to 15. Another salt gives another split, to measure the spread."""
    held = pd.Series([_position(values, salt) < SHARE for values in _values(rows)], index=rows.index, dtype=bool)
    return rows[~held], rows[held]


def _values(rows: pd.DataFrame) -> zip[tuple[Hashable, ...]]:
    return zip(*(rows[name].tolist() for name in HOME_COLUMNS), strict=True)


def _position(values: tuple[Hashable, ...], salt: str) -> float:
    """Where a home falls in [0, 1). Text counts without capitals, numbers to a hundredth: files differ in them."""
    words = [f"{value:.2f}" if isinstance(value, int | float) else str(value).casefold() for value in values]
    digest = hashlib.sha256("\x1f".join([salt, *words]).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


# Clean listings as the homes that visitors ask about.


def to_homes(rows: pd.DataFrame, *, form: bool = False) -> list[Home]:
    """The rows that the service would take, as homes; with the four fields of the form only when `form`.

    A listing beyond the service's limits (an estate of several acres) is left out.
    """
    return to_priced_homes(rows, form=form)[0]


def to_priced_homes(rows: pd.DataFrame, *, form: bool = False) -> tuple[list[Home], npt.NDArray[np.float64]]:
    """`homes_of` with their prices, lakh rupees."""
    homes, prices = [], []
    for values, price in zip(_described(rows, form), rows["price"].tolist(), strict=True):
        try:
            homes.append(Home.parse(values))
        except InvalidInput:
            continue
        prices.append(price)
    return homes, np.array(prices, dtype=np.float64)


def _described(rows: pd.DataFrame, form: bool) -> Iterator[dict[str, Any]]:
    names = REQUIRED if form else REQUIRED + OPTIONAL
    for record in rows.loc[:, list(names)].to_dict("records"):
        present = {str(name): value for name, value in record.items() if value != "" and not pd.isna(value)}
        yield {name: int(value) if name in WHOLE_NUMBERS else value for name, value in present.items()}
