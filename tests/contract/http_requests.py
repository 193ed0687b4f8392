"""The 500 requests whose answers are recorded in `recorded/http.ndjson`. The list is the same on every machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any
from urllib.parse import urlencode

COUNT = 500
PREDICT, BATCH, FEEDBACK = "/api/predict_home_price", "/api/predict_home_price/batch", "/api/feedback"
JSON, FORM, NDJSON, CSV = "application/json", "application/x-www-form-urlencoded", "application/x-ndjson", "text/csv"
GETS = ("/api/get_location_names", "/api/health", "/api/ready", "/metrics", "/api/metrics", "/api/logs",
        "/api/logs/tail", "/api/drift_report", "/api/openapi.json", "/api/docs")  # fmt: skip
PLACES = ("Whitefield", "Indira Nagar", "Electronic City", "Rajaji Nagar", "  electronic   CITY ", "Nowhere")
HOME = {"total_sqft": 1200, "location": "Whitefield", "bhk": 2, "bath": 2}
GIVEN = "$given"
"""Stands in a body for the `prediction_id` of the last estimate before it."""


@dataclass(frozen=True)
class Request:
    """One request. `to` names an instance of `http_recording.INSTANCES`.

    `trusted`: sent from an address in TRUSTED_NETWORKS. `settled`: sent once PostgreSQL has all that came before.
    """

    method: str
    path: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    to: str = "production"
    trusted: bool = True
    settled: bool = False


def requests() -> list[Request]:
    """All requests, in their order: each path, then what visitors send, then what operators read of it."""
    routes = list(_routes())  # first, while the log is empty: rows of one batch have one time, and no order
    others = [*_homes(), *_wrong_homes(), *_bodies(), *_batches(), *_feedback(), *_callers(), *_candidate(),
              *_without_database(), *_operators()]  # fmt: skip
    return [*routes, *_plain(COUNT - len(routes) - len(others)), *others]


def post(path: str, value: Any, **more: Any) -> Request:
    """A POST of JSON."""
    headers = {"Content-Type": JSON, **more.pop("headers", {})}
    return Request("POST", path, json.dumps(value).encode(), headers, **more)


def send(path: str, media_type: str, body: bytes | str, **more: Any) -> Request:
    """A POST of a body of another media type; none for an empty name."""
    content = body if isinstance(body, bytes) else body.encode()
    return Request("POST", path, content, {"Content-Type": media_type} if media_type else {}, **more)


def form(path: str, values: Any, **more: Any) -> Request:
    """A POST of a form."""
    return send(path, FORM, urlencode(values), **more)


def _plain(count: int) -> Iterator[Request]:
    """Estimates as the form of the site asks for them."""
    for n in range(count):
        place = PLACES[n % len(PLACES)]
        yield post(
            PREDICT, {"total_sqft": 350 + 137 * n % 4600, "location": place, "bhk": 1 + n % 6, "bath": 1 + n % 4}
        )


def _homes() -> Iterator[Request]:
    """Estimates with optional fields, of numbers as text, and in other encodings of a body."""
    for area_type in ("Super built-up Area", "Built-up Area", "Plot Area", "Carpet Area", "  plot   AREA ", "", None):
        yield post(PREDICT, {**HOME, "area_type": area_type})
    for balcony in (0, 1, 50, "2", " 3 ", "", None):
        yield post(PREDICT, {**HOME, "balcony": balcony})
    for name in ("availability", "society"):
        for text in ("Ready To Move", "19-Dec", "Grrvaé  Gross", "", None, "x" * 100):
            yield post(PREDICT, {**HOME, name: text})
    for area in (100, 100.5, 99_999.99, 100_000, "1200", " 1200.5 ", "1e3", 1e3):
        yield post(PREDICT, {**HOME, "total_sqft": area})
    for rooms in (1, 50, "3", 2.0, "2.0"):
        yield post(PREDICT, {**HOME, "bhk": rooms, "bath": rooms})
    for place in ("Whitefield", "nowhere", "ಬೆಂಗಳೂರು", "a & b = c"):
        yield form(PREDICT, {**HOME, "location": place})
        yield post(PREDICT, {**HOME, "location": place}, headers={"Content-Type": f"{JSON}; charset=utf-8"})
    yield form(PREDICT, {**HOME, "balcony": "", "society": "", "area_type": "Plot Area"})
    yield post(PREDICT, HOME, headers={"Content-Type": "application/vnd.home+json"})
    yield send(PREDICT, "multipart/form-data; boundary=b", _multipart(HOME))
    chunked = json.dumps(HOME).encode()
    yield Request("POST", PREDICT, b"%x\r\n%s\r\n0\r\n\r\n" % (len(chunked), chunked),
                  {"Content-Type": JSON, "Transfer-Encoding": "chunked"})  # fmt: skip


def _multipart(values: dict[str, Any]) -> str:
    parts = (f'--b\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in values.items())
    return "".join(parts) + "--b--\r\n"


def _wrong_homes() -> Iterator[Request]:
    for name in (*HOME, "balcony", "area_type", "availability", "society"):
        wrong: tuple[Any, ...] = (True, [], {}, "x" * 101, -1, "\u0007")
        for value in wrong:
            yield post(PREDICT, {**HOME, name: value})
    for name in HOME:
        wrong = (None, "", "  ", 0, 1e9, "1,200", 2.5)
        for value in wrong:
            yield post(PREDICT, {**HOME, name: value})
        yield form(PREDICT, {**HOME, name: "?" * 101})
    for size in (1, 2, 3, 4):
        for missing in combinations(HOME, size):
            yield post(PREDICT, {name: value for name, value in HOME.items() if name not in missing})
    yield post(PREDICT, {**HOME, "price": 1})
    yield post(PREDICT, {**HOME, "Location": "x", "": 1})
    yield form(PREDICT, [*HOME.items(), ("bhk", 3)])
    yield form(PREDICT, {})


def _bodies() -> Iterator[Request]:
    """Bodies that are no object, and media types that are not read."""
    good = json.dumps(HOME).encode()
    for path in (PREDICT, FEEDBACK):
        for body in (b"", b"[]", b"null", b"1", b"{", b"\xff", b"[" * 5000):
            yield send(path, JSON, body)
        for media_type in ("", "text/plain", CSV, "application/jsonx"):
            yield send(path, media_type, good)
    for body in (
        b'{"total_sqft": NaN}',
        b'{"bhk": 1, "bhk": 2}',
        b"\xef\xbb\xbf" + good,
        good.decode().encode("utf-16"),
        good.ljust(64 * 1024),
        good.ljust(64 * 1024 + 1),
    ):
        yield send(PREDICT, JSON, body)


def _batches() -> Iterator[Request]:
    rows: list[Any] = [HOME, {**HOME, "location": "Nowhere"}, {**HOME, "bhk": 0}, {}, 5, {**HOME, "balcony": "1"}]
    head, line = ",".join(HOME), "1200,Whitefield,2,2"
    bodies: tuple[Any, ...] = (rows, rows[:1], rows[2:4], [], {}, None, [[HOME]])
    for some in bodies:
        yield post(BATCH, some)
    yield send(BATCH, JSON, b"[{]")
    for media_type in (NDJSON, "application/ndjson", "application/jsonl"):
        yield send(BATCH, media_type, "\n".join(map(json.dumps, rows)))
    for body in (b"", b"\n\n", b"{}\n{\n" + json.dumps(HOME).encode(), b"\xff\n", b"{}\n" * 10_001):
        yield send(BATCH, NDJSON, body)
    for text in (
        f"{head}\r\n{line}\r\n900,Nowhere,1,1\r\n,Whitefield,1,1\r\n",
        f"\ufeff{head}\n{line}\n\n1,2\n{line}",
        f'{head},society\n{line},"a ""b"", c"\n',
        f"{head}\n",
        "",
        f"{head},price\n{line},1\n",
        f"{head},bhk\n{line},1\n",
        "total_sqft,bhk\n1,2\n",
        f'{head}\n1200,"Whitefield,2,2\n',
    ):
        yield send(BATCH, CSV, text)
    yield send(BATCH, CSV, b"\xff")
    for media_type in ("", FORM, "text/plain"):
        yield send(BATCH, media_type, "x")


def _feedback() -> Iterator[Request]:
    def remark(kind: Any, **more: Any) -> dict[str, Any]:
        return {"prediction_id": GIVEN, "feedback_type": kind, **more}

    yield post(PREDICT, HOME, headers={"X-Visitor-Id": "rater"})
    rater = {"X-Visitor-Id": "rater"}
    for kind, value in (("rating", 1), ("rating", 5), ("rating", "4"), ("actual_price", 0.1), ("actual_price", 99.5)):
        yield post(FEEDBACK, remark(kind, feedback_value=value), headers=rater)
    for kind in ("accurate", "too_high", "too_low"):
        yield post(FEEDBACK, remark(kind, feedback_text=" fine\nas it is "), headers=rater)
    yield post(FEEDBACK, remark("too_low"))
    yield form(FEEDBACK, remark("rating", feedback_value="3", feedback_text=""))
    wrong: tuple[tuple[Any, Any], ...] = (
        ("rating", 0), ("rating", 2.5), ("rating", None), ("rating", "x"), ("actual_price", 0), ("actual_price", 1e6),
        ("accurate", 1), ("great", None), (None, None), (5, 5),
    )  # fmt: skip
    for kind, value in wrong:
        yield post(FEEDBACK, remark(kind, feedback_value=value))
    for number in (0, -1, 10**12, 2**53, "x", None, True, 1.5):
        yield post(FEEDBACK, {**remark("accurate"), "prediction_id": number})
    for body in ({}, {"feedback_type": "rating"}, remark("accurate", stars=5)):
        yield post(FEEDBACK, body)
    for text in (1, "x" * 2001, "\u0007"):
        yield post(FEEDBACK, remark("accurate", feedback_text=text))


def _routes() -> Iterator[Request]:
    """Each path with methods that it has and has not, and paths that are none."""
    for path in GETS:
        for method in ("GET", "HEAD", "OPTIONS", "POST", "DELETE"):
            yield Request(method, path)
    for path in (PREDICT, BATCH, FEEDBACK):
        for method in ("GET", "PUT", "OPTIONS"):
            yield Request(method, path)
    for path in ("/", "/api", "/api/", "/api/health/", "/api//health", "/api/predict_home_price/", "/static/x", "/%ff"):
        yield Request("GET", path)
    yield post("/api/nothing", HOME)
    yield Request("GET", "/api/health?unknown=1")


def _callers() -> Iterator[Request]:
    """Visitor headers from trusted networks and from others. The log shows which of them counted."""
    known = {"X-Visitor-Id": "visitor", "X-Assigned-Variant": "production", "X-Experiment-Epoch": "3"}
    for more in (
        {},
        {"X-Request-ID": "trace-1"},
        {"X-Request-ID": "not allowed"},
        {"X-Visitor-Id": ""},
        {"X-Visitor-Id": "x" * 129},
        {"X-Assigned-Variant": "candidate", "X-Variant-Fallback": "1"},
        {"X-Assigned-Variant": "other"},
        {"X-Variant-Fallback": "yes"},
        {"X-Experiment-Epoch": "0"},
        {"X-Experiment-Epoch": "2147483648"},
        {"X-Visitor-Key": "key of the router", "X-Visitor-New": "1"},
        {"Cookie": "visitor=0123456789abcdef0123456789abcdef.signature"},
        {"X-User-Id": "user", "Authorization": "Basic eDp5", "Origin": "https://shop.example"},
    ):
        yield post(PREDICT, HOME, headers={**known, **more})
        yield post(PREDICT, HOME, headers={**known, **more, "Content-Type": f"{JSON}; charset=utf-8"})
        yield post(PREDICT, HOME, headers={**known, **more}, trusted=False)
    yield send(BATCH, NDJSON, json.dumps(HOME))
    yield Request("GET", "/api/ready", b"", {"X-Visitor-Id": "visitor", "X-Visitor-Key": "key of the router"})
    for path in GETS:
        yield Request("GET", path, trusted=False)


def _candidate() -> Iterator[Request]:
    """A candidate's instance without a candidate, which answers requests of one other origin."""
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    for origin in ({}, {"Origin": "https://shop.example"}, {"Origin": "https://other.example"}):
        yield post(PREDICT, HOME, headers=origin, to="candidate")
        yield post(PREDICT, {}, headers=origin, to="candidate")
        yield Request("OPTIONS", PREDICT, b"", {**origin, **preflight}, "candidate")
        for path in ("/api/health", "/api/ready", "/api/get_location_names"):
            yield Request("GET", path, b"", origin, "candidate")
    yield post(BATCH, [HOME], to="candidate")


def _without_database() -> Iterator[Request]:
    """An instance whose newest bundle is damaged, and whose PostgreSQL does not answer."""
    for path in (
        "/api/health",
        "/api/ready",
        "/api/get_location_names",
        "/api/metrics",
        "/api/logs",
        "/api/drift_report",
    ):
        yield Request("GET", path, to="alone")
    yield post(PREDICT, HOME, to="alone")
    yield post(BATCH, [HOME, {}], to="alone")
    yield send(BATCH, CSV, ",".join(HOME) + "\n1200,Whitefield,2,2\n", to="alone")
    yield post(FEEDBACK, {"prediction_id": 7, "feedback_type": "accurate"}, to="alone")


def _operators() -> Iterator[Request]:
    for query in ("type=predictions&limit=40", "type=feedback&limit=10", "type=decisions", "type=drift", "type=other",
                  "limit=0", "limit=1001", "limit=x", "unknown=1", "limit=1"):  # fmt: skip
        yield Request("GET", f"/api/logs?{query}", settled=True)
    for query in ("hours=1", "hours=744", "hours=0", "hours=745", "hours=1.5", "hour=1"):
        yield Request("GET", f"/api/metrics?{query}", settled=True)
    for query in ("hours=168", "variant=candidate", "variant=BO", "hours=0", "unknown=1"):
        yield Request("GET", f"/api/drift_report?{query}")
    for query in ("limit=1", "limit=0", "limit=x"):
        yield Request("GET", f"/api/logs/tail?{query}")
    for instance in ("production", "candidate", "alone"):
        yield Request("GET", "/metrics", to=instance)
