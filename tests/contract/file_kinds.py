"""Files as people have them: every kind of spelling, cell, unit and fault that the readers of tables are to answer."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Rows = list[dict[str, Any]]
Cells = Mapping[str, Any]
Write = Callable[[Rows], bytes]

PLACES = ("Whitefield", "Indira Nagar", "Rajaji Nagar", "Electronic City")


def listings() -> Rows:
    """Forty listings as a portal exports them."""
    return [
        {
            "area_type": "Super built-up  Area",
            "availability": "Ready To Move",
            "location": PLACES[number % 4],
            "size": f"{2 + number % 2} BHK",
            "society": f"Soc{number % 7}",
            "total_sqft": 1200 + 10 * number,
            "bath": 2,
            "balcony": 1,
            "price": 60 + number,
        }
        for number in range(40)
    ]


def homes() -> Rows:
    """The same homes with the fields of the API."""
    names = ("total_sqft", "location", "bath", "balcony", "availability", "society")
    return [{"bhk": int(row["size"][0]), **{name: row[name] for name in names}} for row in listings()]


@dataclass(frozen=True)
class Kind:
    """A kind of file. `means` are the cells of its first row where they differ from those of the plain file.

    `first` is such a row as it is written. `prices` says that only listings have it.
    """

    group: str
    name: str
    write: Write
    ending: str = ".csv"
    first: Cells = field(default_factory=dict)
    means: Cells = field(default_factory=dict)
    prices: bool = False
    every: bool = False
    """Whether every row has the cells that the first one `means`."""


def as_csv(rows: Rows, delimiter: str = ",", quoting: Any = csv.QUOTE_MINIMAL) -> bytes:
    """CSV with a header and LF."""
    text = io.StringIO(newline="")
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names, "", delimiter=delimiter, quoting=quoting, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_json(rows: Rows) -> bytes:
    return json.dumps(rows).encode()


def as_lines(rows: Rows) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def as_parquet(rows: Rows, change: Callable[[pa.Table], pa.Table] = lambda table: table) -> bytes:
    target = io.BytesIO()
    pq.write_table(change(pa.Table.from_pylist(rows)), target)
    return target.getvalue()


def _column(name: str, cells: Callable[[pa.ChunkedArray], Any]) -> Write:
    def change(table: pa.Table) -> pa.Table:
        return table.set_column(table.schema.get_field_index(name), name, cells(table[name]))

    return lambda rows: as_parquet(rows, change)


def _zip(rows: Rows) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("homes.csv", as_csv(rows))
    return target.getvalue()


def _text(change: Callable[[str], str], encoding: str = "utf-8") -> Write:
    return lambda rows: change(as_csv(rows).decode()).encode(encoding)


def _lines(change: Callable[[int, str], str]) -> Write:
    return _text(lambda text: "".join(change(at, line) + "\n" for at, line in enumerate(text.splitlines())))


def _below_header(line: str) -> Write:
    return _text(lambda text: text.replace("\n", f"\n{line}\n", 1))


def _spelling(name: str, write: Write, ending: str = ".csv") -> Kind:
    return Kind("spelling", name, write, ending)


SPELLINGS = [
    _spelling("UTF-8 with a byte-order mark", _text(str, "utf-8-sig")),
    _spelling("UTF-8 with the mark twice", _text("\ufeff".__add__, "utf-8-sig")),
    _spelling("UTF-16 with a byte-order mark", _text(str, "utf-16")),
    _spelling("CRLF", _text(lambda text: text.replace("\n", "\r\n"))),
    _spelling("CR", _text(lambda text: text.replace("\n", "\r"))),
    _spelling("LF, CRLF and CR in one file", _lines(lambda at, line: line + ("", "\r", "\r\r")[at % 3])),
    _spelling("blank lines everywhere", _text(lambda text: "\n \n" + text.replace("\n", "\n\n"))),
    _spelling("every cell quoted", lambda rows: as_csv(rows, quoting=csv.QUOTE_ALL)),
    _spelling("a blank after each comma", _text(lambda text: text.replace(",", ", "))),
    _spelling("semicolons", lambda rows: as_csv(rows, ";")),
    _spelling("tabs", lambda rows: as_csv(rows, "\t")),
    _spelling("bars", lambda rows: as_csv(rows, "|")),
    _spelling("`sep=;` above the header", lambda rows: b"sep=;\n" + as_csv(rows, ";")),
    _spelling("capitals and blanks in the header",
              _lines(lambda at, line: line if at else line.upper().replace("_", "  "))),
    _spelling("a line break in a quoted name", _text(lambda text: text.replace("total_sqft", '"Total\nSqft"', 1))),
    _spelling("invisible characters in the header",
              _text(lambda text: text.replace("location", "\u200blocation\u00a0", 1))),
    _spelling("trailing empty columns", _lines(lambda _, line: line + ",,")),
    _spelling("JSON list", as_json, ".json"),
    _spelling("JSON list in lines, UTF-16", lambda rows: json.dumps(rows, indent=1).encode("utf-16"), ".json"),
    _spelling("JSON lines, blank lines between", lambda rows: as_lines(rows).replace(b"\n", b"\n\n"), ".jsonl"),
    _spelling("JSON lines with the mark twice", lambda rows: b"\xef\xbb\xbf" * 2 + as_lines(rows), ".jsonl"),
    _spelling("Parquet", as_parquet, ".parquet"),
    _spelling("Parquet, texts in a dictionary", _column("location", pa.ChunkedArray.dictionary_encode), ".parquet"),
    _spelling("Parquet, texts as bytes", _column("location", lambda cells: cells.cast(pa.binary())), ".parquet"),
    _spelling("Parquet, decimals",
              _column("total_sqft", lambda cells: pa.array(map(Decimal, cells.to_pylist()))), ".parquet"),
    _spelling("Parquet under the name of CSV", as_parquet),
    _spelling("CSV under the name of Parquet", as_csv, ".parquet"),
    _spelling("a hyphen in the header", _lines(lambda at, line: line if at else line.replace("_", " - "))),
]  # fmt: skip


def _first(name: str, cell: Any, means: Any, said: str = "", **more: Any) -> Kind:
    return Kind("cell", said or f"{name} `{cell}`", as_csv, first={name: cell}, means={name: means}, **more)


CELLS = [
    _first("society", "  soc0 ", "Soc0", "blanks and capitals of a text"),
    _first("society", "Soc\u00a00’s", "Soc 0's", "typographic quotes, no-break space"),
    *(_first("location", f"White{char}field", "White field", f"{name} in a cell")
      for char, name in (("\u2028", "U+2028"), ("\x0b", "vertical tab"), ("\x0c", "form feed"), ("\x85", "U+0085"),
                         ("\r\n", "quoted line break"))),
    _first("location", "White\x1bfield", "", "a control character in a cell"),
    _first("location", "White field " * 10, "", "a text of more than 100 characters"),
    *(_first("society", word, "") for word in ("NA", "N/A", "NULL", "nan", "None", "—", "#N/A", "\\N")),
    *(_first(name, cell, "", f"{name} {said}") for name in ("location", "bath", "total_sqft")
      for cell, said in (("", "blank"), ("#N/A", "`#N/A`"))),
    _first("total_sqft", "+1200", 1200), _first("total_sqft", "1200_0", ""), _first("total_sqft", "0x4B0", ""),
    _first("total_sqft", "1200%", ""), _first("price", "1.2 Cr", "", prices=True),
    _first("availability", "46000", "who knows"),
    *(Kind("cell", f"JSON: {said}, with decimals in other homes",
           lambda rows: as_json([row | ({} if at == 0 else {"bath": 2.0}) for at, row in enumerate(rows)]),
           ".json", {"bath": cell}, {"bath": ""})
      for said, cell in (("true as bath", True), ("Infinity as bath", float("inf")))),
    Kind("cell", "JSON: a number as society", as_json, ".json", {"society": 5}, {"society": "5"}),
    Kind("cell", "JSON: null as bath", as_json, ".json", {"bath": None}, {"bath": ""}),
    Kind("cell", "JSON lines: no key bath in the first home", lambda rows: as_lines(
        [{name: cell for name, cell in row.items() if at or name != "bath"} for at, row in enumerate(rows)]),
         ".jsonl", means={"bath": ""}),
    Kind("cell", "Parquet: null as bath", as_parquet, ".parquet", {"bath": None}, {"bath": ""}),
    _first("total_sqft", "1,200", 1200), _first("total_sqft", "１２００", 1200), _first("total_sqft", "1.2e3", 1200),
    _first("total_sqft", ".12e4", 1200),
    _first("total_sqft", "1150 - 1250", 1200), _first("total_sqft", "1,2,00", ""), _first("total_sqft", "1200-", ""),
    _first("total_sqft", "100Sq. Yards", 900), _first("total_sqft", "१२००", ""), _first("total_sqft", "infinity", ""),
    _first("total_sqft", "1" + "0" * 400, "", "total_sqft of 401 digits"),
    _first("total_sqft", "1200,5", 1200.5, "decimal comma in a column without points"),
    _first("size", "2", "2 BHK", prices=True), _first("size", "2.0", "2 BHK", prices=True),
    _first("size", "2.5 BHK", "", prices=True),
    _first("bath", "2.0", 2), _first("bath", "-2", ""), _first("bath", "two", ""),
    _first("price", "₹ 60 L", "", prices=True), _first("price", "1e400", "", prices=True),
    _first("availability", "Almost_ready", "18-Dec"), _first("availability", "Ready to move from Dec 2028", "18-Dec"),
    _first("availability", "sold", "who knows"), _first("area_type", "Land", ""),
    Kind("cell", "JSON: NaN", as_json, ".json", {"society": float("nan")}, {"society": ""}),
    Kind("cell", "JSON: an object as a cell", as_json, ".json", {"location": {"name": "Whitefield"}}, {"location": ""}),
    Kind("cell", "JSON: 400 digits", as_json, ".json", {"total_sqft": 10**399}, {"total_sqft": ""}),
    Kind("cell", "Parquet: a moment as availability",
         _column("availability", lambda cells: pa.array([datetime(2028, 1, 1, 0, 0, 0, 1)] * len(cells))), ".parquet",
         means={"availability": "2028-01-01"}, every=True),
    Kind("cell", "Parquet: NaN in a column of floats",
         _column("balcony", lambda cells: pa.array([float("nan"), *[1.0] * (len(cells) - 1)])), ".parquet",
         means={"balcony": ""}),
    Kind("cell", "Parquet: a column of lists", _column("bath", lambda cells: pa.array([[2]] * len(cells))), ".parquet"),
    Kind("cell", "Parquet: bytes that are no text",
         _column("location", lambda cells: pa.array([b"\xff"] * len(cells))), ".parquet"),
]  # fmt: skip


def _prices(name: str, change: Callable[[int, dict[str, Any]], Cells]) -> Kind:
    return Kind(
        "scale", name, lambda rows: as_csv([{**row, **change(at, row)} for at, row in enumerate(rows)]), prices=True
    )


def _areas(name: str, wrong: Callable[[int], bool]) -> Kind:
    def write(rows: Rows) -> bytes:
        factors = [10.764 if wrong(at) else 1 for at in range(len(rows))]
        areas = (round(row["total_sqft"] / factor, 1) for row, factor in zip(rows, factors, strict=True))
        return as_csv([row | {"total_sqft": area} for row, area in zip(rows, areas, strict=True)])

    return Kind("scale", name, write)


SCALES = [
    _prices("`price_unit` Cr, LAC, k and Rs. beside the price", lambda at, row: [
        {"price": row["price"] / 100, "price_unit": "Cr"}, {"price_unit": "LAC"},
        {"price": row["price"] * 100, "price_unit": "k"}, {"price": f"{row['price']}00000", "price_unit": "Rs."},
    ][at % 4]),
    _prices("the same in a column `unit`, which has no meaning", lambda at, row: (
        {"price": row["price"] / 100, "unit": "Cr"} if at % 3 else {"unit": "L"})),
    _prices("`Price Unit` Rs. in Crore in the header, and a column `price_in`", lambda _, row: (
        {"price": row["price"] / 100, "Price Unit": "Rs. in Crore", "price_in": "Bangalore"})),
    _prices("a column `price_currency`", lambda _, row: {"price_currency": "INR"}),
    _prices("an unknown `price_unit`", lambda at, _: {"price_unit": "L" if at else "USD"}),
    _prices("a fifth of the prices in rupees", lambda at, row: {} if at % 5 else {"price": row["price"] * 100_000}),
    _prices("all prices in crore", lambda _, row: {"price": row["price"] / 100}),
    _prices("price and bath exchanged", lambda _, row: {"price": row["bath"], "bath": row["price"]}),
    _areas("all areas in square metres", lambda _: True),
    _areas("a fifth of the areas in square metres", lambda at: at % 5 == 0),
    _areas("three of forty areas in square metres", lambda at: at < 3),
    _areas("one area in square metres", lambda at: at == 3),
    Kind("scale", "total_sqft and bath exchanged", lambda rows: as_csv(
        [row | {"total_sqft": row["bath"], "bath": row["total_sqft"]} for row in rows])),
    Kind("scale", "`area_unit` Sq. Yards beside the area",
         lambda rows: as_csv([row | {"total_sqft": row["total_sqft"] / 9, "area_unit": "Sq. Yards"} for row in rows])),
    Kind("scale", "an unknown `area_unit`",
         lambda rows: as_csv([row | {"area_unit": "bigha" if at == 0 else ""} for at, row in enumerate(rows)]),
         means={"total_sqft": ""}),
]  # fmt: skip

FAULTS = [
    Kind("fault", name, write, ending)
    for name, ending, write in (
        ("cp1252", ".csv", _text(lambda text: text.replace("Soc0", "‘Soc’"), "cp1252")),
        ("UTF-16 without a mark", ".csv", _text(str, "utf-16-le")),
        ("UTF-16 without a mark, big-endian", ".csv", _text(str, "utf-16-be")),
        ("UTF-32", ".csv", _text(str, "utf-32")),
        ("a title above the header", ".csv", lambda rows: b"Listings of May\n" + as_csv(rows)),
        ("a zero byte", ".csv", _text(lambda text: text.replace("Whitefield", "White\0field", 1))),
        ("empty", ".csv", lambda _: b""),
        ("a byte-order mark and nothing else", ".csv", lambda _: b"\xef\xbb\xbf"),
        ("a column twice, in capitals", ".csv", _lines(lambda at, line: line + (",2" if at else ", BATH"))),
        ("no column location", ".csv", _text(lambda text: text.replace("location", "plaza", 1))),
        ("commas and semicolons in the header", ".csv", _text(lambda text: text.replace(",", ";", 1))),
        ("rows with semicolons below a header with commas", ".csv",
         _lines(lambda at, line: line.replace(",", ";") if at else line)),
        ("merge marker", ".csv", _below_header("<<<<<<< HEAD")),
        ("comment", ".csv", _below_header("# of the portal")),
        ("a row of separators only, as spreadsheets end in", ".csv",
         _lines(lambda at, line: line if at < 40 else line + "\n,,,,,,,,")),
        ("a row of two cells", ".csv", _below_header("x,y")),
        ("a row with a cell too many", ".csv", _lines(lambda at, line: line + ",9" * (at == 1))),
        ("an open quotation mark", ".csv", _text(lambda text: text.replace("Rajaji", '"Rajaji', 1))),
        ("text after a closing quotation mark", ".csv", _text(lambda text: text.replace("Rajaji", '"Raja"ji', 1))),
        ("two files, one after the other", ".csv", lambda rows: as_csv(rows) + as_csv(rows)),
        ("JSON: a key twice", ".json", lambda rows: as_json(rows).replace(b'"bath": 2', b'"bath": 2, "bath": 3', 1)),
        ("JSON: a key twice, once with an escape", ".json",
         lambda rows: as_json(rows).replace(b'"bath": 2', b'"bath": 2, "b\\u0061th": 3', 1)),
        ("JSON: objects without a line break between them", ".jsonl",
         lambda rows: as_lines(rows).replace(b"\n", b"")),
        ("JSON: one object in lines", ".jsonl", lambda rows: json.dumps(rows[0], indent=1).encode()),
        ("JSON: the list in a member `homes`, in lines", ".jsonl",
         lambda rows: json.dumps({"homes": rows}, indent=1).encode()),
        ("JSON: a comma after the last home", ".json", lambda rows: as_json(rows)[:-1] + b",]"),
        ("JSON: cut off", ".json", lambda rows: as_json(rows)[:-20]),
        ("JSON: the list in a member `data`", ".json", lambda rows: json.dumps({"data": rows}).encode()),
        ("JSON: nested too deeply", ".json", lambda _: b"[" * 100_000),
        ("JSON: a number of 5,000 digits", ".json",
         lambda rows: as_json(rows).replace(b'"bath": 2', b'"bath": ' + b"9" * 5000, 1)),
        ("JSON lines with commas at their ends", ".jsonl", lambda rows: as_lines(rows).replace(b"}\n", b"},\n")),
        ("JSON: a comment above the list", ".json", lambda rows: b"// of the portal\n" + as_json(rows)),
        ("JSON lines: a merge marker", ".jsonl", lambda rows: as_lines(rows).replace(b"\n", b"\n=======\n", 1)),
        ("Parquet: cut off", ".parquet", lambda rows: as_parquet(rows)[:-30]),
        ("Parquet: encrypted", ".parquet", lambda rows: b"PARE" + as_parquet(rows)[4:-4] + b"PARE"),
        ("Parquet: no row", ".parquet", lambda rows: as_parquet(rows, lambda table: table.slice(0, 0))),
        ("Parquet: a column twice", ".parquet",
         lambda rows: as_parquet(rows, lambda table: table.append_column("Bath", table["bath"]))),
        ("a header and no row", ".csv", lambda rows: as_csv(rows).splitlines(keepends=True)[0]),
        ("gzip under the name of Parquet", ".parquet", lambda rows: gzip.compress(as_parquet(rows), mtime=0)),
        ("gzip under the name of CSV", ".csv", lambda rows: gzip.compress(as_csv(rows), mtime=0)),
        ("a spreadsheet under the name of CSV", ".csv", _zip),
    )
]  # fmt: skip

KINDS = [*SPELLINGS, *CELLS, *SCALES, *FAULTS]

BESIDE_DATA = (
    "homes.csv.gz", "homes.tsv", "homes.xlsx", "homes.zip", "readme.txt", ".DS_Store", "Thumbs.db", "~$homes.xlsx",
    "__MACOSX/._homes.csv", "_SUCCESS", "_committed_1", ".homes.csv.crc", "homes.csv.md5", "part-0.csv.tmp",
    "homes.csv~", "manifest.json", "metadata/v1.metadata.json", ".~lock.homes.csv#", "folder/",
    "_year=2026/more.csv", "empty.csv",
)  # fmt: skip
"""Names of files beside `homes.csv` under the prefix of a batch job."""
