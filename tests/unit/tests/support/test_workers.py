"""How parallel runs share servers and ports, and how many workers they have."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support import workers
from tests.support.free_ports import free_ports
from tests.support.servers import ServerStarter

ROOT = Path(__file__).parents[4]


def test_two_who_ask_at_a_time_get_the_one_server_that_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []

    def start(self: ServerStarter) -> str:
        started.append("mlflow")
        return f"http://server-{len(started)}"

    monkeypatch.setattr(ServerStarter, "_start_mlflow", start)
    shared = workers.SharedServers()
    try:
        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(lambda _: workers.ask(shared.ticket, "mlflow"), range(8)))
    finally:
        shared.close()
    assert set(answers) == {"http://server-1"}
    assert started == ["mlflow"]


def test_a_server_that_does_not_start_is_reported_to_the_worker_and_the_next_question_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(self: ServerStarter) -> Any:
        raise RuntimeError("postgres is not ready")

    monkeypatch.setattr(ServerStarter, "_start_postgres", fail)
    monkeypatch.setattr(ServerStarter, "_start_mlflow", lambda self: "http://there")
    shared = workers.SharedServers()
    folder = Path(shared.ticket[0]).parent
    try:
        with pytest.raises(RuntimeError, match="postgres is not ready"):
            workers.ask(shared.ticket, "postgres")
        assert workers.ask(shared.ticket, "mlflow") == "http://there"
    finally:
        shared.close()
    assert not folder.exists()


def test_no_port_is_given_twice_not_even_to_two_processes() -> None:
    script = "from tests.support.free_ports import free_ports; print(*free_ports(60), flush=True); input()"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]  # fmt: skip
    given = [process.stdout.readline().split() for process in processes if process.stdout]
    ports = [*map(int, [*given[0], *given[1]]), *free_ports(60)]  # while they live: their ports are free afterwards
    for process in processes:
        process.communicate("\n", timeout=60)
    assert len(ports) == len(set(ports)) == 180


@pytest.mark.parametrize(
    ("arguments", "cores", "count"),
    [
        (["tests/unit"], 2, 2),
        (["tests/unit", "tests/infrastructure"], 4, 4),
        (["tests/unit", "tests/integration"], 2, 4),
        (["tests/integration/router"], 2, 4),
        (["tests/integration"], 64, 8),
    ],
)
def test_suites_that_wait_have_two_workers_for_a_core(arguments: list[str], cores: int, count: int) -> None:
    assert workers.number(arguments, cores) == count
