"""What the services say, by real servers: healthy, without an answer, hanging, and answering nonsense."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from homeprices.errors import Unavailable
from homeprices.settings import load_settings
from monitoring.operations.service_parts import ServiceParts

AWAY = "http://127.0.0.1:1"
HEALTH = {"instance": "infer-prod", "model_version": "BO2", "database": "down", "spool_records": 7}
VERSION = {"share": 20, "candidate": "CO3", "revision": "4a5b"}


@contextmanager
def server(answers: dict[str, object]) -> Iterator[str]:
    """Yield the address of a server that answers these paths."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(answers.get(self.path)).encode()
            self.send_response(200 if self.path in answers else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as opened:
        threading.Thread(target=opened.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{opened.server_address[1]}"
        opened.shutdown()


def parts(folder: Path, **urls: str) -> ServiceParts:
    names = ("HOMEPRICES_PRODUCTION_URLS", "HOMEPRICES_CANDIDATE_URLS", "HOMEPRICES_ROUTER_URL",
             "HOMEPRICES_AIRFLOW_URL", "MLFLOW_TRACKING_URI")  # fmt: skip
    return ServiceParts(load_settings({**dict.fromkeys(names, AWAY), **urls, "HOMEPRICES_STATE_DIR": str(folder)}, ()))


def test_a_replica_says_what_it_serves_and_what_it_has_not_stored(tmp_path: Path) -> None:
    with server({"/api/health": HEALTH, "/router/version": VERSION}) as url:
        found = parts(tmp_path, HOMEPRICES_PRODUCTION_URLS=url, HOMEPRICES_ROUTER_URL=url).services()
    assert found["replicas"][0] == {
        "variant": "production", "name": "infer-prod", "address": "127.0.0.1", "version": "BO2", "problem": None,
        "database": "down", "spool_records": 7,
    }  # fmt: skip
    assert "does not answer" in found["replicas"][1]["problem"]
    assert found["router"] == {"share": 20.0, "candidate": "CO3", "revision": "4a5b"}
    assert 0 < found["disk_free_bytes"] <= found["disk_size_bytes"]


def test_one_that_hangs_is_named_beside_the_others(tmp_path: Path) -> None:
    with socket.socket() as hanging, server({"/api/health": HEALTH}) as url:
        hanging.bind(("127.0.0.1", 0))
        hanging.listen()
        silent = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        found = parts(tmp_path, HOMEPRICES_PRODUCTION_URLS=url, HOMEPRICES_CANDIDATE_URLS=silent).services()
    assert [replica["problem"] is None for replica in found["replicas"]] == [True, False]
    assert "timed out" in found["replicas"][1]["problem"]


@pytest.mark.parametrize("answer", [None, [], {"share": "much"}, {"state": "idle"}])
def test_a_router_that_answers_nonsense_has_a_problem(tmp_path: Path, answer: object) -> None:
    with server({"/router/version": answer}) as url:
        assert "does not answer at" in parts(tmp_path, HOMEPRICES_ROUTER_URL=url).services()["router"]["problem"]


def test_each_component_of_airflow_is_healthy_or_not(tmp_path: Path) -> None:
    health = {name: {"status": "healthy"} for name in ("metadatabase", "triggerer", "dag_processor")}
    with server({"/api/v2/monitor/health": health, "/health": "OK"}) as url:
        found = parts(tmp_path, HOMEPRICES_AIRFLOW_URL=url, MLFLOW_TRACKING_URI=url).pipeline()
    assert found["airflow"] == {"metadatabase": True, "scheduler": False, "triggerer": True, "dag_processor": True}
    assert found["mlflow"] == {}
    away = parts(tmp_path).pipeline()
    assert "Airflow does not report" in away["airflow"]["problem"]
    assert "MLflow does not answer" in away["mlflow"]["problem"]


def test_without_airflow_there_are_no_runs(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        parts(tmp_path).runs()
