"""The benchmarks' own tools: what they count, and what they say of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from benchmarks import report
from benchmarks.load import Load, LoadFailed, Request


class Service:
    """A real server that counts; `delay_seconds` before each answer, `status` of it."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.delay_seconds, self.status, self.connections = 0.0, 200, 0
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                service.connections += 1
                super().setup()

            def do_POST(self) -> None:
                service.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                time.sleep(service.delay_seconds)
                self.send_response(service.status)
                self.send_header("Content-Length", "300000")
                self.end_headers()
                self.wfile.write(b"x" * 300_000)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def request(self) -> Request:
        return Request(f"http://127.0.0.1:{self.server.server_port}/x", b"asked")


@pytest.fixture
def service() -> Iterator[Service]:
    """A substitute for the service."""
    made = Service()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_every_answer_is_counted_once_on_as_many_connections_as_asked_for(service: Service) -> None:
    outcome = Load(service.request, 4).closed(1.0)
    in_flight_at_the_end = 4
    assert 0 < len(outcome.latencies) <= len(service.bodies) <= len(outcome.latencies) + in_flight_at_the_end
    assert (service.connections, set(service.bodies)) == (4, {b"asked"})
    assert outcome.per_second == pytest.approx(len(outcome.latencies) / outcome.seconds)


def test_so_many_requests_are_sent_as_were_asked_for(service: Service) -> None:
    outcome = Load(service.request, 1).count(5)
    assert (len(outcome.latencies), len(service.bodies), len(outcome.last_body)) == (5, 5, 300_000)


def test_at_a_constant_rate_a_slow_server_is_felt_by_all_who_were_due(service: Service) -> None:
    """One connection, 20 ms an answer, 100 due in a second: the last has waited for all before it."""
    service.delay_seconds = 0.02
    outcome = Load(service.request, 1).open(0.3, 100)
    assert len(outcome.latencies) == 30
    assert outcome.quantile(1.0) > 0.02 * 30 - 0.3
    assert outcome.quantile(0.0) < outcome.quantile(0.5) < outcome.quantile(0.99)


def test_an_answer_that_is_none_ends_the_run(service: Service) -> None:
    service.status = 503
    with pytest.raises(LoadFailed, match="503"):
        Load(service.request, 1).count(1)


def results(**changes: Any) -> dict[str, Any]:
    """Two rounds in which every promise is just kept."""

    def server(name: str, *per_second: float, p99: float = 0.004) -> dict[str, Any]:
        return {
            "name": name,
            "versions": {"thing": "1.2"},
            "per_second": list(per_second),
            "processor_seconds": [0.0004, 0.0005],
            "median_seconds": [0.004, 0.004],
            "p99_at_half": [p99, p99] if name in (report.OURS, report.BARE) else [],
            "ready_seconds": [1.0, 1.5],
            "memory_mib": [135.0, 142.0],
        }

    return {
        "measured_at": "2026-01-05 12:00 UTC",
        "revision": "abc",
        "machine": {"processor": "P", "cores": "2", "memory": "8 GiB", "system": "Linux 6", "Python": "3.11"},
        "busy_share": 0.01,
        "cores": [0, 1],
        "rounds": 2,
        "seconds": 8.0,
        "connections": 8,
        "half_per_second": 400.0,
        "models": {"best": "voting", "simple": "ridge"},
        "servers": [
            server(report.OURS, 800, 1600, p99=0.008),
            server(report.SIMPLE, 900, 1800),
            server(report.FSYNC, 500, 1000),
            server(report.BARE, 1000, 2000),
            server(report.CLASSIC, 200, 400),
            server(report.MLFLOW, 70, 140),
        ],
        "batches": [
            {
                "form": "CSV",
                "fields": 4,
                "per_second": [21_000.0],
                "per_processor_second": [22_000.0],
                "unlogged": 0,
                "memory_mib": 150.0,
            }
        ],
        "health": {"count": 400, "median_ms": 1.0, "p99_ms": 3.0},
        **changes,
    }


def test_a_ratio_is_that_of_the_rounds_and_not_of_the_machines_moods() -> None:
    assert report.ratio(results(), report.OURS, report.BARE) == pytest.approx(0.8)


def test_the_page_says_of_each_promise_whether_it_was_kept() -> None:
    kept = report.markdown(results())
    assert "**no**" not in kept
    assert kept.count("| yes |") == 9
    slow = results()
    slow["servers"][0]["per_second"] = [600, 1200]
    assert report.markdown(slow).count("**no**") == 3  # of bare Flask, of mlflow, of the classic design
    assert "1,200 (800 to 1,600)" in kept


def test_figures_of_a_busy_machine_are_called_rough() -> None:
    assert "Rough" not in report.markdown(results())
    assert "Rough: 50% of the machine" in report.markdown(results(busy_share=0.5))


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    report.plot(results(), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
