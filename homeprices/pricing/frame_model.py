"""Prices the homes of a pandas DataFrame as the API prices them, for what MLflow loads from a bundle.

A bundle carries a copy of this package (`training/mlflow_model.py`), so these modules import nothing else of
homeprices. Serving does not import this module, because it has no pandas.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from homeprices.errors import InvalidInput
from homeprices.pricing.bundle import Bundle
from homeprices.pricing.home import Home
from homeprices.pricing.inputs import INPUT, SPELT
from homeprices.pricing.manifest import MANIFEST_FILE
from homeprices.pricing.market import PlacePrices
from homeprices.pricing.predictor import PRICE_DIGITS, Predictor
from homeprices.tables.cells import is_missing, number

TAKEN = (*INPUT, *SPELT)
ANSWERED = ("estimated_price", "low", "high")
HOMES_A_CALL = 4096  # bounds the memory of a call of the model
ROWS_SHOWN = 3
_VALUE_SHOWN = 40


class FrameModel:
    """The model of a bundle folder, published or draft.

    `place_prices` is a table that `homeprices features --as-of` has written: a model that uses place prices prices at
    its levels, and without it at those of its training. Raises BundleRefused.
    """

    def __init__(self, folder: Path, place_prices: Path | None = None) -> None:
        published = (folder / MANIFEST_FILE).exists()
        self._predictor = Predictor(Bundle.open(folder) if published else Bundle.open_draft(folder))
        if place_prices is not None:
            self._predictor.use_place_prices(PlacePrices.model_validate_json(place_prices.read_bytes()))

    def predict(self, homes: pd.DataFrame) -> pd.DataFrame:
        """Return price and interval of each row in lakh rupees, rounded as in the API; the index is that of `homes`.

        Columns have the API's names, or those of `SPELT`. Other columns are ignored. An absent column, None,
        NaN and NA are missing. Raises InvalidInput that names the first wrong rows: then no row is priced.
        """
        parsed = _homes(homes)
        estimates = [
            estimate
            for start in range(0, len(parsed), HOMES_A_CALL)
            for estimate in self._predictor.estimate(parsed[start : start + HOMES_A_CALL])
        ]
        rows = [
            [round(value, PRICE_DIGITS) for value in (estimate.price, estimate.low, estimate.high)]
            for estimate in estimates
        ]
        return pd.DataFrame(rows, columns=list(ANSWERED), index=homes.index, dtype=float)


def _homes(frame: pd.DataFrame) -> list[Home]:
    names = [name for name in TAKEN if name in frame.columns]
    if twice := [name for name in names if isinstance(frame[name], pd.DataFrame)]:
        raise InvalidInput({twice[0]: "is given more than once"})
    columns = [frame[name].astype(object).where(frame[name].notna(), None).tolist() for name in names]
    if not names:
        raise InvalidInput({"columns": f"none of {', '.join(TAKEN)} is there, but {_shown(list(frame.columns))}"})
    homes: list[Home] = []
    refused: list[str] = []
    for label, cells in zip(frame.index, zip(*columns, strict=True), strict=True):
        given = {name: cell for name, cell in zip(names, cells, strict=True) if cell is not None}
        try:
            homes.append(Home.parse(_with_spelt({name: _plain(value) for name, value in given.items()})))
        except InvalidInput as error:
            problems = (f"{name} {_shown(given.get(name))}: {why}" for name, why in error.fields.items())
            refused.append(f"row {label}: {', '.join(problems)}")
    if refused:
        more = len(refused) - ROWS_SHOWN
        shown = "; ".join([*refused[:ROWS_SHOWN], *([f"and {more:,} more rows"] if more > 0 else [])])
        raise InvalidInput({"rows": shown})
    return homes


def _plain(value: Any) -> Any:
    """The Python value of a numpy scalar, which a column of mixed types holds; any other value as it is."""
    return value.item() if hasattr(value, "item") else value


def _with_spelt(values: dict[str, Any]) -> dict[str, Any]:
    """The inputs with those that a column of `SPELT` gives.

    Raises InvalidInput when a text holds no number, or contradicts the input.
    """
    for column, spelling in SPELT.items():
        text, name = values.pop(column, None), spelling.name
        if text is None or is_missing(str(text)):
            continue
        found = spelling.read(str(text))
        if found is None:
            raise InvalidInput({column: f"must be {spelling.expected}"})
        if name in values and number(str(values[name])) != found:
            raise InvalidInput({column: f"is not {_shown(values[name])}, which {name} is; give one of them"})
        values[name] = int(found)
    return values


def _shown(value: Any) -> str:
    text = "is missing" if value is None else repr(value)
    return text if len(text) <= _VALUE_SHOWN else f"{text[:_VALUE_SHOWN]}…"
