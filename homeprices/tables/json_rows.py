"""Rows of JSON lines and of a JSON list, as streams. An object with a duplicate key is rejected, as in forms.

Text without a duplicate key is parsed many objects at a time by pydantic's parser (`many_objects`). All other text goes
through the standard library's decoder, one value at a time. It gives the same cells, and the faults.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from homeprices.errors import InvalidInput
from homeprices.tables.csv_rows import LONGEST_CELL
from homeprices.tables.lines import LONGEST_LINE, Lines, count_line_ends, fault, mark_of, refusal
from homeprices.tables.many_objects import lines_of_objects, objects_of_lines, objects_of_list

Row = tuple[int, Any, tuple[str, str] | None]
"""A line, a value, and the column (or `row`) with what is wrong with it."""

_MANY_CHARACTERS = 2**16
"""Of a text that is parsed as a whole: large enough for the fixed cost, and no cell in it is over LONGEST_CELL."""

_BLANKS = " \t\r\n"
_SPACE = re.compile(r"[ \t\r\n]*")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_TWICE = "is given more than once"
_IN_LINES = "is not JSON lines: the object goes on in the next line; expected one object a line, or a list of homes"


@dataclass(frozen=True, eq=False)
class ManyRows:
    """Objects without a duplicate key, and the line of each; `flat` says that no cell is a list or an object."""

    lines: Sequence[int]
    objects: list[dict[str, Any]]
    flat: bool


class _Decoder:
    """Decodes JSON values and remembers the keys that were given twice."""

    def __init__(self) -> None:
        self.twice: list[str] = []
        self._plain_decode = json.JSONDecoder(parse_constant=_constant).raw_decode
        self.raw_decode = json.JSONDecoder(object_pairs_hook=self._object, parse_constant=_constant).raw_decode

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            self.twice.append(next(name for name in names if names.count(name) > 1))
        return found

    def decode(self, text: str, start: int = 0) -> tuple[Any, int]:
        """A value and where it ends. Raises ValueError, RecursionError."""
        self.twice.clear()
        found: tuple[Any, int] = self._plain_decode(text, start)
        value, end = found
        # Each key has a colon: with no more colons than keys, none is given twice. Else the keys are looked at.
        if text.count(":", start, end) == (len(value) if type(value) is dict else 0):
            return found
        return self.raw_decode(text, start)


def _constant(name: str) -> float | None:
    return None if name == "NaN" else float(name)


def json_object(text: str | bytes) -> Any:
    """The value of a JSON text. Raises InvalidInput for a key that is given twice, ValueError, RecursionError."""
    decoder = _Decoder()
    if isinstance(text, bytes):
        text = text.decode(json.detect_encoding(text), "surrogatepass")
    if text.startswith("\ufeff"):
        raise json.JSONDecodeError("Unexpected UTF-8 BOM (decode using utf-8-sig)", text, 0)
    found = json.JSONDecoder(object_pairs_hook=decoder._object).decode(text)
    if decoder.twice:
        raise InvalidInput(dict.fromkeys(decoder.twice, _TWICE))
    return found


def json_lines(lines: Lines) -> Iterator[Row | ManyRows]:
    """A row for each line that is not blank."""
    decoder, number = _Decoder(), 1
    for piece in lines.whole():
        text, start = piece if "\n" in piece else piece.replace("\r", "\n"), 0
        while start < len(text):
            end = max(text.rfind("\n", start, start + _MANY_CHARACTERS), text.find("\n", start)) + 1 or len(text)
            part, start = text[start:end], end
            if parsed := objects_of_lines(part):
                yield ManyRows(range(number, number + len(parsed.objects)), parsed.objects, parsed.flat)
                number += len(parsed.objects)
                continue
            for line in io.StringIO(part, newline=""):
                if row := _row_of(lines.source, decoder, number, line.strip(_BLANKS)):
                    yield row
                number += 1


def _row_of(source: str, decoder: _Decoder, number: int, text: str) -> Row | None:
    if not text:
        return None
    if text[0] != "{" and (problem := mark_of(text)):
        raise fault(source, problem, number)
    if text == "{" and number == 1:
        raise fault(source, _IN_LINES, number)
    try:
        value, end = decoder.decode(text)
        problem = "" if end == len(text) else f"is not JSON: Extra data at character {end + 1}"
    except (ValueError, RecursionError) as error:
        value, problem = None, _problem(error)
    return number, value, _wrong(decoder, value, text, problem)


def json_list(lines: Lines, wrapped: re.Pattern[str]) -> Iterator[Row | ManyRows]:
    """A row for each value of a list, which may be a member of an object that `wrapped` finds."""
    decoder, source = _Decoder(), lines.source
    pieces = lines.pieces()
    text = next(pieces, "")
    while not text.strip() or (text.lstrip()[:1] == "{" and "[" not in text and len(text) < LONGEST_LINE):
        more = next(pieces, "")
        if not more:
            break
        text += more
    outer = wrapped.match(text)
    start = outer.end() if outer else _SPACE.match(text).end()  # type: ignore[union-attr]
    if text[start : start + 1] != "[":
        if mark := mark_of(text[start : start + 80]):
            raise fault(source, mark, 1 + count_line_ends(text[:start]))
        try:
            json.loads(text + "".join(pieces))
        except (ValueError, RecursionError) as error:
            raise fault(source, _problem(error), getattr(error, "lineno", 1)) from None
        raise refusal(source, "must be a JSON list of homes")
    line = 1 + count_line_ends(text[:start])
    start, first = start + 1, True
    one_by_one = 0  # values that are decoded one by one before the next attempt to parse many
    while True:
        text, start, line = _to_value(text, start, line, pieces)
        if text[start : start + 1] == "]" and first:
            break
        first = False
        if one_by_one == 0 and (many := objects_of_list(text, start, _MANY_CHARACTERS)):
            parsed, end = many
            lines_of = lines_of_objects(text[start:end], line, parsed)
            yield ManyRows(lines_of, parsed.objects, parsed.flat)
        else:
            if one_by_one == 0:
                one_by_one = text.count("},", start, start + _MANY_CHARACTERS) + 1
            value, end, wrong, text = _value(decoder, source, text, start, line, pieces)
            yield line, value, wrong
            one_by_one -= 1
        line += count_line_ends(text[start:end])
        text, start, line = _to_value(text, end, line, pieces)
        if text[start : start + 1] == "]":
            break
        if text[start : start + 1] != ",":
            raise _broken(source, text[start:], line, "a comma or the end of the list")
        start += 1
    rest = text[start + 1 :] + "".join(pieces) if outer is None else ""
    if rest.strip():
        raise _broken(source, rest, line, "nothing after the list")


def _value(
    decoder: _Decoder, source: str, text: str, start: int, line: int, pieces: Iterator[str]
) -> tuple[Any, int, tuple[str, str] | None, str]:
    """A value, its end, what is wrong with its row, and the text with as many lines more as the value needs."""
    while True:
        try:
            value, end = decoder.decode(text, start)
            if end < len(text) or not isinstance(value, int | float):
                return value, end, _wrong(decoder, value, text[start:end], ""), text
            error: Exception = ValueError("the list is not closed")
        except RecursionError as caught:
            raise fault(source, _problem(caught), line) from None
        except json.JSONDecodeError as caught:
            # Without what refers to this frame: the text of each attempt would stay until a collection of garbage.
            error = caught.with_traceback(None)
            error.__context__ = None
        except ValueError as caught:  # an integer of too many digits
            raise fault(source, _problem(caught), line) from None
        # The value may go on in the following lines: asked for in growing portions, so that few attempts are made.
        size = max(1, (len(text) - start) // 2)
        more = []
        while size > 0 and (piece := next(pieces, "")):
            more.append(piece)
            size -= len(piece)
        at = line
        if isinstance(error, json.JSONDecodeError):
            at += count_line_ends(text[start : error.pos])
            found = text[error.pos : error.pos + 80]
            if (not more or len(found) == 80 or "\n" in found) and (mark := mark_of(found)):
                raise fault(source, mark, at)
        if not more or len(text) - start > LONGEST_LINE:
            raise fault(source, _problem(error), at)
        text += "".join(more)


def _to_value(text: str, start: int, line: int, pieces: Iterator[str]) -> tuple[str, int, int]:
    """The text, the place of its next character that is no blank, and that one's line; read text is dropped."""
    while True:
        end = _SPACE.match(text, start).end()  # type: ignore[union-attr]
        line += count_line_ends(text[start:end])
        if end < len(text):
            if end > 2**20:
                return text[end:], 0, line
            return text, end, line
        text, start = next(pieces, ""), 0
        if not text:
            return "", 0, line


def _broken(source: str, text: str, line: int, expected: str) -> Exception:
    found = text.lstrip()
    return fault(source, mark_of(found[:80]) or f"is not JSON: expected {expected}; found {found[:20]!r}", line)


def _wrong(decoder: _Decoder, value: Any, text: str, problem: str) -> tuple[str, str] | None:
    if problem:
        return "row", problem
    if decoder.twice:
        return decoder.twice[0].strip().lower()[:40], _TWICE
    if len(text) > LONGEST_CELL and isinstance(value, dict):
        for name, cell in value.items():
            if len(name) > LONGEST_CELL or (isinstance(cell, str) and len(cell) > LONGEST_CELL):
                return name[:40], f"has more than {LONGEST_CELL:,} characters"
    if "\\" in text and _SURROGATE.search(text):
        try:
            json.dumps(json.loads(text), ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return "row", "holds half of a character (\\ud800 to \\udfff)"
    return None


def _problem(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"is not JSON: {error.msg} at character {error.colno}"
    if isinstance(error, RecursionError):
        return "is not JSON: it is nested too deeply"
    return "is not JSON: a number has too many digits" if "digits" in str(error) else f"is not JSON: {error}"


def text_of(cell: Any) -> str:
    """A cell as the text that CSV would have: blank for a missing one, `3` for 3.0. Raises InvalidInput for a list."""
    if isinstance(cell, str):
        return cell
    if cell is None or cell != cell:
        return ""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    if isinstance(cell, list | dict):
        raise InvalidInput({"row": f"must be a word or a number, not {json.dumps(cell, default=str)[:40]}"})
    return str(cell)
