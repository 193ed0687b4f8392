"""The media types of a batch request and its response: a JSON list, NDJSON (one JSON object per line), and CSV.

`read` yields the fields of each home, or the error of that row; an error of the whole body is raised. `write` returns
the response in the same media type.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from homeprices.errors import InvalidInput
from homeprices.foreign_text import printable
from homeprices.pricing.home import Home
from homeprices.pricing.inputs import INPUT, MOST_UNKNOWN, REQUIRED
from inference.backend.runtime.http import JSON_TYPE

_DECODER = json.JSONDecoder()
_LINE = re.compile(rb"[^\r\n]+")
_SPACE = re.compile(r"[ \t\n\r]*")

Row = dict[str, Any] | InvalidInput
Answer = dict[str, Any]

NDJSON_TYPES = ("application/x-ndjson", "application/ndjson", "application/jsonl")
CSV_TYPE = "text/csv"
CSV_COLUMNS = ("estimated_price", "low", "high", "prediction_id", "location_known", "variant", "model_version", "error")


@dataclass(frozen=True)
class BatchForm:
    """How a media type is read and written; `media_type` is that of the response.

    The response is written in chunks, because the text of a row takes a tenth of the memory of its values.
    """

    media_type: str
    read: Callable[[bytes], Iterator[Row]]
    write: Callable[[Sequence[Answer]], bytes]
    begin: bytes = b""
    between: bytes = b""
    end: bytes = b""

    def join(self, pieces: Iterable[bytes]) -> bytes:
        """The whole response body."""
        return self.begin + self.between.join(pieces) + self.end


def form_of(media_type: str) -> BatchForm:
    """The form for a media type. Raises UnsupportedMediaType."""
    if media_type == JSON_TYPE:
        return BatchForm(JSON_TYPE, _read_json, _write_json, b"[", b",", b"]")
    if media_type in NDJSON_TYPES:
        return BatchForm(NDJSON_TYPES[0], _read_ndjson, _write_ndjson)
    if media_type == CSV_TYPE:
        head = f"{','.join(CSV_COLUMNS)}\r\n".encode()
        return BatchForm(f"{CSV_TYPE}; charset=utf-8", _read_csv, _write_csv, head)
    sent = printable(media_type) or "no media type"
    raise UnsupportedMediaType(f"{sent} is not read here; send {JSON_TYPE}, {NDJSON_TYPES[0]} or {CSV_TYPE}")


def _read_json(body: bytes) -> Iterator[Row]:
    """Yield the homes one by one, so that a body of a million empty objects is never in memory as objects."""
    try:
        text = body.decode(json.detect_encoding(body))
        begin = _next(text, 0)
        if text[begin : begin + 1] != "[":
            json.loads(text)  # raises if it is not JSON at all
            raise InvalidInput({"body": "must be a JSON list of homes"})
        at = _next(text, begin + 1)
        if text[at : at + 1] != "]":
            while True:
                home, at = _DECODER.raw_decode(text, at)
                yield _object(home)
                at = _next(text, at)
                if text[at : at + 1] != ",":
                    break
                at = _next(text, at + 1)
        if text[at : at + 1] != "]":
            raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
        if (at := _next(text, at + 1)) < len(text):
            raise json.JSONDecodeError("Extra data", text, at)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is not JSON: {str(error) or 'it is nested too deeply'}") from error


def _next(text: str, at: int) -> int:
    """Return the position of the next character that is no white space."""
    return _SPACE.match(text, at).end()  # type: ignore[union-attr] # it matches nothing as well


def _read_ndjson(body: bytes) -> Iterator[Row]:
    return (_line(line) for match in _LINE.finditer(body) if (line := match[0]).strip())


def _line(line: bytes) -> Row:
    try:
        return _object(json.loads(line))
    except (ValueError, RecursionError) as error:
        return InvalidInput({"row": f"is not JSON: {str(error) or 'it is nested too deeply'}"})


def _object(home: Any) -> Row:
    """Return the fields of a home. Fields that are too many to be named are only counted."""
    if not isinstance(home, dict):
        return InvalidInput({"row": "must be a JSON object"})
    if len(home) <= len(INPUT) + MOST_UNKNOWN:
        return home
    error = parse_row(home)
    assert isinstance(error, InvalidInput), "a home with unknown fields was accepted"
    return error


def parse_row(row: Row) -> Home | InvalidInput:
    """Return the home of a row, or what is wrong with it."""
    if isinstance(row, InvalidInput):
        return row
    try:
        return Home.parse(row)
    except InvalidInput as error:
        error.__context__ = None  # with the frames of the traceback, it holds the values of the row
        return error.with_traceback(None)


def _read_csv(body: bytes) -> Iterator[Row]:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body is not UTF-8: {error}") from error
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(lines, [])]
    except csv.Error as error:
        raise BadRequest(f"the body is not CSV: {error}") from error
    _check_header(header)
    return _rows(header, lines)


def _check_header(header: list[str]) -> None:
    if len(header) > len(INPUT) + MOST_UNKNOWN:
        raise InvalidInput({"header": f"names {len(header):,} columns; known are {', '.join(INPUT)}"})
    known = f"known are {', '.join(Home.model_fields)}"
    wrong = {name or "header": f"is not a column; {known}" for name in header if name not in Home.model_fields}
    wrong |= {name: "is given more than once" for name in header if header.count(name) > 1 and name not in wrong}
    wrong |= {name: "is a required column" for name in REQUIRED if name not in header}
    if wrong:
        raise InvalidInput(wrong)


def _rows(header: list[str], lines: Iterator[list[str]]) -> Iterator[Row]:
    while True:
        try:
            cells = next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            yield InvalidInput({"row": f"is not CSV: {error}"})
            continue
        if not cells:
            continue
        if len(cells) != len(header):
            yield InvalidInput({"row": f"has {len(cells)} cells, the header names {len(header)} columns"})
        else:
            yield dict(zip(header, cells, strict=True))


def _write_json(answers: Sequence[Answer]) -> bytes:
    return to_json(answers)[1:-1]


def _write_ndjson(answers: Sequence[Answer]) -> bytes:
    return b"".join(to_json(answer) + b"\n" for answer in answers)


def _write_csv(answers: Sequence[Answer]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(map(_cells, answers))
    return text.getvalue().encode()


def _cells(answer: Answer) -> list[Any]:
    if "error" in answer:
        return [None] * (len(CSV_COLUMNS) - 1) + [answer["error"]]
    interval = answer["interval"]
    known = "true" if answer["location_known"] else "false"
    where = (answer["prediction_id"], known, answer.get("variant"), answer.get("model_version"))
    return [answer["estimated_price"], interval["low"], interval["high"], *where, None]
