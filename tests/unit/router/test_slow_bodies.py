"""A request that still arrives after its deadline is found; what is idle, answered or complete is not."""

from __future__ import annotations

import socket

import pytest
from structlog.testing import capture_logs

from router.slow_bodies import SlowBodies, Traffic, traffic_of

LISTEN = "127.0.0.1:7000"


def counts(*looks: tuple[int, int], seconds: float = 10.0, deadline: float = 25.0) -> list[int]:
    """Return what is overdue at each look at one connection; a look is (bytes written, bytes received)."""
    times = iter(range(len(looks)))
    seen = iter(looks)
    bodies = SlowBodies(lambda: seconds * next(times), lambda _: {b"one": Traffic(*next(seen))})
    return [bodies.overdue(LISTEN, deadline) for _ in looks]


@pytest.mark.parametrize(
    ("looks", "overdue"),
    [
        ([(0, 100), (0, 101), (0, 102), (0, 103)], [0, 0, 0, 1]),  # drips from its first byte
        ([(0, 0), (0, 0), (0, 0), (0, 0), (0, 1)], [0, 0, 0, 0, 0]),  # sends nothing, then begins
        ([(0, 100), (0, 100), (0, 100), (0, 100), (0, 100)], [0, 0, 0, 0, 0]),  # complete; its answer takes long
        ([(0, 100), (0, 100), (0, 100), (50, 100), (50, 200)], [0, 0, 0, 0, 0]),  # answered late, then the next
        ([(50, 100), (90, 200), (130, 300), (170, 400), (210, 500)], [0, 0, 0, 0, 0]),  # busy
        ([(50, 100), (90, 200), (90, 201), (90, 202), (90, 203), (90, 204)], [0, 0, 0, 0, 0, 1]),  # drips after that
        ([(0, 100), (0, 101), (0, 102), (0, 102), (0, 102), (0, 103)], [0, 0, 0, 0, 0, 1]),  # with pauses
    ],
)
def test_only_bytes_that_come_after_the_deadline_without_an_answer_count(
    looks: list[tuple[int, int]], overdue: list[int]
) -> None:
    assert counts(*looks) == overdue


def test_a_connection_that_was_closed_is_forgotten() -> None:
    seen = iter([{b"one": Traffic(0, 100)}, {}, {b"one": Traffic(0, 101)}, {b"one": Traffic(0, 102)}])
    times = iter(range(0, 200, 20))
    bodies = SlowBodies(lambda: float(next(times)), lambda _: next(seen))
    assert [bodies.overdue(LISTEN, 25.0) for _ in range(4)] == [0, 0, 0, 0]


def test_a_kernel_that_does_not_tell_is_named_once_and_stops_nothing() -> None:
    def refuse(_: str) -> dict[bytes, Traffic]:
        raise OSError("not permitted")

    bodies = SlowBodies(lambda: 0.0, refuse)
    with capture_logs() as logs:
        assert [bodies.overdue(LISTEN, 1.0) for _ in range(3)] == [0, 0, 0]
    assert [(line["event"], line["error"]) for line in logs] == [("slow_bodies_not_watched", "not permitted")]


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "[::1]")])
def test_the_kernels_counters_are_those_of_the_connections_of_this_port_alone(
    family: socket.AddressFamily, host: str
) -> None:
    with (
        socket.create_server((host.strip("[]"), 0), family=family) as server,
        socket.create_server((host.strip("[]"), 0), family=family) as other,
        socket.create_connection(server.getsockname()[:2]) as client,
        socket.create_connection(other.getsockname()[:2]),
    ):
        port = server.getsockname()[1]
        accepted, _ = server.accept()
        with accepted:
            assert list(traffic_of(f"{host}:{port}").values()) == [Traffic(0, 0)]
            client.sendall(b"x" * 1000)
            accepted.recv(1000, socket.MSG_WAITALL)
            accepted.sendall(b"y" * 20_000)  # what the client has not read counts as well
            assert list(traffic_of(f"{host}:{port}").values()) == [Traffic(20_000, 1000)]
            more = []
            for _ in range(300):  # more than one answer of the kernel holds
                more += [socket.create_connection(server.getsockname()[:2]), server.accept()[0]]
            assert len(traffic_of(f"{host}:{port}")) == 301
            for one in more:
                one.close()
