"""The measurements of a running contender."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.load import Load, Request
from benchmarks.servers import Running

CONNECTIONS = 8
WARM_SECONDS = 1.0
BATCH_HOMES = 10_000
PLACES = ("Whitefield", "Hebbal", "Sarjapur  Road", "Marathahalli", "Electronic City", "somewhere else")


@dataclass
class Measured:
    """The runs of one contender; latencies in seconds, memory in MiB."""

    name: str
    versions: dict[str, str]
    per_second: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=list)  # per request
    median_seconds: list[float] = field(default_factory=list)
    p99_at_half: list[float] = field(default_factory=list)
    ready_seconds: list[float] = field(default_factory=list)
    memory_mib: list[float] = field(default_factory=list)


def throughput(server: Running, found: Measured, seconds: float) -> None:
    """Measure the requests per second of eight connections without pauses."""
    Load(server.request(), CONNECTIONS).closed(WARM_SECONDS)
    before = server.processor_seconds()
    outcome = Load(server.request(), CONNECTIONS).closed(seconds)
    found.processor_seconds.append((server.processor_seconds() - before) / len(outcome.latencies))
    found.per_second.append(outcome.per_second)
    found.median_seconds.append(outcome.quantile(0.5))
    found.ready_seconds.append(server.ready_seconds)
    found.memory_mib.append(server.memory_mib())


def latency(server: Running, found: Measured, seconds: float, per_second: float) -> None:
    """Measure the 99th percentile of the latency at a constant rate."""
    found.p99_at_half.append(Load(server.request(), CONNECTIONS).open(seconds, per_second).quantile(0.99))


@dataclass
class BatchMeasured:
    """Homes per second and per processor second in batches of 10,000 of one form, and the memory afterwards."""

    form: str
    fields: int
    per_second: list[float] = field(default_factory=list)
    per_processor_second: list[float] = field(default_factory=list)
    unlogged: int = 0
    memory_mib: float = 0.0


def batches(server: Running, repeats: int) -> list[BatchMeasured]:
    """Measure batches of each form, with four fields and with all eight."""
    path = f"{server.contender.path}/batch"
    found = []
    for homes, fields in ((_homes(), 4), (_homes(full=True), 8)):
        for form, content_type, write in _FORMS:
            request = server.request(path, write(homes), content_type)
            found.append(_batch(server, request, BatchMeasured(form, fields), repeats))
            found[-1].memory_mib = server.memory_mib()
    return found


def _batch(server: Running, request: Request, found: BatchMeasured, repeats: int) -> BatchMeasured:
    for _ in range(repeats):
        before = server.processor_seconds()
        outcome = Load(request, 1).count(1)
        found.per_processor_second.append(BATCH_HOMES / (server.processor_seconds() - before))
        found.per_second.append(BATCH_HOMES * outcome.per_second)
        found.unlogged += _unlogged(found.form, outcome.last_body)
    return found


def _unlogged(form: str, body: bytes) -> int:
    """Return the number of rows without an id. Raises ValueError for a row without an estimate."""
    if form == "CSV":
        rows: list[dict[str, Any]] = list(csv.DictReader(io.StringIO(body.decode())))
        bad = sum(bool(row["error"]) for row in rows)
    else:
        rows = json.loads(body) if form == "JSON" else [json.loads(line) for line in body.splitlines()]
        bad = sum("error" in row for row in rows)
    if len(rows) != BATCH_HOMES or bad:
        raise ValueError(f"{len(rows)} rows came back, {bad} of them errors")
    return sum(not row["prediction_id"] for row in rows)


def _homes(*, full: bool = False) -> list[dict[str, Any]]:
    rest = {"area_type": "Super built-up Area", "balcony": 1, "availability": "Ready To Move"}
    return [
        {
            "total_sqft": 600 + n % 2400,
            "location": PLACES[n % len(PLACES)],
            "bhk": 1 + n % 4,
            "bath": 1 + n % 3,
            **({**rest, "society": f"Society {n % 500}"} if full else {}),
        }
        for n in range(BATCH_HOMES)
    ]


def _csv(homes: list[dict[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(homes[0]))
    writer.writeheader()
    writer.writerows(homes)
    return text.getvalue().encode()


def _lines(homes: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(home) + "\n" for home in homes).encode()


_FORMS: tuple[tuple[str, str, Callable[[list[dict[str, Any]]], bytes]], ...] = (
    ("JSON", "application/json", lambda homes: json.dumps(homes).encode()),
    ("NDJSON", "application/x-ndjson", _lines),
    ("CSV", "text/csv", _csv),
)


def spread(values: list[float]) -> tuple[float, float, float]:
    """Return median, minimum and maximum."""
    return statistics.median(values), min(values), max(values)
