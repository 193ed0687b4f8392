"""Hostile requests of several addresses: visitors get no failed response, and the workers give the memory back."""

from __future__ import annotations

import json
import multiprocessing
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import psutil
import pytest

from homeprices.adapters.object_store import S3Bucket
from tests.chaos import measurements
from tests.chaos.serving_stack import crowd, serving_stack
from tests.integration.inference.conftest import Make
from tests.integration.inference.instance import eventually
from tests.integration.router.raw import malformed, send, status_of

ATTACKERS = 6
FEWEST_ATTACKS, FEWEST_ANSWERS = 300, 1_000
LARGEST_WORKER_BYTES = 200 * 2**20
FORM = "application/x-www-form-urlencoded"
BATCH, PREDICT = "/api/predict_home_price/batch", "/api/predict_home_price"


def _post(path: str, body: bytes, media_type: str = "application/json", length: int | None = None) -> bytes:
    length = len(body) if length is None else length
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nX-Forwarded-For: 203.0.113.%d\r\n"
    return f"{head}Content-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n".encode() + body


def _fields(count: int) -> bytes:
    return json.dumps({f"key {number}": number for number in range(count)}).encode()


ATTACKS = {
    **malformed(""),
    "a row with many fields": _post(BATCH, b"[" + _fields(200_000) + b"]"),
    "many empty rows": _post(BATCH, b"[" + b"{}," * 9_999 + b"{}]"),
    "a million empty rows": _post(BATCH, b"[" + b"{}," * 1_000_000 + b"{}]"),
    "nested lists": _post(BATCH, b'[{"location": [' + b"[]," * 1_000_000 + b"[]]}]"),
    "lines that are not JSON": _post(BATCH, b"{\n" * 10_000, "application/x-ndjson"),
    "a wide CSV header": _post(BATCH, b"a," * 1_000_000 + b"\n", "text/csv"),
    "a batch without its end": _post(BATCH, b" " * 3_900_000, length=4_000_000),
    "a prediction with many fields": _post(PREDICT, _fields(4_000)),
    "a form with many fields": _post(PREDICT, b"&".join(b"k%d=" % n for n in range(8_000)), FORM),
    "feedback with many fields": _post("/api/feedback", _fields(4_000)),
    "a prediction without its end": _post(PREDICT, b" " * 60_000, length=60_001),
}  # fmt: skip


@dataclass
class Attack:
    """What is known of the attackers: the requests so far and, at the end, the statuses of their answers."""

    sent: Any
    statuses: Counter[int] = field(default_factory=Counter)


@contextmanager
def attackers(listen: str) -> Iterator[Attack]:
    """Send every attack over and over, from an address for each attacker.

    They run in a process of their own. In that of the visitors, they would delay the visitors' clocks, not the answers.
    """
    context = multiprocessing.get_context("spawn")
    done, sent, found = context.Event(), context.Value("i", 0), context.Queue()
    process = context.Process(target=_attack_all, args=(listen, done, sent, found))
    process.start()
    attack = Attack(sent)
    try:
        yield attack
    finally:
        done.set()
        attack.statuses.update(found.get(timeout=120))
        process.join(60)


def _attack_all(listen: str, done: Any, sent: Any, found: Any) -> None:
    statuses = Counter[int]()

    def attack(number: int) -> None:
        for name, request in cycle(ATTACKS.items()):
            if done.is_set():
                return
            addressed = request.replace(b"203.0.113.%d", b"203.0.113.%d" % number, 1)
            status = 0
            with suppress(OSError):
                if "without its end" in name:
                    host, port = listen.split(":")
                    with socket.create_connection((host, int(port)), timeout=10) as client:
                        client.sendall(addressed)
                        done.wait(0.5)
                else:
                    status = status_of(send(listen, addressed, ends="half" in name))
            with sent.get_lock():
                sent.value += 1
                statuses[status] += 1

    threads = [threading.Thread(target=attack, args=(number,)) for number in range(ATTACKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found.put(statuses)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("keys", "name", "batches"),
    [("off", "hostile-requests", "batches reach the service"),
     ("optional", "hostile-requests-by-default", "batches need an API key, the default")],
    ids=["off", "optional"],
)  # fmt: skip
def test_visitors_get_their_prices_during_hostile_requests(
    make: Make, s3: S3Bucket, tmp_path: Path, keys: str, name: str, batches: str
) -> None:
    with serving_stack(make, s3, tmp_path, HOMEPRICES_API_KEYS=keys) as stack, crowd(stack.listen, 3, 0.01) as visits:
        eventually(lambda: len(visits.statuses) > FEWEST_ANSWERS, "answers before", 300)
        before = len(visits.statuses)
        with attackers(stack.listen) as attack:
            eventually(
                lambda: (
                    visits.wrong
                    or (attack.sent.value > FEWEST_ATTACKS and len(visits.statuses) > before + FEWEST_ANSWERS)
                ),
                "attacks and answers",
                600,
            )
            after = len(visits.statuses)
        largest = max(psutil.Process(pid).memory_info().rss for pid in stack.production.workers())
        stack.agent.step()
        assert not stack.control.cached.breaker_open
    quiet, hostile = sorted(visits.seconds[:before]), sorted(visits.seconds[before:after])
    statuses = attack.statuses
    assert (visits.wrong, set(visits.statuses)) == ([], {200})
    assert {status for status in statuses if status >= 500} <= {501, 503, 505}, "503: all turns of batches are taken"
    assert {200, 400, 422, 429} & statuses.keys()
    assert (401 in statuses) is (keys == "optional"), "the default refuses batches without a key"
    assert largest < LARGEST_WORKER_BYTES
    p99 = [1000 * seconds[int(0.99 * len(seconds))] for seconds in (quiet, hostile)]
    measurements.keep(
        name,
        f"{ATTACKERS} attackers send hostile requests, {batches}: no failed response, no worker over 200 MB",
        count=len(hostile),
        unit="responses meanwhile",
        hostile_requests=statuses.total(),
        largest_worker_MB=largest / 2**20,
        p99_milliseconds_before=p99[0],
        p99_milliseconds_meanwhile=p99[1],
        p99_ratio=p99[1] / p99[0],
    )
