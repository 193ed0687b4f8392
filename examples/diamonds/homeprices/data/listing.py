"""What a row of the diamonds' table is: its columns, what makes one unusable, and what its columns mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from homeprices.pricing.inputs import CLARITIES, COLOURS, CUTS, OPTIONAL, REQUIRED

COLUMNS = (*REQUIRED, *OPTIONAL, "price")
NUMBER_COLUMNS = ("carat", "depth", "table", "price")
MEASURES = NUMBER_COLUMNS
PARSERS: Mapping[str, Callable[[str], float | None]] = {}
HOME_COLUMNS = ("carat", "clarity", "cut", "color", "depth", "table")
MISSING_REASONS = {name: f"no_{name}" for name in (*REQUIRED, "price")}
RULES: Mapping[str, tuple[str, Callable[[pd.DataFrame], pd.Series]]] = {}
UNKNOWN_WORDS: Mapping[str, tuple[Callable[[str], bool], str]] = {
    "color": (lambda text: text not in COLOURS, f"colour that is none of {', '.join(COLOURS)}, not priced"),
    "cut": (lambda text: text not in CUTS, f"cut that is none of {', '.join(CUTS)}, not priced"),
}
# Wide: the medians of the public table are 0.7 carats and 3,500 dollars a carat.
MEANINGS: tuple[tuple[str, str, float, float, Callable[[pd.DataFrame], float]], ...] = (
    ("carat", "carats in the middle", 0.2, 3, lambda rows: rows["carat"].median()),
    ("depth", "percent of depth in the middle", 50, 70, lambda rows: rows["depth"].median()),
    ("price", "dollars a carat in the middle", 500, 30_000, lambda rows: (rows["price"] / rows["carat"]).median()),
    ("clarity", "share of clarities that are known", 0.5, 1, lambda rows: rows["clarity"].isin(CLARITIES).mean()),
)
