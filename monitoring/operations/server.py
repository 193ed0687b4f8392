"""The HTTP server of the exporter's process: metrics for Prometheus, and the operations page."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from homeprices.adapters.object_store import Bucket
from homeprices.keys.key_cache import POLL_SECONDS, KeyCache
from homeprices.keys.key_check import KeyCheck, VerifiedKey
from homeprices.resources import Resources
from monitoring.operations.access import AccessControl
from monitoring.operations.status import open_status
from monitoring.operations.web import create_app

OPERATIONS = ("/operations", "/api/status")
KEYS_SECONDS = 2.0
SILENT_SECONDS = 10.0


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64


class _Handler(WSGIRequestHandler):
    timeout = SILENT_SECONDS  # a peer that sends nothing holds its thread no longer

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the application records what was used."""

    def address_string(self) -> str:
        """Return the peer's address, without asking DNS for its name."""
        return str(self.client_address[0])


class KeysOnDemand:
    """Checks a key against a ring that is at most some seconds old. The bucket is asked only when somebody sends a key.

    While the bucket does not answer, the last ring holds, as at the services.
    """

    def __init__(self, bucket: Bucket, file: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._check = KeyCheck()
        self._cache = KeyCache(bucket, file, POLL_SECONDS, self._check.use)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._clock, self._asked_at = clock, float("-inf")

    def __call__(self, authorization: str) -> VerifiedKey | str | None:
        """Return the key of an `Authorization` header, or why it is refused; None for another scheme."""
        with self._lock:
            is_reading = self._thread is not None and self._thread.is_alive()
            if not is_reading and self._clock() - self._asked_at >= POLL_SECONDS:
                self._asked_at = self._clock()
                self._thread = threading.Thread(target=self._cache.poll, name="key-ring", daemon=True)
                self._thread.start()
            reading = self._thread
        if reading is not None:
            reading.join(KEYS_SECONDS)
        return self._check(authorization)


def open_operations(resources: Resources) -> WSGIApplication:
    """Return the application of the operations page. Reads nothing before the first request."""
    settings = resources.settings
    file = settings.state_dir / "exporter" / "keys.json"
    check = None if settings.api_keys == "off" else KeysOnDemand(resources.bucket, file)
    return create_app(resources, open_status(resources), AccessControl(settings, check))


def with_metrics(operations: WSGIApplication, metrics: WSGIApplication) -> WSGIApplication:
    """Return an application: the operations page at its paths, metrics at every other."""

    def choose(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        is_page = any(path == start or path.startswith(f"{start}/") for start in OPERATIONS)
        return (operations if is_page else metrics)(environ, start_response)

    return choose


@contextmanager
def serving(app: WSGIApplication, host: str, port: int) -> Iterator[int]:
    """Serve an application, a thread for each request; yield the port (that of the system for 0)."""
    server = make_server(host, port, app, _Server, _Handler)
    thread = threading.Thread(target=server.serve_forever, name="http", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
