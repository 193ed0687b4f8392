"""A serving instance reduced to its health document, on a free port of the loopback address."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[], tuple[int, bytes]]


def serves(version: str | None, instance: str = "infer-prod") -> Answer:
    """The answer of an instance whose workers all serve `version`."""
    return lambda: (200, json.dumps({"status": "ok", "instance": instance, "model_version": version}).encode())


@contextmanager
def health_server(answer: Answer) -> Iterator[int]:
    """The port of a server that answers `/api/health` with what `answer` gives: a status and a body."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answer() if self.path == "/api/health" else (404, b"")
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
