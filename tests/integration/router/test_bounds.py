"""Bodies that never end: places are bounded by address and in all, and those who hold them are cut off in time."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from structlog.testing import capture_logs

from router.agent import LOOK_SECONDS
from tests.integration.router.client import HOME
from tests.integration.router.conftest import Router, eventually
from tests.support.browser import frontend

BATCH = "/api/predict_home_price/batch"
BODY_BYTES = 3_900_000


@pytest.fixture(autouse=True)
def batches_of_strangers(router: Router) -> None:
    """A router that accepts batches without an API key, whose old workers, which refuse them, have ended."""
    master = psutil.Process(router.nginx.pid())
    old = master.children()
    router.change(api_keys="off")
    eventually(lambda: not any(worker.is_running() for worker in old))


@contextlib.contextmanager
def unfinished(
    router: Router, addresses: list[str], path: str, length: int = BODY_BYTES, missing: int = 1, listen: str = ""
) -> Iterator[list[socket.socket]]:
    """Hold a request of each address whose body lacks its end, at the router or at `listen`."""
    host, port = (listen or router.site.listen).split(":")
    held = []
    for address in addresses:
        client = socket.create_connection((host, int(port)), timeout=20)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: {address}\r\nContent-Length: {length}\r\n\r\n"
        )
        client.sendall(head.encode())
        with contextlib.suppress(ConnectionError):  # it was refused
            client.sendall(b" " * (length - missing))
        held.append(client)
    try:
        yield held
    finally:
        for client in held:
            client.close()


def memory(router: Router) -> int:
    """Return the bytes that all processes of Nginx have to themselves."""
    master = psutil.Process(router.nginx.pid())
    total = 0
    for process in [master, *master.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):  # a worker of before the last reload, which ends by itself
            total += process.memory_full_info().uss
    return total


def refused(clients: list[socket.socket]) -> int:
    """Return how many have been answered or cut off."""
    count = 0
    for client in clients:
        client.setblocking(False)
        try:
            client.recv(1, socket.MSG_PEEK)
            count += 1
        except BlockingIOError:
            pass
        except ConnectionError:
            count += 1
    return count


def test_an_address_holds_two_batches_at_most(router: Router) -> None:
    before = memory(router)
    with unfinished(router, ["203.0.113.9"] * 30, BATCH) as clients:
        eventually(lambda: refused(clients) == 28)
        assert memory(router) - before < 16 * 2**20
        assert router.visitor(**{"X-Forwarded-For": "203.0.113.10"}).ask("POST", BATCH, "[]").status == 200
        answer = router.visitor(**{"X-Forwarded-For": "203.0.113.9"}).ask("POST", BATCH, "[]")
        assert (answer.status, answer.headers["Content-Type"]) == (429, "application/problem+json")


def test_all_addresses_hold_eight_batches_at_most_and_visitors_notice_nothing(router: Router) -> None:
    before = memory(router)
    with unfinished(router, [f"203.0.113.{number}" for number in range(30)], BATCH) as clients:
        eventually(lambda: refused(clients) == 22)
        assert memory(router) - before < 48 * 2**20
        assert router.visitor(**{"X-Forwarded-For": "203.0.113.99"}).predict().status == 200
        assert router.visitor().ask("POST", BATCH, "[]").status == 200, "trusted networks have no bound"


def test_predictions_in_flight_are_bounded_by_address_and_in_all(router: Router) -> None:
    router.change(requests_per_second=1000, requests_per_address=3, requests_in_flight=5)
    addresses = [f"203.0.113.{number // 10}" for number in range(30)]
    with unfinished(router, addresses, "/api/predict_home_price", 1000) as clients:
        eventually(lambda: refused(clients) == 25)
        assert router.visitor(**{"X-Forwarded-For": "203.0.113.99"}).predict().status == 429
        assert router.visitor().predict().status == 200


def test_a_body_that_drips_is_cut_off_at_the_deadline(router: Router) -> None:
    router.change(shutdown_seconds=1)
    with unfinished(router, ["203.0.113.9"] * 3, BATCH, missing=10_000) as [first, second, _]:
        router.log_with('"bound":"REJECTED"')
        router.agent.step()
        for client in (first, second):
            assert drips_until_cut_off(client)
    eventually(lambda: router.visitor(**{"X-Forwarded-For": "203.0.113.9"}).ask("POST", BATCH, HOME).status == 200)


def test_a_byte_a_second_is_cut_off_though_nobody_else_wants_its_place(router: Router) -> None:
    router.change(shutdown_seconds=1, body_deadline=3.0)
    steps_until_cut_off(router, router.site.listen)


def test_a_byte_a_second_through_the_form_is_cut_off_as_well(router: Router, tmp_path: Path) -> None:
    router.change(shutdown_seconds=1, body_deadline=3.0)
    with frontend(f"http://{router.site.listen}", tmp_path) as url:
        steps_until_cut_off(router, url.removeprefix("http://"))


def steps_until_cut_off(router: Router, listen: str) -> None:
    """Send a byte a second, and run a step of the agent after each, until the connection ends."""
    with unfinished(router, ["203.0.113.9"], "/api/predict_home_price", 1000, missing=990, listen=listen) as [client]:
        end = time.monotonic() + 120
        while not refused([client]):
            assert time.monotonic() < end, "the body still arrives"
            client.setblocking(True)
            with contextlib.suppress(ConnectionError):
                client.sendall(b" ")
            time.sleep(1)
            router.agent.step()


def test_one_slow_batch_ends_unfinished_requests_once(router: Router) -> None:
    with unfinished(router, ["203.0.113.9"], BATCH, 1000, missing=500) as [client], capture_logs() as logs:
        look(router)  # the request has begun
        for _ in range(3):
            client.sendall(b" ")
            look(router, later=router.site.body_deadline / 2)
        client.sendall(b" ")
        look(router)
    assert [line["event"] for line in logs] == ["unfinished_requests_ended"]


def test_neither_an_idle_connection_nor_a_long_answer_nor_a_busy_one_is_a_slow_body(router: Router) -> None:
    idle, busy, answer = router.visitor(), router.visitor(), threading.Event()
    router.production.hang = answer
    with unfinished(router, ["203.0.113.9"], BATCH, 1000, missing=0) as [waits], capture_logs() as logs:
        eventually(lambda: router.production.seen)
        router.production.hang = None
        assert idle.predict().status == 200
        for _ in range(4):
            assert busy.predict().status == 200
            look(router, later=router.site.body_deadline)
        answer.set()
        waits.setblocking(True)
        assert waits.recv(12) == b"HTTP/1.1 200"
    assert logs == []


def look(router: Router, later: float = 0.0) -> None:
    """Run a step of the agent in which it looks at the connections, `later` seconds later."""
    router.clock.ahead += LOOK_SECONDS + later
    router.agent.step()


def test_workers_are_not_renewed_for_every_refusal(router: Router) -> None:
    with unfinished(router, ["203.0.113.9"] * 20, BATCH), capture_logs() as logs:
        router.log_with('"bound":"REJECTED"')
        for _ in range(5):
            router.agent.step()
    assert [line["event"] for line in logs] == ["unfinished_requests_ended"]


@pytest.mark.parametrize("path", ["/api/predict_home_price", BATCH])
def test_a_body_of_which_nothing_more_comes_is_given_up(router: Router, path: str) -> None:
    with unfinished(router, ["203.0.113.9"], path, 1000) as [client]:
        client.setblocking(True)
        client.settimeout(60)
        assert client.recv(100) == b"", "Nginx closes the connection"
    assert '"status":408' in router.log_with('"status":408')


def drips_until_cut_off(client: socket.socket) -> bool:
    """Send a byte now and then, so that no timeout between two reads ends it; return whether it was cut off."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            client.sendall(b" ")
        except ConnectionError:
            return True
        time.sleep(0.2)
    return False
