import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeprices.data.cleaning import parse_area


@pytest.mark.parametrize(
    ("text", "square_feet"),
    [
        ("1200", 1200),
        ("1200.5", 1200.5),
        (".5", 0.5),
        ("1,200", 1200),
        (" 1200 ", 1200),
        ("1200 sqft", 1200),
        ("1200 Sq.Ft.", 1200),
        ("1056 - 1200", 1128),
        ("1056-1200", 1128),
        ("34.46Sq. Meter", 370.92),
        ("100 - 120Sq. Meter", 1184.03),
        ("1500Sq. Yards", 13_500),
        ("2.09Acres", 91_040.4),
        ("1 Acre", 43_560),
        ("5.31Guntha", 5_782.59),
        ("2Cents", 871.2),
        ("4125Perch", 1_123_031.25),
        ("15Grounds", 36_000),
    ],
)
def test_every_way_to_write_an_area_becomes_square_feet(text: str, square_feet: float) -> None:
    assert parse_area(text) == pytest.approx(square_feet, abs=0.01)


@pytest.mark.parametrize(
    "text", ["", "-", "large", "-1200", "0", "0 - 0", "12 bananas", "1 - 2 - 3", "1e3", "nan", "١٢٠٠"]
)
def test_what_is_no_area_is_none(text: str) -> None:
    assert parse_area(text) is None


@given(st.floats(1, 1e6), st.floats(1, 1e6))
def test_a_range_is_its_middle_in_either_order(low: float, high: float) -> None:
    found = parse_area(f"{low:.2f} - {high:.2f}")
    assert found == pytest.approx((low + high) / 2, abs=0.01)
    assert parse_area(f"{high:.2f} - {low:.2f}") == pytest.approx(found)


@given(st.text())
def test_no_text_makes_it_fail(text: str) -> None:
    found = parse_area(text)
    assert found is None or found > 0
