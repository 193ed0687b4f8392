"""Clean listings as the homes that visitors ask about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from homeprices.errors import InvalidInput
from homeprices.pricing.features import OPTIONAL, REQUIRED
from homeprices.pricing.home import Home

_WHOLE = ("bhk", "bath", "balcony")


def homes_of(rows: pd.DataFrame, *, form: bool = False) -> list[Home]:
    """The rows that the service would take, as homes; with the four fields of the form only when `form`.

    A listing beyond the service's limits (an estate of several acres) is left out.
    """
    return priced_homes_of(rows, form=form)[0]


def priced_homes_of(rows: pd.DataFrame, *, form: bool = False) -> tuple[list[Home], npt.NDArray[np.float64]]:
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
        yield {name: int(value) if name in _WHOLE else value for name, value in present.items()}
