"""Many homes in one request: every form, row errors beside good rows, and what is refused as a whole."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from werkzeug.test import TestResponse

from homeprices.errors import BundleRefused, Unavailable
from homeprices.pricing.home import Home
from homeprices.pricing.predictor import Estimate
from inference.backend.api.batch_routes import LARGEST_BATCH_BYTES, MOST_HOMES, PIECE_HOMES
from inference.backend.runtime.micro_batcher import MOST_PRESENT, RETRY_AFTER_SECONDS, BatchSlots
from tests.support.bundles import price
from tests.unit.inference.conftest import Backend, Start
from tests.unit.inference.test_errors import assert_problem

PATH = "/api/predict_home_price/batch"
HOME: dict[str, Any] = {"total_sqft": 1200, "location": "Whitefield", "bhk": 2, "bath": 2}
JSON, NDJSON, CSV = "application/json", "application/x-ndjson", "text/csv"


def homes(count: int) -> list[dict[str, Any]]:
    return [{**HOME, "total_sqft": 500 + number} for number in range(count)]


def as_ndjson(rows: Sequence[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def as_csv(rows: Sequence[dict[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_json(rows: Sequence[Any]) -> bytes:
    return json.dumps(rows).encode()


def from_csv(answer: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.decode(), newline="")))


def prices_of(media_type: str, answer: bytes) -> list[float]:
    if media_type == CSV:
        return [float(row["estimated_price"]) for row in from_csv(answer)]
    rows = json.loads(answer) if media_type == JSON else [json.loads(line) for line in answer.splitlines()]
    return [row["estimated_price"] for row in rows]


def send(backend: Backend, body: bytes, media_type: str = JSON, **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return backend.client.post(PATH, data=body, content_type=media_type, headers=named)


@pytest.mark.parametrize(("media_type", "write"), [(JSON, as_json), (NDJSON, as_ndjson), (CSV, as_csv)])
def test_every_home_is_answered_in_the_form_and_order_in_which_it_came(
    backend: Backend, media_type: str, write: Callable[[Sequence[Any]], bytes]
) -> None:
    asked = homes(2 * PIECE_HOMES + 7)
    answer = send(backend, write(asked), media_type)
    assert (answer.status_code, answer.mimetype) == (200, media_type)
    expected = [price(home["total_sqft"], "Whitefield", 2) for home in asked]
    assert prices_of(media_type, answer.data) == pytest.approx(expected, abs=0.01)
    assert answer.headers["X-Model-Version"] == "BO1"
    assert [logged.inputs["total_sqft"] for logged in backend.log.predictions] == [home["total_sqft"] for home in asked]


def test_a_row_of_a_list_has_the_members_of_a_single_answer(backend: Backend) -> None:
    single = backend.client.post("/api/predict_home_price", json=HOME).get_json()
    [row] = json.loads(send(backend, as_json([HOME])).data)
    assert row == {**{name: value for name, value in single.items() if name != "response_time_ms"}, "prediction_id": 2}


def test_what_is_wrong_with_a_row_stands_beside_the_others(backend: Backend) -> None:
    asked = [HOME, {**HOME, "bhk": 0}, 5, {**HOME, "price": 1}, HOME]
    rows = json.loads(send(backend, as_json(asked)).data)
    assert ["error" in row for row in rows] == [False, True, True, True, False]
    assert [list(row.get("fields", {})) for row in rows] == [[], ["bhk"], ["row"], ["price"], []]
    assert rows[1]["error"] == "bhk: must be a whole number from 1 to 50; it is “0”"
    assert [row.get("prediction_id") for row in rows] == [1, None, None, None, 2]
    assert backend.metric("predictions_total") == 2
    assert backend.metric("prediction_errors_total", reason="invalid") == 3
    assert backend.metric("prediction_batch_homes_sum") == 5


def test_a_line_that_is_not_json_is_an_error_of_that_line(backend: Backend) -> None:
    body = as_ndjson([HOME]) + b"\n{nonsense\n" + b"[" * 5000 + b"\n" + as_ndjson([HOME])
    rows = [json.loads(line) for line in send(backend, body, NDJSON).data.splitlines()]
    assert ["error" in row for row in rows] == [False, True, True, False]
    assert rows[1]["error"].startswith("row: line 3: is not JSON")


def test_a_key_that_is_given_twice_is_an_error_of_its_row(backend: Backend) -> None:
    twice = json.dumps(HOME)[:-1] + ', "bhk": 3}'
    for media_type, body in ((JSON, f"[{json.dumps(HOME)},\n{twice}]"), (NDJSON, f"{json.dumps(HOME)}\n{twice}\n")):
        answer = send(backend, body.encode(), media_type)
        rows = json.loads(answer.data) if media_type == JSON else [json.loads(row) for row in answer.data.splitlines()]
        assert [row.get("fields") for row in rows] == [None, {"bhk": "line 2: is given more than once"}]
    single = backend.client.post("/api/predict_home_price", data=twice, content_type=JSON)
    assert assert_problem(single, 422)["fields"] == {"bhk": "is given more than once"}


def test_a_table_is_read_as_files_are(backend: Backend) -> None:
    text = "Total_Sqft;LOCATION; bhk ;bath;;\r1200;Whitefield;2;2;;\r1200;Whitefield;3;2\r"
    rows = from_csv(send(backend, text.encode("utf-16"), CSV).data)
    assert [bool(row["estimated_price"]) for row in rows] == [True, True]


def test_a_separator_that_was_found_is_said_in_a_header(backend: Backend) -> None:
    plain, found = as_csv(homes(2)), as_csv(homes(2)).replace(b",", b"\t")
    assert "X-Table-Notes" not in send(backend, plain, CSV).headers
    answer = send(backend, found, CSV)
    assert answer.headers["X-Table-Notes"] == "body: cells are separated by tabs"
    assert prices_of(CSV, answer.data) == prices_of(CSV, send(backend, plain, CSV).data)


@pytest.mark.parametrize("media_type", [JSON, NDJSON, CSV])
def test_areas_in_square_metres_are_refused_and_single_homes_that_cannot_be_are_noted(
    backend: Backend, media_type: str
) -> None:
    write = {JSON: lambda rows: json.dumps(rows).encode(), NDJSON: as_ndjson, CSV: as_csv}[media_type]
    metres = [{**home, "total_sqft": home["total_sqft"] * 0.09290304} for home in homes(40)]
    problem = assert_problem(send(backend, write(metres), media_type), 422)
    assert problem["fields"]["total_sqft"].startswith(
        "100.00% of 40 rows (40) have under 100 or over 10,000 square feet"
    )
    assert "Likely areas in square metres or square yards, not in square feet. First: line " in problem["error"]
    assert backend.metric("predictions_total") == 0
    few = send(backend, write(metres[:29]), media_type)
    assert (few.status_code, few.headers["X-Table-Notes"][:37]) == (200, "body: total_sqft: 100.00% of 29 rows ")
    single = send(backend, write([*homes(39), metres[0]]), media_type)
    assert (single.status_code, single.headers["X-Table-Notes"][:34]) == (200, "body: total_sqft: 2.50% of 40 rows")


@pytest.mark.parametrize("media_type", [JSON, NDJSON, CSV])
def test_decimal_commas_are_read_where_the_column_as_a_whole_has_them(backend: Backend, media_type: str) -> None:
    write = {JSON: lambda rows: json.dumps(rows).encode(), NDJSON: as_ndjson, CSV: as_csv}[media_type]
    asked = [{**HOME, "total_sqft": area} for area in ("1200,5", "900", "1.050,25")]
    answer = send(backend, write(asked), media_type)
    expected = [price(area, HOME["location"], 2) for area in (1200.5, 900, 1050.25)]
    assert prices_of(media_type, answer.data) == pytest.approx(expected, abs=0.01)
    assert answer.headers["X-Table-Notes"].startswith(
        "body: total_sqft: a decimal comma in 2 cells, read as one; first"
    )
    single = send(backend, write([*asked, {**HOME, "total_sqft": "12,5"}]), media_type)
    assert single.headers["X-Table-Notes"].count("25.00% of 4 rows") == single.headers["X-Table-Notes"].count("%") == 1
    mixed = send(backend, write([*asked, {**HOME, "total_sqft": "900.5"}]), media_type)
    assert "but a point or a comma between thousands in others" in assert_problem(mixed, 422)["fields"]["total_sqft"]
    typed = send(backend, as_json([*asked, {**HOME, "total_sqft": 900.5}]), JSON)
    assert "(line 1: '900.5')" in assert_problem(typed, 422)["fields"]["total_sqft"]
    metres = [{**HOME, "total_sqft": f"{100 + number},5"} for number in range(40)]
    problem = assert_problem(send(backend, write(metres), media_type), 422)
    assert problem["fields"]["total_sqft"].startswith("100.00% of 40 rows (40) have under 100")


def test_a_csv_row_that_is_wrong_says_so_in_its_last_column(backend: Backend) -> None:
    body = (
        b"\xef\xbb\xbf total_sqft,location,bhk,bath,balcony\r\n"
        b'1200,"Whitefield",2,2,\r\n\r\n1200,Whitefield,2\r\n1200,Whitefield,,2,1\r\n'
        b'1200,"White"field,2,2,1\r\n1200,Nowhere,2,2,1\r\n'
    )
    rows = from_csv(send(backend, body, CSV).data)
    assert [bool(row["error"]) for row in rows] == [False, True, True, True, False]
    assert rows[1]["error"] == "row: line 4: has 3 cells; the header has 5"
    assert rows[2]["error"] == "bhk: is required"
    assert rows[3]["error"].startswith("row: line 6: is not CSV")
    assert (rows[0]["location_known"], rows[4]["location_known"]) == ("true", "false")
    assert (rows[0]["variant"], rows[0]["model_version"], rows[0]["prediction_id"]) == ("production", "BO1", "1")
    assert float(rows[0]["low"]) < float(rows[0]["estimated_price"]) < float(rows[0]["high"])


@pytest.mark.parametrize(("media_type", "body", "given"), [(JSON, b"[]", b"[]"), (NDJSON, b"", b"")])
def test_no_home_is_an_empty_answer(backend: Backend, media_type: str, body: bytes, given: bytes) -> None:
    answer = send(backend, body, media_type)
    assert (answer.status_code, answer.data) == (200, given)


def test_the_most_that_is_allowed_is_priced_and_one_more_is_refused(backend: Backend) -> None:
    assert len(json.loads(send(backend, as_json([HOME] * MOST_HOMES)).data)) == MOST_HOMES
    for media_type, body in ((JSON, as_json([HOME] * (MOST_HOMES + 1))), (NDJSON, as_ndjson([0] * (MOST_HOMES + 1)))):
        problem = assert_problem(send(backend, body, media_type), 422)
        assert problem["fields"] == {"body": "holds more than 10,000 homes"}
    assert len(backend.log.predictions) == MOST_HOMES


@pytest.mark.parametrize(
    ("media_type", "body", "status", "says"),
    [
        (JSON, b"{", 400, "is not JSON"),
        (JSON, b"[" * 5000, 400, "is not JSON"),
        (JSON, b"{}", 422, "must be a JSON list"),
        (CSV, b"\xff", 400, "is not UTF-8"),
        (CSV, b'"a"b\n', 400, "is not CSV"),
        (CSV, b"", 422, "body: is empty; expected CSV"),
        (CSV, b"total_sqft,location,bhk,bath,price\n", 422, "price: is not a column"),
        (CSV, b"total_sqft,location,bhk,bath,bath\n", 422, "body: line 1, column bath: is given more than once"),
        (CSV, b"total_sqft,location,bhk\n", 422, "body: line 1: has no column bath; found total_sqft, location, bhk"),
        (CSV, b"total_sqft,location,bhk,bath\n<<<<<<< HEAD\n", 400, "body: line 2: is a merge marker"),
        (NDJSON, b"\n\xff\n", 400, "body: line 2: is not UTF-8"),
        (JSON, b'[{"bhk":1},\n{"bhk"}]', 400, "body: line 2: is not JSON"),
        ("text/plain", b"x", 415, "text/csv"),
        ("", b"x", 415, "no media type"),
        (JSON, b" " * (LARGEST_BATCH_BYTES + 1), 413, "the body is larger than 4,096 KiB"),
    ],
)
def test_a_body_that_is_wrong_as_a_whole_is_refused_as_a_whole(
    backend: Backend, media_type: str, body: bytes, status: int, says: str
) -> None:
    assert says in assert_problem(send(backend, body, media_type), status)["error"]
    assert backend.log.predictions == []


def test_batch_estimates_are_no_part_of_an_experiment(backend: Backend) -> None:
    send(
        backend, as_json([HOME]), X_Visitor_Id="v", X_Assigned_Variant="candidate", X_Experiment_Epoch="3",
        X_Request_ID="trace-1234",
    )  # fmt: skip
    [logged] = backend.log.predictions
    assert (logged.assigned_variant, logged.epoch, logged.fallback) == (None, None, False)
    assert (logged.request_id, logged.visitor is not None) == ("trace-1234", True)


def test_with_a_full_disk_a_batch_is_answered_without_ids(backend: Backend) -> None:
    backend.log.full = True
    rows = json.loads(send(backend, as_json(homes(3))).data)
    assert [row["prediction_id"] for row in rows] == [None] * 3
    assert backend.metric("predictions_unlogged_total") == 3


def test_a_home_for_which_the_model_has_no_price_does_not_spoil_the_others(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = backend.service.live.current()
    sound = model.estimate

    def fail_for_mansions(asked: Sequence[Home]) -> list[Estimate]:
        if any(home.bhk == 50 for home in asked):
            raise BundleRefused("BO1: the model answers nan lakh rupees")
        return sound(asked)

    monkeypatch.setattr(model, "estimate", fail_for_mansions)
    rows = json.loads(send(backend, as_json([HOME, {**HOME, "bhk": 50}, HOME])).data)
    assert rows[1] == {"error": "BO1: the model answers nan lakh rupees", "fields": {}}
    assert [row.get("prediction_id") for row in rows] == [1, None, 2]
    assert backend.metric("prediction_errors_total", reason="model_error") == 1


def test_without_a_model_a_batch_is_told_to_come_again(start: Start) -> None:
    assert_problem(send(start(), as_json([HOME])), 503)


def test_batches_that_find_no_place_are_told_to_come_again(backend: Backend) -> None:
    places = BatchSlots()
    held, done = threading.Barrier(2), threading.Event()

    def hold() -> None:
        with places.turn():
            held.wait(60)
            done.wait(60)

    one = threading.Thread(target=hold)
    one.start()
    held.wait(60)
    with pytest.raises(Unavailable) as error, places.turn(wait_seconds=0.01):
        pass
    assert error.value.retry_after == RETRY_AFTER_SECONDS
    done.set()
    one.join(60)
    for _ in range(MOST_PRESENT + 1):  # every place was given back
        with places.turn(wait_seconds=0):
            pass


def test_more_than_may_wait_are_refused_at_once(backend: Backend) -> None:
    for _ in range(MOST_PRESENT):
        assert backend.service.batches._present.acquire(blocking=False)
    answer = send(backend, as_json([HOME]))
    assert_problem(answer, 503)
    assert answer.headers["Retry-After"] == str(RETRY_AFTER_SECONDS)


HOSTILE = {
    "one row with many unknown fields": (JSON, as_json([{f"key {number}": 0 for number in range(250_000)}])),
    "rows with unknown fields": (NDJSON, as_ndjson([{f"{number}": 0 for number in range(60)}] * 5_000)),
    "empty objects": (JSON, as_json([{}] * MOST_HOMES)),
    "numbers": (NDJSON, b"0\n" * MOST_HOMES),
    "lines that are not JSON": (NDJSON, b"{x\n" * MOST_HOMES),
    "one name of three megabytes": (JSON, as_json([{"x" * 3_000_000: 0}])),
    "one value of three megabytes": (JSON, as_json([{**HOME, "location": "x" * 3_000_000}])),
    "short CSV rows": (CSV, b"total_sqft,location,bhk,bath\n" + b"x\n" * MOST_HOMES),
    "wrong CSV rows": (CSV, b"total_sqft,location,bhk,bath\n" + b",,,\n" * MOST_HOMES),
    "a CSV header of many columns": (CSV, b"a," * 1_000_000 + b"\n"),
    "a CSV header of one name": (CSV, b"a" * 100_000 + b"\n"),
    "good rows": (CSV, b"total_sqft,location,bhk,bath\n" + b"1200,W,2,2\n" * MOST_HOMES),
}


@pytest.mark.parametrize(("media_type", "body"), HOSTILE.values(), ids=HOSTILE.keys())
def test_an_answer_is_bounded_by_a_small_multiple_of_its_request(
    backend: Backend, media_type: str, body: bytes
) -> None:
    answer = send(backend, body, media_type)
    assert answer.status_code in (200, 422)
    assert len(answer.data) <= 6 * len(body) + 512 * 1024


def test_ten_unknown_fields_are_named_and_how_many_more_there_are(backend: Backend) -> None:
    row = {**{f"key {number}\x1b[2J": 0 for number in range(900)}, "bhk": 0}
    [answer] = json.loads(send(backend, as_json([row])).data)
    unknown = [name for name in answer["fields"] if name.startswith("key")]
    assert unknown == [f"key_{number}\\x1b[2j" for number in range(10)]
    assert answer["fields"]["more"] == "890 more fields are wrong"
    assert answer["fields"]["bath"] == "is required"
    assert answer["fields"]["bhk"].startswith("must be a whole number")


def test_a_row_of_more_fields_than_a_table_may_have_is_refused_with_the_first_ten(backend: Backend) -> None:
    row = {f"k\x1b{number}": 0 for number in range(200_000)}
    answered = send(backend, as_json([row, HOME])).data
    refused, priced = json.loads(answered)
    assert refused["fields"]["row"].startswith(
        "line 1: has 200,000 fields, at most 1,000 are taken; the first are k\\x1b0, k\\x1b1"
    )
    assert "\\x1b9" in refused["error"] and "\\x1b10" not in refused["error"]
    assert priced["estimated_price"] > 0 and len(answered) < 5_000


def test_rows_after_the_budget_of_errors_are_only_called_wrong(backend: Backend) -> None:
    rows = json.loads(send(backend, as_json([{}] * 2_000 + [HOME])).data)
    assert rows[0]["fields"]["bath"] == "is required"
    assert rows[-2] == {"error": "is wrong too", "fields": {}}
    assert rows[-1]["estimated_price"] > 0


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"[1 2]", 400), (b"[1,]", 400), (b"[1", 400), (b"[]x", 400), (b"\xff", 400), (b"", 400), (b"null", 422),
     (b" [ ] ", 200), (b" [ {} , {} ] ", 200), ("[{}]".encode("utf-16"), 200), (b"[,1]", 400)],
)  # fmt: skip
def test_a_list_is_read_as_json_has_it(backend: Backend, body: bytes, status: int) -> None:
    assert send(backend, body).status_code == status


@pytest.mark.parametrize("path", ["/api/predict_home_price", "/api/feedback"])
@pytest.mark.parametrize("media_type", [JSON, "application/x-www-form-urlencoded"])
def test_an_answer_to_many_unknown_fields_is_short_everywhere(backend: Backend, path: str, media_type: str) -> None:
    names = [f"k{number}" for number in range(5_000)]
    body = as_json(dict.fromkeys(names, 0)) if media_type == JSON else "&".join(f"{name}=0" for name in names)  # type: ignore[arg-type]
    answer = backend.client.post(path, data=body, content_type=media_type)
    assert (answer.status_code, len(answer.data) < 5_000) == (422, True)
    assert answer.get_json()["fields"]["more"] == "4,990 more fields are wrong"


def test_an_answer_to_fields_that_are_given_twice_is_short(backend: Backend) -> None:
    body = "&".join(f"k{number % 4_000}=0" for number in range(8_000))
    answer = backend.client.post("/api/predict_home_price", data=body, content_type="application/x-www-form-urlencoded")
    assert (answer.status_code, answer.get_json()["fields"]["more"]) == (422, "3,980 more fields are wrong")


def test_an_answer_to_a_long_query_or_media_type_is_short(backend: Backend) -> None:
    query = "&".join(f"k{number}=0" for number in range(300))
    answer = backend.client.get(f"/api/logs?{query}")
    assert answer.get_json()["fields"]["more"] == "290 more fields are wrong"
    answer = send(backend, b"x", "x" * 5_000)
    assert (answer.status_code, len(answer.data) < 1_000) == (415, True)
