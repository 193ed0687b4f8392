"""One table in every format, spelling and block size is the same table; what is no table is refused with its line."""

from __future__ import annotations

import csv
import gc
import io
import json
from typing import Any
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeprices.errors import DatasetRefused, InvalidInput
from homeprices.tables import csv_rows, json_rows, many_objects
from homeprices.tables import lines as text_lines
from homeprices.tables.blocks import ROW, Block
from homeprices.tables.csv_rows import LONGEST_CELL, MOST_COLUMNS
from homeprices.tables.json_rows import json_object, text_of
from homeprices.tables.reader import open_table, read_whole

QUOTED = "is not CSV: a quoted cell goes on after its closing quotation mark"
NO_NAME = "Expecting property name enclosed in double quotes"
NAMES = ("price", "location", "area")
CELL = st.text(
    st.one_of(st.characters(codec="utf-8", exclude_characters="\0"), st.sampled_from(',;\t"\r\n\u2028\x85\x0b\x1c')),
    max_size=12,
)
ROWS = st.lists(
    st.tuples(st.integers(0, 99).map(str), CELL.map(str.lstrip), CELL.map(str.lstrip)), min_size=1, max_size=8
)


def blocks(body: bytes, *, rows: int = 32_768, size: int = 4 * 2**20, **options: Any) -> list[Block]:
    return list(open_table(io.BytesIO(body), "homes", NAMES, block_rows=rows, block_bytes=size, **options).blocks)


def cells(body: bytes, **options: Any) -> list[tuple[Any, ...]]:
    found = blocks(body, **options)
    assert [block.first_row for block in found] == [sum(map(len, found[:i])) for i in range(len(found))]
    assert not any(block.faults for block in found)
    return [tuple(row[name] for name in NAMES) for block in found for row in block.rows()]


def refused(body: bytes, **options: Any) -> str:
    with pytest.raises(DatasetRefused) as caught:
        blocks(body, **options)
    assert list(caught.value.fields) == ["homes"]
    return caught.value.fields["homes"]


def faults(body: bytes, **options: Any) -> dict[int, tuple[str, str]]:
    return {b.lines[place]: wrong for b in blocks(body, **options) for place, wrong in b.faults.items()}


def as_csv(rows: list[tuple[str, ...]], delimiter: str, end: str, header: tuple[str, ...], quoting: Any) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerows([header, *rows])
    return text.getvalue()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_table_is_the_same_in_every_format_spelling_and_block_size(data: st.DataObject) -> None:
    rows = data.draw(ROWS)
    expected = [tuple(row) for row in rows]
    sizes = {"rows": data.draw(st.integers(1, 4)), "size": data.draw(st.integers(1, 40))}
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    header = tuple(data.draw(st.sampled_from([name, name.upper(), f" {name.title()} "])) for name in NAMES)
    padding = ("",) * data.draw(st.integers(0, 2))
    text = as_csv(
        [(*row, *padding[: data.draw(st.integers(0, len(padding)))]) for row in rows],
        data.draw(st.sampled_from(",;\t|")), data.draw(st.sampled_from(["\n", "\r\n", "\r"])), (*header, *padding),
        csv.QUOTE_ALL,
    )  # fmt: skip
    assert cells(text.encode(encoding), **sizes) == expected

    objects = [dict(zip(header, row, strict=True)) for row in rows]
    plain = data.draw(st.booleans())
    end = data.draw(st.sampled_from(["\n", "\r\n", "\r", "\n\n"]))
    lines = end.join(json.dumps(one, ensure_ascii=plain) for one in objects)
    assert cells(lines.encode(encoding), **sizes) == expected
    for indent in (None, 1):
        listed = json.dumps(objects, ensure_ascii=plain, indent=indent)
        assert cells(listed.encode(encoding), **sizes) == expected
        logged = json.dumps({"type": "x", "logs": objects, "count": 1}, ensure_ascii=plain, indent=indent)
        assert cells(logged.encode(encoding), **sizes) == expected

    target = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(objects), target, row_group_size=2)
    assert cells(target.getvalue(), rows=sizes["rows"]) == expected


@given(st.binary(max_size=200), st.integers(1, 30))
def test_any_bytes_are_read_or_refused_and_never_break_the_reader(body: bytes, size: int) -> None:
    try:
        found = blocks(body, size=size)
    except DatasetRefused as error:
        assert list(error.fields) == ["homes"]
    else:
        assert all(len(block.rows()) == len(block) or not block.names for block in found)


@settings(max_examples=300, deadline=None)
@given(
    text=st.text(st.sampled_from(list('ab12,,,,;; \t#<="/\u2028\x0b\n\n\n\r')), max_size=60),
    header=st.sampled_from(["price,location,area", "price;location;area;;", "price"]),
    sizes=st.fixed_dictionaries({"rows": st.integers(1, 4), "size": st.integers(1, 40)}),
)
def test_text_that_is_split_as_a_whole_is_what_the_standard_library_reads(
    text: str, header: str, sizes: dict[str, int]
) -> None:
    def read(body: bytes) -> Any:
        try:
            found = blocks(body, **sizes)
        except DatasetRefused as error:
            return error.fields
        return [(*row, b.faults.get(at)) for b in found for at, row in enumerate(zip(b.lines, b.rows(), strict=True))]

    body = f"{header}\n{text}".encode()
    found = read(body)
    with mock.patch.object(csv_rows, "_plain_lines", return_value=None):
        assert read(body) == found


def test_only_text_without_anything_to_decide_is_split_as_a_whole() -> None:
    with mock.patch("csv.reader", wraps=csv.reader) as reader:
        assert cells(b"price,location,area\r\n1,Here,2\r\n3,,4\r\n") == [("1", "Here", "2"), ("3", "", "4")]
        header = reader.call_count
        assert cells(b"price,location,area,,\n1,Here,2,,\n3,,4,,") == [("1", "Here", "2"), ("3", "", "4")]
        assert reader.call_count == 2 * header
        assert cells(b'price,location,area\n1,"Here",2\n3, ,4\n') == [("1", "Here", "2"), ("3", "", "4")]
        assert reader.call_count == 3 * header + 1


def test_a_line_break_in_quotes_that_lies_over_a_block_changes_nothing() -> None:
    filler = "".join(f"{n},Here,1\n" for n in range(2_000))
    body = f'price,location,area\n{filler}1,"over\n2,the,edge",1\n3,There,1\n'.encode()
    whole = cells(body)
    assert whole[-2:] == [("1", "over\n2,the,edge", "1"), ("3", "There", "1")]
    for size in range(body.index(b"over"), body.index(b"edge")):
        assert cells(body, size=size) == whole
    assert blocks(body)[-1].lines[-1] == 2_004


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_lines_of_objects_are_counted_alike_in_blocks_of_any_size(end: str, nested: bool) -> None:
    objects = ['{"price":1}', '{"price":2,"location":"{"}', '{"price":3,"location":"},"}', '{"price":4}']
    if nested:
        objects[2] = '{"price":3,"x":{"y":[{},{}]}}'
    for size in range(4, 60):
        for body in (end.join(["", *objects, ""]), end.join(["[", ",\n".join(objects).replace("\n", end), "]"])):
            found = blocks(body.encode(), size=size)
            assert [line for block in found for line in block.lines] == [2, 3, 4, 5], (size, body)
    listed = f"{objects[0]}{end}{end}{objects[1]}{end}"
    for characters in (1, 2**16):
        with mock.patch.object(json_rows, "_MANY_CHARACTERS", characters):
            assert [line for block in blocks(listed.encode(), size=4) for line in block.lines] == [1, 3]


def test_lines_are_counted_as_an_editor_does() -> None:
    body = b'price,location,area\r\n\r\n1,"a\r\nb",2\r\n  \r\n3,x\xe2\x80\xa8y,4\r\n'
    [block] = blocks(body)
    assert list(block.lines) == [3, 6]
    assert block.column("location") == ("a\r\nb", "x\u2028y")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "is empty; expected CSV"),
        (b" \n\n ", "is empty; expected CSV"),
        (b"price,location,area\n1,Here,\xff\n", "line 2: is not UTF-8 after '1,Here,'; expected CSV"),
        ("price,area\nü,1\n".encode("cp1252"), "line 2: is not UTF-8; expected"),
        ("price,area\n".encode("utf-16-le"), "line 1: holds a zero byte after 'p'; expected"),
        ("price,area\n".encode("utf-32"), "is UTF-32; expected"),
        (b"price,area\n1,2\n\0,1\n", "line 3: holds a zero byte; expected"),
        (b"price,area\n1,2\n<<<<<<< HEAD\n3,4\n", "line 3: is a merge marker, '<<<<<<< HEAD'; resolve the conflict"),
        (b"price,area\n1,2\n=======,\n", "line 3: is a merge marker, '======='"),
        (b'{"price":1}\n=======\n{"price":2}\n', "line 2: is a merge marker, '======='"),
        (b'[{"price":1},\n>>>>>>> theirs\n{"price":2}]', "line 2: is a merge marker, '>>>>>>> theirs'"),
        (b"<<<<<<< HEAD\nprice,area\n", "line 1: is a merge marker"),
        (b"# from the portal\nprice,area\n", "line 1: is a comment, '# from the portal'; expected a header and rows"),
        (b"price,area\n# a note,\n", "line 2: is a comment, '# a note'"),
        (b"price,area, Price\n", "line 1, column price: is given more than once"),
        (b'price,area\n1,2\n3,"4\n5,6\n', "line 3: a quotation mark is not closed"),
        (b"price,area\n1," + b"x" * (LONGEST_CELL + 1), "line 2: a cell has more than 131,072 characters"),
        (b",".join([b"x%d" % n for n in range(MOST_COLUMNS + 1)]), "line 1: has 1,001 columns; at most 1,000"),
        (b"price;area,location\n", "line 1: the header has commas and semicolons; expected one separator, commas"),
        (b",,\n1,2\n", "line 1: the header names no column; expected CSV"),
        (b"PK\x03\x04", "is a zip archive or a spreadsheet (xlsx); expected CSV"),
        (b"\x1f\x8b\x08", "is a gzip archive; expected CSV"),
        (b"PAR1broken", "is no Parquet file"),
        (b'[{"price":1}', "line 1: is not JSON: expected a comma or the end of the list"),
        (b'[{"price":1},\n{"price"', "line 2: is not JSON"),
        (b'[{"price":1}] x', "line 1: is not JSON: expected nothing after the list; found 'x'"),
        (b'{\n "price": 1\n}', "line 1: is not JSON lines: the object goes on in the next line"),
        (b"[" * 100_000, "line 1: is not JSON: it is nested too deeply"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_refused_with_its_line(body: bytes, problem: str) -> None:
    for size in (1, 7, 2**20):
        assert refused(body, size=size).startswith(problem)


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        (b"price,area\n1\n2,3\n", {2: (ROW, "has 1 cells; the header has 2")}),
        (b"price,area\n1,2,3,\n2,3\n", {2: (ROW, "has 3 cells; the header has 2")}),
        (b'price,area\n1,"2"x\n2,3\n', {2: (ROW, QUOTED)}),
        (b'{"price":1,"area":2,"price":3}\n', {1: ("price", "is given more than once")}),
        (b'{"price":1,"Price":3}\n', {1: ("price", "is given more than once")}),
        (b'[{"price":1},\n{"price":1,"price":1}]', {2: ("price", "is given more than once")}),
        (b'{"price":1}\n{price\n', {2: (ROW, f"is not JSON: {NO_NAME} at character 2")}),
        (b'{"price":' + b"9" * 5_000 + b"}\n", {1: (ROW, "is not JSON: a number has too many digits")}),
        (b'{"price":"\\ud800"}\n', {1: (ROW, "holds half of a character (\\ud800 to \\udfff)")}),
        (b"[1,{}]", {1: (ROW, "must be a JSON object")}),
    ],
)  # fmt: skip
def test_a_row_that_does_not_fit_is_a_fault_of_its_line(body: bytes, wrong: dict[int, tuple[str, str]]) -> None:
    assert faults(body) == wrong
    assert faults(body, rows=1, size=3) == wrong


def test_a_line_without_end_is_refused_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_lines, "LONGEST_LINE", 1_000)
    assert "has more than 1,000 characters" in refused(b"price," + b"x" * 2_000, size=100)


def test_a_separator_that_is_not_the_comma_is_said() -> None:
    for body, word in ((b"price;area\n1,5;2\n", "semicolons"), (b"price\tarea\n1,5\t2\n", "tabs"),
                       (b"sep=;\nprice;area\n1,5;2\n", "semicolons")):  # fmt: skip
        table = open_table(io.BytesIO(body), "homes", NAMES)
        assert (table.notes, table.names) == ((f"homes: cells are separated by {word}",), ("price", "area"))
        assert [row["price"] for block in table.blocks for row in block.rows()] == ["1,5"]


def test_a_whole_table_names_what_it_ignores_and_the_first_rows_that_do_not_fit() -> None:
    whole = read_whole(io.BytesIO(b"price,id,area,,\n1,7,2,,\n"), "homes", NAMES, ("price", "area"))
    assert (whole.columns, whole.lines, whole.ignored) == ({"price": ["1"], "area": ["2"]}, [2], ("id",))
    objects = read_whole(io.BytesIO(b'{"price":1,"id":7}\n{"area":"x"}\n'), "homes", NAMES, ("price", "area"))
    assert objects.columns == {"price": [1, None], "area": [None, "x"]}
    with pytest.raises(DatasetRefused) as caught:
        read_whole(io.BytesIO(b"price,area\n1\n1,2\n2\n3\n4\n"), "homes", NAMES)
    wrong = "line 2: has 1 cells; the header has 2; line 4: has 1 cells; the header has 2; line 5: "
    assert caught.value.fields["homes"].startswith(wrong) and caught.value.fields["homes"].endswith("and 1 more rows")
    for body in (b"price,id\n1,2\n", b'{"price":1,"id":2}'):
        with pytest.raises(DatasetRefused, match="has no column area; found price, id"):
            read_whole(io.BytesIO(body), "homes", NAMES, ("price", "area"))


def test_typed_cells_are_written_as_csv_has_them() -> None:
    values = [None, float("nan"), 3.0, 2.5, 7, True, " x "]
    assert [text_of(cell) for cell in values] == ["", "", "3", "2.5", "7", "true", " x "]
    with pytest.raises(InvalidInput):
        text_of([1])


OBJECTS = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {"price": st.one_of(st.integers(), st.floats(), st.text(max_size=5)), "location": CELL},
            optional={"Area": st.one_of(st.none(), st.booleans(), st.lists(st.integers(), max_size=1))},
        ).map(json.dumps),
        st.sampled_from([
            '{"price":1,"price":2}', '{"price":1,"\\u0070rice":2}', '{"price" :1,"price":2}', '{"a":{"b":1},"a":2}',
            '{"price":1},{"price":2}', '{"a":[{"b":1}', '{"b":2}]}', '{"a":"x}', '{y"}', '{"price":1}}', '{"price":1',
            '{"price":NaN}', '{"price":-Infinity}', '{"price":1e400}', '{"price":01}', '{"price":1.}', '{"price":-0}',
            '{"price":-0.0}', '{"price":0.1e-7}', f'{{"price":{"9" * 4300}}}', f'{{"price":{"9" * 4301}}}',
            f'{{"price":0.{"1" * 999}}}', '{"price":"\\ud83d\\ude00"}', '{"price":"\\ud83d"}', '{"price":"\ty"}',
            '{"x":{"a":"b:\\"","c":[{"d":1},"e"]},"price":1}', '{"x":[{"a":1,"a":2}]}', '{"x":[{"a":"y"}],"y":{}}',
            '{"location":"a:b"}', '{"location":"\\":","price":1}', '{"location":"{[}]"}', '{"a\\/":1}', '{"price":1,}',
            "", "1", "[]", "{}", '\ufeff{"price":1}',
        ]),
    ),
    max_size=8,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(
    objects=OBJECTS,
    between=st.sampled_from(["\n", "\r\n", "\r", "\n\n", ",\n", ",", ", ", "\n,", ",\r\n"]),
    listed=st.booleans(),
    sizes=st.fixed_dictionaries({"rows": st.integers(1, 4), "size": st.sampled_from([1, 7, 40, 4096])}),
    characters=st.sampled_from([1, 30, 100, 2**16]),
)
def test_objects_that_are_parsed_as_a_whole_are_those_of_the_careful_decoder(
    objects: list[str], between: str, listed: bool, sizes: dict[str, int], characters: int
) -> None:
    def read(body: bytes) -> Any:
        try:
            found = blocks(body, **sizes)
        except DatasetRefused as error:
            return error.fields
        return repr([(b.names, [*b.lines], b.objects, b.faults, [b.column(name) for name in b.names]) for b in found])

    text = between.join(objects)
    body = (f"[{text}]" if listed else text).encode()
    with mock.patch.object(json_rows, "_MANY_CHARACTERS", characters):
        found = read(body)
    with mock.patch.object(many_objects, "_parsed", return_value=None):
        assert read(body) == found


@pytest.mark.parametrize("body", [
    b'{"price":1,"location":"a:b"}\r\n{"price":2}\r\n', b'{"price":1,"location":"a"}\r{"price":2}\r',
    b'{"price":NaN,"location":"[{a: \\\\\\":\\"}]"}\n{"price":Infinity, "location" : "}"}\n',
    b'{"price":1,"x":{"y":["z:"]}}\n{"price":2,"x":{}}\n', b'[{"price":1,"x":{"y":"z"},"location":"a"},{"x":{}},{}]',
    b'[{"price":1,"location":"[{a: \\"}]"},\r\n{"price" : 2},{"location":"},"},{"price":3}]',
    b'[{"price": 1, "location": "a"},{"price": 2},\n{"price": 3}]',
    json.dumps([{"price": 1}, {"price": 2}, {"price": 3}], indent=2).encode(),
])  # fmt: skip
def test_plain_objects_are_not_decoded_one_by_one(body: bytes) -> None:
    with mock.patch.object(json_rows._Decoder, "decode", side_effect=json_rows._Decoder().decode) as decode:
        read = blocks(body)
    assert sum(map(len, read)) >= 2
    assert decode.call_count <= body.startswith(b"["), "all but the last object of a list are parsed as a whole"


KEYS = st.lists(st.tuples(st.sampled_from(["a", "b", "a:b", "c"]), st.sampled_from(["", " "])), max_size=5)
VALUES = st.sampled_from(["1", '"x"', '"12:30"', '"\\":"', '"x\\\\"', "[]", "{}", '{"a": 1}', '[{"a": 1, "a" :2}]'])


@given(KEYS, st.data())
def test_a_key_that_is_given_twice_is_found_whatever_stands_beside_it(
    keys: list[tuple[str, str]], data: st.DataObject
) -> None:
    values = [data.draw(VALUES) for _ in keys]
    text = ",".join(f'"{key}"{blank}:{value}' for (key, blank), value in zip(keys, values, strict=True))
    names = [key for key, _ in keys]
    twice = len({*names}) < len(names) or '[{"a": 1, "a" :2}]' in values
    found = [problem for _, problem in faults(b"{" + text.encode() + b"}\n").values()]
    assert (found == ["is given more than once"]) == twice


def test_a_key_that_is_given_twice_is_refused_at_any_depth() -> None:
    assert json_object(b'{"a": 1, "b": [{"a": 2}]}') == {"a": 1, "b": [{"a": 2}]}
    assert faults(b'{"price":1,"price":"\\\\","x":"\\\\"}\n') == {1: ("price", "is given more than once")}
    for text in ('{"a":1,"a":1}', '{"b":[{"a":1,"a":2}]}'):
        with pytest.raises(InvalidInput) as caught:
            json_object(text)
        assert caught.value.fields == {"a": "is given more than once"}


def test_a_list_that_is_decoded_in_many_attempts_leaves_no_garbage_behind() -> None:
    body = b'[{"location": [' + b"[]," * 200_000 + b"[]]}]"
    gc.collect()
    gc.disable()
    try:
        assert len(read_whole(io.BytesIO(body), "file", ()).lines) == 1
        assert gc.collect() < 1_000, "the text of an attempt waits for a collection, with all that was decoded"
    finally:
        gc.enable()
