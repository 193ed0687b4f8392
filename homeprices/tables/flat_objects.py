"""Objects of JSON that are parsed as a whole by pydantic's parser: flat ones without a duplicate key.

Every function returns None for other text. The caller then decodes it one value at a time, which gives the same cells.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate, chain
from typing import Any

from pydantic_core import from_json

from homeprices.tables.csv_rows import LONGEST_CELL
from homeprices.tables.lines import count_line_ends

FLAT = frozenset({str, int, float, bool, type(None)})
"""The types of cells that are no lists or objects."""

_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"')

Objects = list[dict[str, Any]]


def objects_of_lines(text: str) -> Objects | None:
    """The objects of lines that each hold one."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n")
    if text.count("\n") != text.count("}\n{"):
        return None
    # The line ends stay, because a text that goes over one is no JSON. So no two lines can make one object.
    objects = _flat_objects(text.replace("}\n{", "},\n{"))
    return objects if objects is not None and len(objects) == text.count("\n") + 1 else None


def objects_of_list(text: str, start: int, most: int) -> tuple[Objects, int] | None:
    """The objects of a part of a list that begins at `start` and has at most `most` characters, and where it ends."""
    end = start + most
    for _ in range(_ATTEMPTS):
        end = text.rfind("},", start, end) + 1
        if not end:
            break
        if objects := _flat_objects(text[start:end]):
            return objects, end
    return None


_ATTEMPTS = 2  # what looks like the end of an object may be in a text


def _flat_objects(text: str) -> Objects | None:
    """The objects of a text with commas between them; None if one is not flat, has a duplicate key, or is no JSON.

    With no brackets and no more braces than objects, no object holds another one. Each key has a colon: with no more
    colons than keys, none is given twice. Where texts hold such characters, the quotation marks are counted.
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
    keys = sum(map(len, objects))
    plain = "[" not in text and text.count("{") == len(objects) and text.count(":") == keys
    if not plain and not _is_flat(text, objects, keys):
        return None
    if constants:
        objects = [{name: None if cell != cell else cell for name, cell in one.items()} for one in objects]
    return objects


def _is_flat(text: str, objects: Objects, keys: int) -> bool:
    """Whether no cell is a list or an object, and the text has no more strings than the keys and the cells."""
    kinds = [*map(type, chain.from_iterable(map(dict.values, objects)))]
    escaped = text.replace("\\\\", "").count('\\"') if "\\" in text else 0
    return FLAT.issuperset(kinds) and text.count('"') - escaped == 2 * (keys + kinds.count(str))


def lines_of_objects(flat: str, line: int, count: int) -> Sequence[int]:
    """The line of each of so many flat objects in a text that begins in this line."""
    if "\n" not in flat and "\r" not in flat:
        return [line] * count
    if flat.count("{") != count:
        flat = _STRING.sub("", flat)
    return [*accumulate(map(count_line_ends, flat.split("{")[1:-1]), initial=line)]
