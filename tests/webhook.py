"""An incoming webhook, as Slack's answers, on a free port."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Hook:
    """What was posted; the first `failures` posts are answered with 503."""

    url: str = ""
    failures: int = 0
    posts: list[dict[str, Any]] = field(default_factory=list)
    attempts: int = 0


@contextmanager
def webhook(failures: int = 0, host: str = "127.0.0.1") -> Iterator[Hook]:
    hook = Hook(failures=failures)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.attempts += 1
            failing = hook.attempts <= hook.failures
            if not failing:
                hook.posts.append(json.loads(body))
            self.send_response(503 if failing else 200)
            self.end_headers()
            self.wfile.write(b"no_service" if failing else b"ok")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer((host, 0), Handler) as server:
        server.daemon_threads = True
        hook.url = f"http://{host}:{server.server_port}/services/T0/B0/hush"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield hook
        finally:
            server.shutdown()
            thread.join()
