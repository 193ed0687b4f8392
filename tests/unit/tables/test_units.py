import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeprices.tables.units import area_factor, bedrooms, lakh_factor, parse_area


@pytest.mark.parametrize(
    ("text", "square_feet"),
    [
        ("1200", 1200),
        ("1200.5", 1200.5),
        (".5", 0.5),
        ("1,200", 1200),
        (" 1200 ", 1200),
        ("1200 sqft", 1200),
        ("+1200", 1200),
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
        ("36,50,000", 3_650_000),
        ("1e+05", 100_000),
        ("1,200 – 1,400 sq. ft.", 1_300),
        ("120 m²", 1291.67),
        ("120 sq mt", 1291.67),
        ("100 gaj", 900),
        ("1 hectare", 107_639.1),
    ],
)
def test_every_way_to_write_an_area_becomes_square_feet(text: str, square_feet: float) -> None:
    assert parse_area(text) == pytest.approx(square_feet, abs=0.01)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "large",
        "-1200",
        "0",
        "0 - 0",
        "12 bananas",
        "1 - 2 - 3",
        "nan",
        "١٢٠٠",
        "1,2,3",
        "1050,5",
        "9" * 5000,
        "1200 - ",
        "1200²",
        "12,00 Sq. Meter",
    ],
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


@pytest.mark.parametrize(
    ("text", "rooms"),
    [("3 BHK", 3), ("4 Bedroom", 4), ("１ rk", 1), ("999 BHK", 999), ("3", 3), (" 3.0 ", 3), ("３", 3)],
)
def test_a_size_is_bedrooms(text: str, rooms: float) -> None:
    assert bedrooms(text) == rooms


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0 BHK",
        "Studio",
        "2.5 BHK",
        "2.5",
        "0",
        "-3",
        "1200",
        "2.0 BHK",
        "2 3",
        "1000 BHK",
        "²BHK",
        "²",
        "9" * 5000 + " BHK",
    ],
)
def test_what_is_no_size_is_none(text: str) -> None:
    assert bedrooms(text) is None


@pytest.mark.parametrize(
    ("unit", "lakhs"),
    [("Cr", 100), ("crore", 100), ("Rs. Cr", 100), ("L", 1), ("Lac", 1), ("Lakhs", 1), ("", 1), ("-", 1), ("K", 0.01),
     ("Rs", 0.00001), ("₹", 0.00001), ("INR (Lakh)", 1), ("Rs. in Lakhs", 1), ("₹Cr", 100),
     ("in crore", 100), ("Million", 10)],
)  # fmt: skip
def test_a_price_unit_is_worth_so_many_lakh(unit: str, lakhs: float) -> None:
    assert float(lakh_factor(unit) or 0) == lakhs


@pytest.mark.parametrize("unit", ["USD", "c", "Crl", "per sqft", "0"])
def test_an_unknown_unit_has_no_worth(unit: str) -> None:
    assert lakh_factor(unit) is None
    assert area_factor(unit) is None
