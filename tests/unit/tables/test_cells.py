"""What a cell means. The examples are those of public files and bug reports, and their near misses."""

import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeprices.tables import cells
from homeprices.tables.cells import (
    LATER,
    MISSING,
    READY,
    UNKNOWN,
    comma_forms,
    has_decimal_comma,
    is_missing,
    key_of,
    number,
    status,
    tidy,
    with_decimal_point,
)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "\t\n", "\u00a0", " " * 100, "NA", "na", " N/A ", "n.a.", "NULL", "Null", "nan", "NaN", "none", "None",
        "-", "–", "—", "--", "#N/A", "#n/a", "#VALUE!", "#REF!", "#DIV/0!", "<NA>", "ＮＡ", "\ufeff", "Not  Available",
    ],
)  # fmt: skip
def test_these_texts_stand_for_a_missing_value(text: str) -> None:
    assert is_missing(text)


@pytest.mark.parametrize("text", ["0", "Nana", "NA Block", "No", "Nullify", "-1", "Nandi Hills", ".", "N" * 5000])
def test_these_texts_are_values(text: str) -> None:
    assert not is_missing(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1200", 1200), (" 1200 ", 1200), ("1200.", 1200), ("1200.50", 1200.5), (".5", 0.5), ("-5", -5), ("+5", 5),
        ("0", 0), ("007", 7), ("1,200", 1200), ("12,345.6", 12_345.6), ("1,234,567", 1_234_567), ("-1,200", -1200),
        ("36,50,000", 3_650_000), ("1,20,000.5", 120_000.5), ("1,05,36,50,000", 1_053_650_000), ("1e+05", 100_000),
        ("1e3", 1000),
        ("1.1E+07", 11_000_000), ("5e-02", 0.05), ("１２００", 1200), ("−5", -5), ("1\u00a0", 1), ("\ufeff12", 12),
        ("0.30000000000000004", 0.30000000000000004),
    ],
)  # fmt: skip
def test_a_number_is_read(text: str, value: float) -> None:
    assert number(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "", "-", "nan", "inf", "-Infinity", "1,2,3", "1050,5", "12,34", "1,20", "1,2000", ",200", "1,,200", "1,200,",
        "1.234,5", "1.2.3", "0,500", "00,500", "1e", "1e400", "0x10", "1_200", "1 200", "1'200", "12½", "10²", "①",
        "١٢٠٠", "₹5", "1 Cr", "5 lakh", "Ⅻ", "9" * 16, "9" * 5000, "1200 1300", "1-2", "--5", "3,650,00", "36,50,00",
    ],
)  # fmt: skip
def test_what_is_no_number_is_none_and_never_guessed(text: str) -> None:
    assert number(text) is None


@given(st.text(max_size=60))
def test_any_text_is_a_finite_number_or_none(text: str) -> None:
    value = number(text)
    assert value is None or math.isfinite(value)
    assert number(f"  {text}\n") == value


@given(st.floats(-9e14, 9e14, allow_subnormal=False).filter(lambda value: value == 0 or abs(value) > 1e-3))
def test_what_python_writes_of_a_number_is_read_back(value: float) -> None:
    assert number(repr(value)) == value


@given(st.integers(0, 10**12))
def test_both_groupings_of_a_whole_number_are_read(value: int) -> None:
    head, tail = divmod(value, 1000)
    pairs: list[str] = []
    while head > 99:
        head, pair = divmod(head, 100)
        pairs.insert(0, f"{pair:02}")
    indian = ",".join([*([str(head)] if head or pairs else []), *pairs, f"{tail:03}"]) if value > 999 else str(value)
    assert number(f"{value:,}") == number(indian) == value


@pytest.mark.parametrize("text", ["1050,5", "1050,50", "0,5", "1.050,5", "12.345.678,9", "-34,46", "1050,500"])
def test_a_comma_that_can_only_be_a_decimal_one(text: str) -> None:
    assert has_decimal_comma(text)
    assert number(with_decimal_point(text)) == float(text.replace(".", "").replace(",", "."))


@pytest.mark.parametrize(
    "text", ["1050", "1050.5", "1,050", "36,50,000", "1,2,3", "1.05,5", "", "a,5", "9" * 50 + ",5"]
)
def test_a_comma_that_may_be_something_else(text: str) -> None:
    assert not has_decimal_comma(text)
    assert with_decimal_point(text) == text


@pytest.mark.parametrize(
    ("column", "plain"),
    [
        (["1050,5", "1780", "34,46", "", "large", "1,2,3"], True),
        (["1780", "1200"], False),
        (["1050,5", "1,200"], False),
        (["1050,5", "1200.5"], False),
        (["1,200", "36,50,000"], False),
    ],
)
def test_a_column_has_a_decimal_comma_when_no_number_speaks_against_it(column: list[str], plain: bool) -> None:
    assert comma_forms(column).is_decimal is plain


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (" Cooke  Town", "cooke town"),
        ("Café Road", "CAFE\u0301 ROAD"),
        ("St. John’s", "st. john's"),
        ("Sarjapur – Attibele", "Sarjapur - Attibele"),
        ("“A” Block", '"a" block'),
        ("HSR\u00a0Layout", "hsr layout"),
        ("ＨＳＲ Layout", "HSR Layout"),
        ("White\u200bfield", "Whitefield"),
        ("Straße", "STRASSE"),
    ],
)
def test_spellings_of_one_name_have_one_key(one: str, other: str) -> None:
    assert key_of(one) == key_of(other)


def test_other_names_have_other_keys() -> None:
    assert len({key_of(name) for name in ("Hebbal", "Hebbala", "He bbal", "Hébbal")}) == 4


@given(st.text())
def test_a_key_is_its_own_key(text: str) -> None:
    assert key_of(key_of(text)) == key_of(text) == key_of(f" {tidy(text)} ")


READY_TEXTS = ["Ready To Move", "ready_to_move", "READY-TO-MOVE", "Immediate Possession", "ready", "Ready to move in",
               "Immediately", "Ready for possession"]  # fmt: skip
LATER_TEXTS = ["Almost_ready", "Not ready before 2028", "Ready to move from Dec 2028", "18-Dec", "Dec-28", "21-Aug",
               "Possession by Dec'28", "2028-12-31", "2028-12-31 00:00:00", "31/12/2028", "within 6 months", "12/28",
               "Ready in 3 months", "Under Construction", "Under_construction", "New Launch", "Nearly ready", "Q4 2028",
               "Not immediate", "Ready soon", "Expected by March 2029", "2029"]  # fmt: skip
UNKNOWN_TEXTS = ["Already sold", "why not", "Unready", "Readymade", "Alreadyready", "Bready", "Ready?! or sold",
                 "3", "45234", "Resale", "no possession now", "Ready to sell", "Decor", "ready " * 30,
                 "9" * 5000]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        *((text, READY) for text in READY_TEXTS),
        *((text, LATER) for text in LATER_TEXTS),
        *((text, UNKNOWN) for text in UNKNOWN_TEXTS),
        *((text, MISSING) for text in ("", " ", "NA", "nan", "-", "#N/A")),
    ],
)
def test_a_status_is_read_by_whole_words(text: str, meaning: str) -> None:
    assert status(text) == meaning


@given(st.text())
def test_any_status_has_one_of_four_meanings(text: str) -> None:
    assert status(text) in {READY, LATER, UNKNOWN, MISSING}


def test_serving_can_import_it_because_it_needs_the_standard_library_only() -> None:
    script = (
        f"import {cells.__name__}, sys; print(sorted({{m.split('.')[0] for m in sys.modules}} & {{'pandas', 'numpy'}}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
