"""A TCP proxy in front of a server that injects faults: delay, drop, reset, cut or refuse.

The faults have the names and meanings of Toxiproxy's toxics (github.com/Shopify/toxiproxy).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

LOOPBACK = "127.0.0.1"
CHUNK_BYTES = 64 * 1024
STEP_SECONDS = 10
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, no time: close sends RST


@dataclass(frozen=True)
class Fault:
    """The fault of all connections, open and future; without arguments there is none.

    `latency_seconds`: each piece of a response is delayed by it. `timeout`: nothing passes, without an error.
    `reset`: RST at the first byte. `down`: no listener, and open connections are cut. `limit_data`: cut after so
    many bytes of responses.
    """

    latency_seconds: float = 0.0
    timeout: bool = False
    reset: bool = False
    down: bool = False
    limit_data: int | None = None


NONE = Fault()


@dataclass(eq=False)
class _Connection:
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    passed: int = 0

    def reset(self) -> None:
        for writer in (self.client, self.server):
            plain: socket.socket = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
            writer.transport.abort()


@dataclass
class FaultProxy:
    """Listens on `port` for a server on `upstream`, both on the loopback address. `opened` counts connections."""

    upstream: int
    port: int = 0
    opened: int = 0
    _fault: Fault = NONE
    _connections: set[_Connection] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _server: asyncio.Server | None = None

    def set(self, fault: Fault) -> None:
        """Apply this fault from now on."""
        asyncio.run_coroutine_threadsafe(self._set(fault), self._loop).result(STEP_SECONDS)

    @contextmanager
    def suffering(self, fault: Fault) -> Iterator[None]:
        """Apply this fault until the block ends."""
        self.set(fault)
        try:
            yield
        finally:
            self.set(NONE)

    async def _set(self, fault: Fault) -> None:
        self._fault = fault
        if fault.down and self._server is not None:
            self._server.close()
            self._server = None
        if fault.down or fault.reset:
            for connection in list(self._connections):
                connection.reset()
        if not fault.down and self._server is None:
            self._server = await asyncio.start_server(self._accept, LOOPBACK, self.port, reuse_address=True)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        try:
            from_server, to_server = await asyncio.open_connection(LOOPBACK, self.upstream)
        except (OSError, asyncio.CancelledError) as error:  # cancelled: the proxy ends just now
            writer.transport.abort()
            if isinstance(error, asyncio.CancelledError):
                raise
            return
        connection = _Connection(writer, to_server)
        self._connections.add(connection)
        questions = self._pump(reader, to_server, connection, answers=False)
        answers = self._pump(from_server, writer, connection, answers=True)
        try:
            await asyncio.gather(questions, answers)
        finally:
            self._connections.discard(connection)
            for one in (writer, to_server):
                one.close()

    async def _pump(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, connection: _Connection, *, answers: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(CHUNK_BYTES):
                fault = self._fault
                while self._fault.timeout:  # held until the fault ends, as by a network that recovers
                    await asyncio.sleep(0.01)
                if fault.reset:
                    connection.reset()
                    return
                if answers:
                    await asyncio.sleep(fault.latency_seconds)
                    data = data[: self._room(connection)]
                target.write(data)
                await target.drain()
                if answers and self._room(connection) == len(data):
                    connection.reset()
                    return
                connection.passed += len(data) if answers else 0
            if target.can_write_eof():
                target.write_eof()

    def _room(self, connection: _Connection) -> int | None:
        limit = self._fault.limit_data
        return None if limit is None else max(0, limit - connection.passed)

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._set(NONE))
        started.set()
        self._loop.run_forever()
        self._loop.run_until_complete(asyncio.sleep(0.01))  # start pending accepts, which close their sockets
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.01))
        self._loop.close()


@contextmanager
def proxy_before(upstream: int) -> Iterator[FaultProxy]:
    """Yield a listening proxy in front of the server on that port."""
    proxy = FaultProxy(upstream)
    started = threading.Event()
    thread = threading.Thread(target=proxy._run, args=(started,), daemon=True)
    thread.start()
    assert started.wait(STEP_SECONDS)
    try:
        yield proxy
    finally:
        proxy.set(Fault(down=True))
        stop: Callable[[], None] = proxy._loop.stop
        proxy._loop.call_soon_threadsafe(stop)
        thread.join(STEP_SECONDS)
