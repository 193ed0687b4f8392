"""The numbers of a listing that people write in units, and which of them go together.

Plain data, which `ratios`, `data.columns` and `pricing.plausibility` apply. Serving imports this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RUPEES_A_LAKH = 100_000

UNIT_COLUMNS: Mapping[str, frozenset[str]] = {
    "price": frozenset({"price_unit", "price_units", "unit_of_price", "price_in"}),
    "total_sqft": frozenset(
        {"area_unit", "area_units", "unit_of_area", "total_sqft_unit", "total_sqft_units", "sqft_unit", "area_in"}
    ),
}
"""Names of a column of units, by the column that it describes. A currency is no unit of a price: it names no lakh."""

RANGED = frozenset({"total_sqft"})
"""Columns whose cells may be two numbers, from and to, with a unit behind them."""

AREA_A_BEDROOM = (100.0, 10_000.0)
"""Square feet. Of the public listings 0.4 % lie outside; those are errors or plots."""

BATHS_A_BEDROOM = (0.3, 3.0)
"""None of the public listings lies outside."""

MEASURED: tuple[str, ...] = ("total_sqft", "bhk", "bath")
"""What a table of homes without prices has."""

RATIOS: tuple[tuple[Any, ...], ...] = (
    ("price", "total_sqft", "rupees a square foot", 500, 100_000, 0.0015,
     "{price:,.12g} lakh for {total_sqft:,.12g} square feet", RUPEES_A_LAKH),
    ("total_sqft", "bhk", "square feet a bedroom", *AREA_A_BEDROOM, 0.004,
     "{total_sqft:,.12g} square feet with {bhk:g} bedrooms"),
    ("bath", "bhk", "baths a bedroom", *BATHS_A_BEDROOM, 0.0002, "{bath:,.12g} baths with {bhk:g} bedrooms"),
)  # fmt: skip
"""The members of each `ratios.Ratio`."""

SCALED: tuple[tuple[str, str, float], ...] = (
    ("prices in crore, not in lakh rupees", "price", 100),
    ("prices in rupees, not in lakh rupees", "price", 1 / RUPEES_A_LAKH),
    ("prices in thousand rupees, not in lakh", "price", 0.01),
    ("areas in square metres or square yards, not in square feet", "total_sqft", 10),
)
"""What people get wrong about a unit: the cause, the column, and what it must be multiplied with."""

EXCHANGED: tuple[tuple[str, str], ...] = (
    ("price", "total_sqft"), ("price", "bath"), ("price", "balcony"), ("total_sqft", "bath"), ("total_sqft", "bhk"),
)  # fmt: skip
"""Columns that people exchange."""

TOGETHER: tuple[tuple[str, str, tuple[float, float], str], ...] = (
    ("total_sqft", "bhk", AREA_A_BEDROOM, "{one} square feet with {other}: homes have {limits} each"),
    ("bath", "bhk", BATHS_A_BEDROOM, "{counted} with {other}: homes have {limits} for each bedroom"),
)
"""An input that is divided by another one, the limits, and the sentence for a visitor whose home lies outside."""
