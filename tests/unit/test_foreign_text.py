"""Foreign text is cut, and nothing in it acts on a terminal, a page or the text around it."""

from __future__ import annotations

import pytest

from homeprices.errors import InvalidInput
from homeprices.foreign_text import SHORT, printable, quoted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Whitefield", "Whitefield"),
        ("ಬೆಂಗಳೂರು, 3rd Block", "ಬೆಂಗಳೂರು, 3rd Block"),
        ("ಕ್\u200dಷ", "ಕ್\u200dಷ"),
        ("a\x1b[31mred\x1b[0m", "a\\x1b[31mred\\x1b[0m"),
        ("two\r\nlines\t", "two\\x0d\\x0alines\\x09"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("\u2066isolated\u2069", "\\u2066isolated\\u2069"),
        ("no\u2028line\ufeff", "no\\u2028line\\ufeff"),
        ("no\u00a0break", "no break"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("\x9b31m", "\\x9b31m"),
    ],
)
def test_what_a_reader_cannot_see_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_long_text_is_cut_whatever_it_consists_of() -> None:
    assert printable("x" * SHORT) == "x" * SHORT
    for text in ("x" * 10**6, "\x1b" * 10**6, "\x1b" * SHORT):
        assert len(printable(text)) == SHORT
        assert printable(text).endswith("…")


def test_a_quotation_cannot_be_ended_from_within() -> None:
    assert quoted("a” is fine, “b") == '“a" is fine, "b”'


def test_an_error_names_few_fields_and_cuts_each() -> None:
    error = InvalidInput({f"{number}\x1b" + "n" * 1_000: "p" * 5_000 for number in range(1_000)}, more=5)
    assert len(error.fields) == 21
    assert error.fields["more"] == "985 more fields are wrong"
    assert "\x1b" not in error.detail
    assert len(error.detail) < 20 * 1_000
