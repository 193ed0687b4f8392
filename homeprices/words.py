"""The words for what is priced, in the sentences that visitors, data scientists and operators read.

With the inputs (`pricing/inputs.py`) and the form's texts (`inference/`), they are what a reader meets of the product's
subject. Standard library only, because Airflow and serving import this module.
"""

from __future__ import annotations

from typing import Final

TITLE: Final = "Bangalore home prices"
SUBJECT: Final = "the asking price of a home in Bangalore"
DESCRIBED: Final = "Prices of homes in Bangalore"
ITEM: Final = "home"
ITEMS: Final = "homes"
GROUP: Final = "place"
GROUPS: Final = "places"
"""What the values of `LOCATION` are; `IN` stands between homes and these."""
IN: Final = "in"
GROUPS_LEARNED: Final = "locations"
CITY: Final = "the city"
WHOLE: Final = "the whole city"
EVERYWHERE: Final = "Bangalore"
"""The name of all places together."""
GROUP_HINT: Final = "Type a few letters. Places that are not listed can be priced too."

ICON: Final = "M3.5 11.2 12 4l8.5 7.2M6 9.6V20h12V9.6M10 20v-5.5h4V20"
"""The path of the form's symbol, in a square of 24."""

DEMAND: Final = ("area", "areas")
"""What the places are on the dashboard of the business."""
RATE_NOTE: Final = "per square foot in rupees"
BAND: Final = 25
"""The width of the bands of estimates on the dashboard of the model, in the unit of prices."""

APPRAISALS: Final = "appraisals of older or unlike houses"

PRICE_UNIT: Final = "lakh rupees"
SYMBOL: Final = "₹"
WITH_CURRENCY: Final = "{unit} rupees"
SHORT_PRICE_UNIT: Final = "lakh"
COUNTED: Final = 100_000
"""How many of the unit of a rate, rupees, one unit of a price is."""

# Members of an explanation. They are contracts of the API.
ADDED: Final = "lakh"
RATE: Final = "rupees_per_sqft"
SHOWN: Final = ("area", "bedrooms")
"""The numbers of a listing, those of `AREA` and `SECOND`."""
RATE_UNIT: Final = "rupees a square foot"
A_UNIT: Final = "a square foot"

USE: Final = """It gives a first idea of a price
and must not be used for decisions on loans, taxes or admission. It was trained on the prices that sellers asked, not on
those that buyers paid."""
NOT_STORED: Final = "ids, societies, addresses, names and any other text"
UNUSED: Final = "floor, age, view, furnishing or the state of a home, nor changes since its data was collected"
UNCONSTRAINED: Final = "rooms and balconies"

_LAKH_A_CRORE = 100


def number_and_unit(price: float) -> tuple[str, str]:
    """Return a price as people write it: `78.2`, `lakh`, or from 100 lakh on, `1.12`, `crore`."""
    return (f"{price:.1f}", "lakh") if price < _LAKH_A_CRORE else (f"{price / _LAKH_A_CRORE:.2f}", "crore")
