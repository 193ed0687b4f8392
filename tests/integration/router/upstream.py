"""A tiny real HTTP service behind the router of these tests, with configurable responses."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from inference.backend.runtime.request_context import signature


@dataclass
class Seen:
    """One received request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Upstream:
    """A service that responds with `status` after `delay_seconds` or the event `hang`. `drop`: no response.

    `key_id`: that of the API key that it has found valid.
    """

    variant: str
    port: int
    status: int = 200
    drop: bool = False
    delay_seconds: float = 0.0
    hang: threading.Event | None = None
    key_id: str | None = None
    seen: list[Seen] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def paths(self) -> list[str]:
        return [request.path for request in self.seen]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, upstream: Upstream) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.upstream = upstream


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_OPTIONS(self) -> None:
        self._answer()

    def _answer(self) -> None:
        upstream = self.server.upstream
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        upstream.seen.append(Seen(self.command, self.path, dict(self.headers.items()), body))
        if upstream.hang is not None:
            upstream.hang.wait(30)
        time.sleep(upstream.delay_seconds)
        if upstream.drop:
            self.close_connection = True
            return
        said = json.dumps({"served_by": upstream.variant, "path": self.path}).encode()
        self.send_response(upstream.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.send_header("X-Variant", upstream.variant)
        if key := self.headers.get("X-Visitor-Key"):
            self.send_header("X-Visitor-Signature", signature(self.headers["X-Visitor-Id"], key))
        if upstream.key_id:
            self.send_header("X-Key-Id", upstream.key_id)
        self.send_header("X-Model-Version", "BO1" if upstream.variant == "production" else "CO1")
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


@contextmanager
def listening(variant: str, port: int = 0) -> Iterator[Upstream]:
    """Run a service on a free port (or the given one) until the block ends."""
    upstream = Upstream(variant, port)
    server = _Server(port, upstream)
    upstream.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield upstream
    finally:
        if upstream.hang is not None:
            upstream.hang.set()
        server.shutdown()
        server.server_close()
