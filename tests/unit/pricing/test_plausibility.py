import pytest

from homeprices.pricing.home import Home
from homeprices.pricing.inputs import AREA, BATHS, BEDROOMS
from homeprices.pricing.plausibility import unusual_inputs

RANGES = {AREA: (300.0, 20_000.0), BEDROOMS: (1.0, 9.0), BATHS: (1.0, 9.0), "balcony": (0.0, 3.0)}


def home(area: float, bedrooms: int, baths: int, **more: object) -> Home:
    return Home.parse({"total_sqft": area, "location": "Hebbal", "bhk": bedrooms, "bath": baths, **more})


@pytest.mark.parametrize(
    ("described", "found"),
    [
        (home(1200, 2, 2), {}),
        (home(300, 3, 9), {}),
        (home(20_000, 2, 2, balcony=3), {}),
        (home(300, 9, 3), {AREA: "300 square feet with 9 bedrooms: homes have 100 to 10,000 each"}),
        (home(10_001, 1, 1), {AREA: "10,001 square feet with 1 bedroom: homes have 100 to 10,000 each"}),
        (home(1200, 1, 4), {BATHS: "4 bathrooms with 1 bedroom: homes have 0.3 to 3 for each bedroom"}),
        (home(1200, 4, 1), {BATHS: "1 bathroom with 4 bedrooms: homes have 0.3 to 3 for each bedroom"}),
        (home(299, 1, 1), {AREA: "299 square feet: the model has seen 300 to 20,000"}),
        (home(2000, 10, 9), {BEDROOMS: "10 bedrooms: the model has seen 1 to 9"}),
        (home(1200, 2, 2, balcony=4), {"balcony": "4 balconies: the model has seen 0 to 3"}),
    ],
)
def test_what_is_unusual_about_a_home_is_said_by_input(described: Home, found: dict[str, str]) -> None:
    assert unusual_inputs(described, RANGES) == found


def test_an_input_whose_range_a_bundle_does_not_have_is_not_judged() -> None:
    assert unusual_inputs(home(299, 1, 1, balcony=9), {}) == {}
