"""A load generator for HTTP: one process, one thread, a few kept-alive connections.

Closed loop: each connection sends its next request when it has its response, which measures the capacity of a server.
Open loop: requests are due at a constant rate, and latency counts from the due time. So a pause of the server affects
all requests that fall into it, which closed loops omit (G. Tene, "How NOT to Measure Latency", 2015).
"""

from __future__ import annotations

import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

RECEIVE_BYTES = 1 << 20
ANSWER_SECONDS = 60.0  # without any byte from the server for so long, the run is invalid
_HEAD_END = b"\r\n\r\n"


class LoadFailed(Exception):
    """The server did not respond, or responded with a status other than 200."""


@dataclass(frozen=True)
class Request:
    """The repeated request: a POST of `body` to `url`; without a body, a GET."""

    url: str
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        parts = urlsplit(self.url)
        method = "POST" if self.body else "GET"
        named = {"Host": parts.netloc, "Content-Type": self.content_type, "Content-Length": str(len(self.body))}
        lines = [
            f"{method} {parts.path} HTTP/1.1",
            *(f"{name}: {value}" for name, value in {**named, **self.headers}.items()),
        ]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


@dataclass(frozen=True)
class Outcome:
    """The result of a run. Latencies in seconds, sorted."""

    seconds: float
    latencies: tuple[float, ...]
    last_body: bytes = field(repr=False)

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds

    def quantile(self, share: float) -> float:
        """Return the latency that this share of the responses did not exceed."""
        return self.latencies[min(len(self.latencies) - 1, int(share * len(self.latencies)))]


@dataclass(eq=False)
class _Connection:
    socket: socket.socket
    received: bytearray = field(default_factory=bytearray)
    expected: int = 0
    due: float = 0.0


class Load:
    """One run against one server. Raises LoadFailed at the first response that is not a 200."""

    def __init__(self, request: Request, connections: int, clock: Callable[[], float] = time.perf_counter) -> None:
        self._message = request.encode()
        self._place = _place(request.url)
        self._connections = connections
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._latencies: list[float] = []
        self._body = b""

    def closed(self, seconds: float) -> Outcome:
        """Send as many requests as the server answers in `seconds`."""
        with self._opened() as connections:
            began = self._clock()
            end = began + seconds
            for connection in connections:
                self._send(connection, began)
            while (now := self._clock()) < end:
                for connection in self._answered(end - now):
                    self._send(connection, self._clock())
            return self._outcome(self._clock() - began)

    def count(self, requests: int) -> Outcome:
        """Send `requests` requests one after the other on one connection."""
        with self._opened() as [connection, *_]:
            began = self._clock()
            for _ in range(requests):
                self._send(connection, self._clock())
                while not self._answered(ANSWER_SECONDS):
                    pass
            return self._outcome(self._clock() - began)

    def open(self, seconds: float, per_second: float) -> Outcome:
        """Send `per_second` requests at a constant rate for `seconds`, and wait for all responses."""
        with self._opened() as connections:
            idle = deque(connections)
            began = self._clock()
            count, sent, busy = int(seconds * per_second), 0, 0
            while sent < count or busy:
                now = self._clock()
                while idle and sent < count and (due := began + sent / per_second) <= now:
                    self._send(idle.popleft(), due)
                    sent, busy = sent + 1, busy + 1
                wait = began + sent / per_second - self._clock() if idle and sent < count else ANSWER_SECONDS
                for connection in self._answered(wait):
                    idle.append(connection)
                    busy -= 1
            return self._outcome(self._clock() - began)

    @contextmanager
    def _opened(self) -> Iterator[list[_Connection]]:
        """Open the connections until the block ends."""
        with ExitStack() as stack, self._selector:
            connections = []
            for _ in range(self._connections):
                opened = stack.enter_context(socket.create_connection(self._place, ANSWER_SECONDS))
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connections.append(_Connection(opened))
                self._selector.register(opened, selectors.EVENT_READ, connections[-1])
            yield connections

    def _send(self, connection: _Connection, due: float) -> None:
        connection.due = due
        connection.socket.sendall(self._message)

    def _answered(self, wait_seconds: float) -> list[_Connection]:
        """Return the connections with a complete response, after at most the timeout."""
        events = self._selector.select(max(0.0, wait_seconds))
        if not events and wait_seconds >= ANSWER_SECONDS:
            raise LoadFailed(f"no answer in {ANSWER_SECONDS:g} s")
        return [key.data for key, _ in events if self._receive(key.data)]

    def _receive(self, connection: _Connection) -> bool:
        piece = connection.socket.recv(RECEIVE_BYTES)
        if not piece:
            raise LoadFailed("the server closed a kept-alive connection")
        received = connection.received
        received += piece
        if not connection.expected:
            connection.expected = _length(received)
        if not connection.expected or len(received) < connection.expected:
            return False
        self._latencies.append(self._clock() - connection.due)
        self._body = bytes(received[received.index(_HEAD_END) + 4 :])
        received.clear()
        connection.expected = 0
        return True

    def _outcome(self, seconds: float) -> Outcome:
        return Outcome(seconds, tuple(sorted(self._latencies)), self._body)


def _length(received: bytearray) -> int:
    """Return the size of the complete response; 0 before its head has arrived. Raises LoadFailed for an error."""
    end = received.find(_HEAD_END)
    if end < 0:
        return 0
    head = bytes(received[:end])
    if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")):
        raise LoadFailed(f"the server answered {bytes(received[:400])!r}")
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return end + len(_HEAD_END) + int(value)
    raise LoadFailed(f"an answer without Content-Length: {head!r}")


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    if parts.hostname is None or parts.port is None:
        raise LoadFailed(f"{url} names no host and port")
    return parts.hostname, parts.port
