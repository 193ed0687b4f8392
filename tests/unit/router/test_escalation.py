"""After a trip, the breaker triggers an evaluation in Airflow, over real HTTP and in the background."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from structlog.testing import capture_logs

from homeprices.settings import load_settings
from router.circuit_breaker import request_evaluation


class Airflow(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        body = json.dumps({"access_token": "t", "dag_run_id": "run1"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def airflow() -> Iterator[ThreadingHTTPServer]:
    """A substitute for Airflow's API."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Airflow)
    server.asked = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_an_evaluation_is_requested_once(airflow: ThreadingHTTPServer) -> None:
    settings = load_settings({"HOMEPRICES_AIRFLOW_URL": f"http://127.0.0.1:{airflow.server_address[1]}"}, ())
    request_evaluation(settings).join(60)
    assert airflow.asked == ["/auth/token", "/api/v2/dags/evaluate_ab_dag/dagRuns"]  # type: ignore[attr-defined]


def test_an_unavailable_airflow_is_logged() -> None:
    with capture_logs() as logs:
        request_evaluation(load_settings({"HOMEPRICES_AIRFLOW_URL": "http://127.0.0.1:9"}, ())).join(60)
    assert [line["event"] for line in logs] == ["evaluation_request_failed"]
