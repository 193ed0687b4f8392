"""Clients who send a byte now and then, or never read: the router buffers them, and visitors get no failed response."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from homeprices.adapters.object_store import S3Bucket
from tests.chaos import measurements
from tests.chaos.serving_stack import crowd, serving_stack
from tests.integration.inference.conftest import Make
from tests.integration.inference.instance import eventually

SLOW_CLIENTS = 300
FEWEST_ANSWERS = 500
BODY = b'{"total_sqft": 1200, "location": "Whitefield", "bhk": 2, "bath": 2}'
HEAD = b"POST /api/predict_home_price HTTP/1.1\r\nHost: router\r\nContent-Type: application/json\r\n"
WAYS = {
    "headers": (HEAD, b"X-Slow: %d\r\n"),
    "body": (HEAD + b"Content-Length: 60000\r\n\r\n", b" "),
    "reading": ((HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY) * 20, b""),
}


@contextmanager
def slow_clients(address: str, begin: bytes, drop: bytes) -> Iterator[list[socket.socket]]:
    """Clients who send `begin`, then `drop` every half second, and read nothing."""
    host, port = address.split(":")
    done = threading.Event()
    clients = [socket.create_connection((host, int(port)), timeout=5) for _ in range(SLOW_CLIENTS)]

    def drip() -> None:
        number = 0
        while not done.wait(0.5):
            number += 1
            for client in clients:
                with contextlib.suppress(OSError):
                    client.send(drop % number if b"%" in drop else drop)

    for client in clients:
        client.sendall(begin)
    dripping = threading.Thread(target=drip)
    dripping.start()
    try:
        yield clients
    finally:
        done.set()
        dripping.join(30)
        for client in clients:
            client.close()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.timeout(900)
def test_visitors_notice_nothing_of_slow_clients(way: str, make: Make, s3: S3Bucket, tmp_path: Path) -> None:
    with serving_stack(make, s3, tmp_path) as stack, crowd(stack.listen, 3, 0.01) as visits:
        eventually(lambda: len(visits.statuses) > 50, "answers before", 120)
        before = len(visits.statuses)
        with slow_clients(stack.listen, *WAYS[way]):
            eventually(lambda: len(visits.statuses) > before + FEWEST_ANSWERS or visits.wrong, "answers meanwhile", 300)
        during = sorted(visits.seconds[before:])
    assert visits.wrong == []
    assert set(visits.statuses) == {200}
    measurements.keep(
        f"slow-clients-{way}",
        f"{SLOW_CLIENTS} slow clients at the router ({way}): no failed response",
        count=len(during),
        unit="responses meanwhile",
        p50_milliseconds=1000 * during[len(during) // 2],
        p99_milliseconds=1000 * during[int(0.99 * len(during))],
    )
