"""A small real HTTP server that speaks the part of Airflow's API with which runs are started, and remembers them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Airflow:
    """The address of the server, and the runs that were started: the DAG and its parameters."""

    url: str = ""
    started: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


@contextmanager
def airflow_server() -> Iterator[Airflow]:
    """Yield the server."""
    airflow = Airflow()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = {"access_token": "token"}
            if self.path != "/auth/token":
                airflow.started.append((self.path.split("/")[4], body["conf"]))
                answer = {"dag_run_id": f"manual__{len(airflow.started)}"}
            sent = json.dumps(answer).encode()
            self.send_response(201)
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        airflow.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield airflow
        server.shutdown()
