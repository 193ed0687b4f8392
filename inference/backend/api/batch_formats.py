"""The media types of a batch request and its response: a JSON list, NDJSON (one JSON object per line), and CSV.

`read` yields the fields of each home, or the error of that row; an error of the whole body is raised. `write` returns
the response in the same media type.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic_core import to_json
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from homeprices.errors import DatasetRefused, InvalidInput, MalformedTable
from homeprices.foreign_text import printable
from homeprices.input_field import MOST_UNKNOWN
from homeprices.pricing.home import Home
from homeprices.pricing.inputs import INPUT, NUMBERS, REQUIRED
from homeprices.tables.blocks import Block
from homeprices.tables.commas import text_of_number, with_points
from homeprices.tables.quantities import MEASURED
from homeprices.tables.ratios import OF_HOMES, Floats, RatioCounts, measure, refusals
from homeprices.tables.reader import Format, Table, open_table
from inference.backend.runtime.http import JSON_TYPE

Row = dict[str, Any] | InvalidInput
Answer = dict[str, Any]

NDJSON_TYPES = ("application/x-ndjson", "application/ndjson", "application/jsonl")
CSV_TYPE = "text/csv"
BODY = "body"
BLOCK_ROWS = 500
CSV_COLUMNS = ("estimated_price", "low", "high", "prediction_id", "location_known", "variant", "model_version", "error")


class Rows(Iterator[Row]):
    """The rows of a body, and what its reader has found and the sender did not say, such as semicolons.

    `notes` are final after `complete`.
    """

    def __init__(self, rows: Iterator[tuple[int, Row]], counts: RatioCounts, notes: Sequence[str] = ()) -> None:
        self._rows, self._counts, self.notes = rows, counts, [*notes]
        self._lines: list[int] = []

    def __next__(self) -> Row:
        line, row = next(self._rows)
        self._lines.append(line)
        return row

    def complete(self, rows: Sequence[Row]) -> None:
        """Read decimal commas in the columns of `rows`, all of this body, that have them as a whole; judge the homes.

        Raises InvalidInput for a column with another form beside them, and for homes that are too many to be single
        errors.
        """
        homes = [(line, row) for line, row in zip(self._lines, rows, strict=True) if isinstance(row, dict)]
        lines, changed = [line for line, _ in homes], False
        for name in NUMBERS:
            if not any(type(cell := row.get(name)) is str and "," in cell for _, row in homes):
                continue
            try:
                cells = [text_of_number(row.get(name)) for _, row in homes]
                pointed, notes = with_points({name: cells}, lines, [name])
            except DatasetRefused as error:
                raise _answered(error) from error
            if notes:
                self.notes += [f"{BODY}: {note}" for note in notes]
                changed = True
                for (_, row), cell, read in zip(homes, cells, pointed[name], strict=True):
                    if "," in cell:
                        row[name] = read
        if changed:
            self._counts = RatioCounts(OF_HOMES)
            measured = {name: [measure(row.get(name)) for _, row in homes] for name in MEASURED}
            self._counts.add({name: np.array(cells, float) for name, cells in measured.items()}, lines)
        outside = self._counts.outside()
        if refused := refusals(outside):
            raise InvalidInput(refused)
        self.notes += [f"{BODY}: {one.ratio.column}: {one.sentence()}" for one in outside]


@dataclass(frozen=True)
class BatchForm:
    """Reader and writer of a media type; `media_type` is that of the response.

    The response is written in chunks, because the text of a row takes a tenth of the memory of its values.
    """

    media_type: str
    read: Callable[[bytes], Rows]
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
        return BatchForm(JSON_TYPE, _reader("json"), _write_json, b"[", b",", b"]")
    if media_type in NDJSON_TYPES:
        return BatchForm(NDJSON_TYPES[0], _reader("ndjson"), _write_ndjson)
    if media_type == CSV_TYPE:
        head = f"{','.join(CSV_COLUMNS)}\r\n".encode()
        return BatchForm(f"{CSV_TYPE}; charset=utf-8", _reader("csv"), _write_csv, head)
    sent = printable(media_type) or "no media type"
    raise UnsupportedMediaType(f"{sent} is not read here; send {JSON_TYPE}, {NDJSON_TYPES[0]} or {CSV_TYPE}")


def _reader(format: Format) -> Callable[[bytes], Rows]:
    def read(body: bytes) -> Rows:
        if format != "csv" and not body.strip():
            if format == "json":
                raise BadRequest("the body is not JSON: it is empty")
            return Rows(iter(()), RatioCounts(OF_HOMES))
        try:
            table = open_table(io.BytesIO(body), BODY, Home.model_fields, format=format, block_rows=BLOCK_ROWS)
            if format == "csv":
                _check_header(table)
            counts = RatioCounts(OF_HOMES)
            return Rows(_rows(table, counts), counts, table.notes)
        except DatasetRefused as error:
            raise _answered(error) from error

    return read


def _check_header(table: Table) -> None:
    if len(table.names) > len(INPUT) + MOST_UNKNOWN:
        raise InvalidInput({"header": f"names {len(table.names):,} columns; known are {', '.join(INPUT)}"})
    known = f"known are {', '.join(Home.model_fields)}"
    if wrong := {printable(name): f"is not a column; {known}" for name in table.names if name not in Home.model_fields}:
        raise InvalidInput(wrong)
    table.require(REQUIRED)


def _rows(table: Table, counts: RatioCounts) -> Iterator[tuple[int, Row]]:
    """The rows with their lines, counted for the judgement of the table."""
    try:
        for block in table.blocks:
            counts.add(_measured(block), block.lines)
            for position, row in enumerate(block.rows()):
                line, wrong = block.lines[position], block.faults.get(position)
                yield line, InvalidInput(_fault(line, *wrong)) if wrong else _bounded(row)
    except DatasetRefused as error:
        raise _answered(error) from error


def _measured(block: Block) -> dict[str, Floats]:
    """What the homes of a table are judged by."""
    measured: dict[str, Floats] = {}
    for name in MEASURED:
        cells = block.column(name) if name in block.names else [None] * len(block)
        # Texts repeat, and reading one takes longer than finding it.
        read = {cell: measure(cell) for cell in {*cells}}.__getitem__ if block.columns is not None else measure
        measured[name] = np.fromiter(map(read, cells), float, len(block))
    return measured


def _bounded(home: dict[str, Any]) -> Row:
    """Return the fields of a home, or the error of one with too many: a batch is never in memory with all of them."""
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
        return Home.parse(row, name_values=True)
    except InvalidInput as error:
        error.__context__ = None  # the frames of its traceback would keep the values of the row alive
        return error.with_traceback(None)


def _answered(error: DatasetRefused) -> Exception:
    return BadRequest(error.detail) if isinstance(error, MalformedTable) else InvalidInput(error.fields)


def _fault(line: int, column: str, problem: str) -> dict[str, str]:
    return {column: f"line {line}: {problem}"}


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
