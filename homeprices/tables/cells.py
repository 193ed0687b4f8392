"""Parse one cell of a table: a missing value, a number, the key of a text, an availability.

Import, evaluation, drift, batch jobs and the API all use this module, so they read a cell alike. It does not guess: a
text with two readings is not a number, and an unknown status word is `unknown`, never the nearest known one.
The module imports the standard library only, because serving uses it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

CACHED_SPELLINGS = 8192  # texts whose tidy form and key are cached: homes share their texts, and a batch has many

LONGEST_NUMBER = 40
"""Characters of a trimmed cell that may be a number or a missing word. A float of 17 digits has up to 24."""

LONGEST_TEXT = 100
"""Characters of a name or another text of a home."""

MISSING_WORDS = frozenset(
    {
        *("", "-", "--", "---", "na", "n/a", "n.a.", "n.a", "nan", "-nan", "nat", "nil", "none", "null"),
        *("<na>", "(null)", "(none)", "<null>", "unknown", "undefined", "not available", "not applicable"),
        *("n / a", "\\n"),
        *("#n/a", "#n/a n/a", "#na", "#value!", "#ref!", "#div/0!", "#name?", "#num!", "#null!"),
    }
)
"""Keys (`key_of`) of the texts that stand for a missing value. Databases export `\\N`; the last line is what
spreadsheets write."""

_TYPOGRAPHIC = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′´`ʼ＇", "'"),
        **dict.fromkeys("“”„‟″«»＂", '"'),
        **dict.fromkeys("‐‑‒–—―−﹘﹣－", "-"),
    }
)


@lru_cache(maxsize=CACHED_SPELLINGS)
def tidy(text: str) -> str:
    """The text with single spaces, and none at its ends."""
    return " ".join(text.split())


@lru_cache(maxsize=CACHED_SPELLINGS)
def key_of(text: str) -> str:
    """The key that all spellings of one text share.

    It ignores capitals, repeated spaces, invisible characters, typographic quotes and dashes, and the Unicode form
    (NFKC) of letters.
    """
    if text.isascii():
        return tidy(text).casefold()
    plain = text.translate(_TYPOGRAPHIC)  # before NFKC, which makes a space and an accent of some quotes
    visible = "".join(char for char in plain if unicodedata.category(char) != "Cf")
    # Folding can undo the normal form, and the normal form can make capitals: both twice, as Unicode's own rule does.
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", visible).casefold())
    return tidy(unicodedata.normalize("NFKC", folded.casefold()))


def has_controls(text: str) -> bool:
    """Whether the text holds a control character or half of a character, beside blanks: then it is no word."""
    return not text.isprintable() and bool(_CONTROLS.search(tidy(text)))


def word(text: str) -> str:
    """The text with single spaces; '' for one that stands for a missing value, is too long or has control characters.

    The API refuses a home with a text of the last two kinds.
    """
    tidied = tidy(text)
    return "" if len(tidied) > LONGEST_TEXT or is_missing(text) or has_controls(text) else tidied


def is_missing(text: str) -> bool:
    """Whether the text stands for a missing value: blank, NA, N/A, NULL, nan, none, -, #N/A ..., in any capitals."""
    text = text.strip()
    return len(text) <= LONGEST_NUMBER and key_of(text) in MISSING_WORDS


_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_DIGITS = r"[0-9]{1,15}"
_WESTERN = r"[1-9][0-9]{0,2}(?:,[0-9]{3}){1,4}"
_INDIAN = r"[1-9][0-9]?(?:,[0-9]{2}){0,6},[0-9]{3}"
_EXPONENT = r"(?:[eE][+-]?[0-9]{1,2})?"
_FRACTION = rf"(?:\.[0-9]{{0,20}})?{_EXPONENT}"
_PLAIN = rf"{_DIGITS}{_FRACTION}|\.[0-9]{{1,20}}{_EXPONENT}"
_GROUPED = rf"(?:{_WESTERN}|{_INDIAN}){_FRACTION}"
_NUMBER = re.compile(rf"[+-]?(?:{_PLAIN}|{_GROUPED})")
_DECIMAL_COMMA = re.compile(r"[+-]?(?:[0-9]{1,15}|[1-9][0-9]{0,2}(?:\.[0-9]{3}){1,4}),[0-9]{1,20}")


def number(text: str) -> float | None:
    """The number that the text is, or None when it is none: `1200`, `1,200.5`, `36,50,000`, `1e+05`.

    A comma separates thousands, in whole groups only (Western or Indian): `1,2,3`, `12,34` and `1050,5` are no numbers.
    Digits are bounded, so the result is always finite.
    """
    written = _ascii(text)
    return float(written.replace(",", "")) if written is not None and _NUMBER.fullmatch(written) else None


def _ascii(text: str) -> str | None:
    """The trimmed text with digits and minus signs of any width as ASCII; None when it is too long for a number."""
    text = text.strip()
    if len(text) > LONGEST_NUMBER:
        return None
    if text.isascii():
        return text
    return key_of(text) if has_plain_digits(text) else None


def has_plain_digits(text: str) -> bool:
    """Whether no digit is raised, circled or a fraction: NFKC makes 10 and a superscript 2 one number, 102."""
    return text.isascii() or not any(char.isnumeric() and not char.isdecimal() for char in text)


@dataclass(frozen=True)
class CommaForms:
    """Counts of a column's numbers: those that can only have a decimal comma, and those that cannot have one."""

    decimal: int
    other: int
    """Numbers with a decimal point or with commas between thousands."""

    @property
    def is_decimal(self) -> bool:
        """Whether the column has decimal commas: at least one number must have one, and none has another form."""
        return self.decimal > 0 and self.other == 0


def comma_forms(texts: Iterable[str]) -> CommaForms:
    """Counts of the forms of a column's numbers. Texts that are not numbers in either form do not count."""
    decimal = other = 0
    for text in texts:
        if has_decimal_comma(text):
            decimal += 1
        elif ("," in text or "." in text) and number(text) is not None:
            other += 1
    return CommaForms(decimal, other)


def has_decimal_comma(text: str) -> bool:
    """Whether the comma of this number can only be a decimal one: `1050,5`, `1.050,5`; not that of `1,050`."""
    if "," not in text:
        return False
    written = _ascii(text)
    return written is not None and bool(_DECIMAL_COMMA.fullmatch(written)) and not _NUMBER.fullmatch(written)


def with_decimal_point(text: str) -> str:
    """A number of a column with decimal commas (`CommaForms.is_decimal`), as `number` reads it."""
    return text.replace(".", "").replace(",", ".") if has_decimal_comma(text) else text


READY, LATER, UNKNOWN, MISSING = "ready", "later", "unknown", ""

_READY = frozenset(
    {
        *("ready", "ready now", "ready to move", "ready to move in", "ready to move now", "ready to occupy", "rtm"),
        *("ready for occupancy", "ready for occupation", "ready for possession", "ready possession", "move in ready"),
        *("immediate", "immediately", "immediate possession", "immediate occupancy", "available immediately"),
        *("immediately available", "possession now", "possession immediate", "possession immediately"),
        *("ready to move immediate possession", "ready to move in immediately", "now", "available now"),
    }
)
"""The whole text, words separated by single spaces."""

_MONTHS = frozenset({
    *("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec", "january"),
    *("february", "march", "april", "june", "july", "august", "september", "october", "november", "december"),
})  # fmt: skip
_PERIODS = frozenset({
    *("day", "days", "week", "weeks", "month", "months", "year", "years", "yr", "yrs", "quarter", "quarters"),
})  # fmt: skip
_NOT_YET = frozenset({
    *("not", "almost", "nearly", "soon", "shortly", "later", "partially", "partly", "upcoming", "future", "ongoing"),
    *("unfinished", "prelaunch"),
})  # fmt: skip
_NOT_YET_PHRASES = ("under construction", "new launch", "newly launched", "pre launch")
_FILLERS = frozenset({
    *("a", "an", "at", "the", "to", "in", "of", "on", "by", "from", "for", "before", "after", "until", "till"),
    *("within", "around", "about", "approx", "approximately", "than", "more", "less", "end", "early", "mid", "late"),
    *("beginning", "start", "next", "onwards", "possession", "poss", "handover", "delivery", "completion", "complete"),
    *("completed", "construction", "under", "available", "availability", "ready", "move", "moving", "immediate"),
    *("immediately", "expected", "exp", "est", "estimated", "due", "yet", "now", "only", "new", "launch", "newly"),
    *("launched", "pre", "and", "or", "q", "h", "st", "nd", "rd", "th", "t", "z"),
})  # fmt: skip
_KNOWN = _MONTHS | _NOT_YET | _PERIODS | _FILLERS
_YEAR = re.compile(r"(?:19|20)[0-9]{2}")
_WORD = re.compile(r"[^\W\d_]+|[0-9]+")
_LONGEST_STATUS = 100


@lru_cache(maxsize=CACHED_SPELLINGS)
def status(text: str) -> str:
    """Return the status of an availability: READY (to move in), LATER (a date, or not yet), MISSING, or UNKNOWN.

    Words are compared whole, with a closed list. `Almost_ready` and `Ready to move from Dec 2028` are LATER.
    """
    if is_missing(text):
        return MISSING
    if len(text) > _LONGEST_STATUS:
        return UNKNOWN
    words = _WORD.findall(key_of(text).replace("'", ""))
    sentence = " ".join(words)
    if sentence in _READY:
        return READY
    if not all(word in _KNOWN or (word.isascii() and word.isdigit()) for word in words):
        return UNKNOWN
    return LATER if _is_not_yet(words, sentence) or _has_date(words) else UNKNOWN


def _is_not_yet(words: list[str], sentence: str) -> bool:
    return not _NOT_YET.isdisjoint(words) or any(f" {phrase} " in f" {sentence} " for phrase in _NOT_YET_PHRASES)


def _has_date(words: list[str]) -> bool:
    """Whether there is a month, a year, a period (`6 months`) or a date in numbers (`12/28`). A bare number is none."""
    numbers = [word for word in words if word.isdigit()]
    if any(len(word) > 2 and not _YEAR.fullmatch(word) for word in numbers):
        return any(word in _MONTHS for word in words)
    dated = any(word in _MONTHS for word in words) or any(_YEAR.fullmatch(word) for word in numbers)
    return dated or len(numbers) > 1 or bool(numbers and not _PERIODS.isdisjoint(words))
