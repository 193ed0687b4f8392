"""The numbers of a diamond, and which of them go together. No unit is written in a cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNIT_COLUMNS: Mapping[str, frozenset[str]] = {}
RANGED: frozenset[str] = frozenset()
MEASURED: tuple[str, ...] = ("carat",)
RATIOS: tuple[tuple[Any, ...], ...] = (
    ("price", "carat", "dollars a carat", 300, 50_000, 0.0001, "{price:,.12g} dollars for {carat:,.12g} carats"),
)
SCALED: tuple[tuple[str, str, float], ...] = (
    ("prices in cents, not in dollars", "price", 0.01),
    ("weights in milligrams, not in carats", "carat", 0.005),
)
EXCHANGED: tuple[tuple[str, str], ...] = (("price", "carat"),)
TOGETHER: tuple[tuple[str, str, tuple[float, float], str], ...] = ()
