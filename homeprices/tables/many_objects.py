"""Objects of JSON that pydantic's parser parses many at a time, if none has a duplicate key.

Every function returns None for other text. The caller then decodes it one value at a time, which gives the same cells.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Any

from pydantic_core import from_json

from homeprices.tables.csv_rows import LONGEST_CELL
from homeprices.tables.lines import count_line_ends

FLAT = frozenset({str, int, float, bool, type(None)})
"""The types of cells that are no lists or objects."""

_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"')
_BRACE_OR_LINE_END = re.compile(r"[{}]|\r\n|\n|\r")


@dataclass(frozen=True, eq=False)
class Parsed:
    """Objects of which none has a duplicate key; `flat` says that no cell is a list or an object."""

    objects: list[dict[str, Any]]
    flat: bool = True


def objects_of_lines(text: str) -> Parsed | None:
    """The objects of lines that each hold one."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n")
    if text.count("\n") != text.count("}\n{"):
        return None
    # The line ends stay, because a text that goes over one is no JSON. So no two lines can make one object.
    parsed = _parsed(text.replace("}\n{", "},\n{"))
    return parsed if parsed is not None and len(parsed.objects) == text.count("\n") + 1 else None


def objects_of_list(text: str, start: int, most: int) -> tuple[Parsed, int] | None:
    """The objects of a part of a list that begins at `start` and has at most `most` characters, and where it ends."""
    end = start + most
    for _ in range(_ATTEMPTS):
        end = text.rfind("},", start, end) + 1
        if not end:
            break
        if parsed := _parsed(text[start:end]):
            return parsed, end
    return None


_ATTEMPTS = 4  # what looks like the end of an object may be in a text, or in an object


def _parsed(text: str) -> Parsed | None:
    """The objects of a text with commas between them; None if one has a duplicate key, or if it is no JSON.

    With no brackets and no more braces than objects, no object holds another one. Each key has a colon: with no more
    colons than keys, none is given twice. Where texts hold such characters, all strings are counted.
    """
    if len(text) > LONGEST_CELL or text[:1] != "{":
        return None
    constants = "NaN" in text or "Infinity" in text
    try:
        objects: list[Any] = from_json(f"[{text}]", allow_inf_nan=constants, cache_strings="keys")
    except ValueError:
        return None
    if {*map(type, objects)} != {dict}:
        return None
    keys, flat = sum(map(len, objects)), True
    if "[" in text or text.count("{") != len(objects) or text.count(":") != keys:
        cells = [*chain.from_iterable(map(dict.values, objects))]
        kinds = [*map(type, cells)]
        flat = FLAT.issuperset(kinds)
        strings = keys + kinds.count(str) + (0 if flat else sum(map(_strings_within, cells)))
        escaped = text.replace("\\\\", "").count('\\"') if "\\" in text else 0
        if text.count('"') - escaped != 2 * strings:
            return None
    if constants:
        if not flat:
            return None
        objects = [{name: None if cell != cell else cell for name, cell in one.items()} for one in objects]
    return Parsed(objects, flat)


def _strings_within(value: Any) -> int:
    """The number of keys and texts in a list or an object."""
    if type(value) is dict:
        return len(value) + sum((type(cell) is str) + _strings_within(cell) for cell in value.values())
    if type(value) is list:
        return sum((type(cell) is str) + _strings_within(cell) for cell in value)
    return 0


def lines_of_objects(text: str, line: int, parsed: Parsed) -> Sequence[int]:
    """The line of each object of a text that begins in this line."""
    count = len(parsed.objects)
    if "\n" not in text and "\r" not in text:
        return [line] * count
    if text.count("{") != count:
        text = _STRING.sub("", text)
    if parsed.flat:
        return [*accumulate(map(count_line_ends, text.split("{")[1:-1]), initial=line)]
    lines, depth = [], 0
    for mark in _BRACE_OR_LINE_END.findall(text):
        if mark == "{":
            if depth == 0:
                lines.append(line)
            depth += 1
        elif mark == "}":
            depth -= 1
        else:
            line += 1
    return lines
