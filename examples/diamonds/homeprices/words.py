"""The words for what is priced: diamonds, in dollars."""

from __future__ import annotations

from typing import Final

TITLE: Final = "Diamond prices"
SUBJECT: Final = "the price of a cut diamond"
DESCRIBED: Final = "Prices of diamonds"
ITEM: Final = "diamond"
ITEMS: Final = "diamonds"
GROUP: Final = "clarity"
GROUPS: Final = "clarities"
IN: Final = "of"
GROUPS_LEARNED: Final = "clarities"
CITY: Final = "all clarities"
WHOLE: Final = "all clarities"
EVERYWHERE: Final = "all clarities"
GROUP_HINT: Final = "From I1, with inclusions that the eye sees, to IF, internally flawless."
ICON: Final = "M2.5 9h19L12 21zM2.5 9 7 4h10l4.5 5M8 9l4 12 4-12-4-5z"

DEMAND: Final = ("clarity", "clarities")
RATE_NOTE: Final = "per carat in dollars"
BAND: Final = 1_000
APPRAISALS: Final = "appraisals of older or unlike buildings, since there is no standard for gems"
PRICE_UNIT: Final = "dollars"
SHORT_PRICE_UNIT: Final = "dollars"
SYMBOL: Final = "$"
WITH_CURRENCY: Final = "{unit} dollars"
COUNTED: Final = 1

ADDED: Final = "dollars"
RATE: Final = "dollars_per_carat"
SHOWN: Final = ("carat", "depth")
RATE_UNIT: Final = "dollars a carat"
A_UNIT: Final = "a carat"

USE: Final = """It gives a first idea of a price
and is no appraisal of a stone. It was trained on list prices, not on those that buyers paid."""
NOT_STORED: Final = "ids, certificates, cuts, colours, names and any other text"
UNUSED: Final = "fluorescence, symmetry, polish or certificates, nor changes since its data was collected"
UNCONSTRAINED: Final = "depth and table"


def number_and_unit(price: float) -> tuple[str, str]:
    """Return a price as people write it, and its unit behind it: none, because the symbol stands before it."""
    return f"{price:,.0f}", ""
