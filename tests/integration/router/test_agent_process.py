"""`python -m router.agent` as a process: it may be killed at any time, and Nginx goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from homeprices.adapters.object_store import S3Bucket
from homeprices.release import control_record, traffic_counts
from homeprices.release.traffic_counts import DailyTrafficCounts
from router import traffic_counter
from router.nginx import Nginx, read_revision
from tests.integration.router.client import Visitor
from tests.integration.router.conftest import WHEEL_NGINX, eventually, free_port, running_record
from tests.integration.router.test_changes import visitors_at_work
from tests.integration.router.upstream import Upstream, listening

ROOT = Path(__file__).parents[3]
NO_BUCKET = {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}


@dataclass
class Stand:
    """The environment of agents, and the processes that they have started so far."""

    environment: dict[str, str]
    folder: Path
    nginx: Nginx
    production: Upstream
    candidate: Upstream
    agents: list[subprocess.Popen[bytes]] = field(default_factory=list)
    visitors: list[Visitor] = field(default_factory=list)

    def visitor(self) -> Visitor:
        self.visitors.append(Visitor(self.listen))
        return self.visitors[-1]

    @property
    def listen(self) -> str:
        return f"127.0.0.1:{self.environment['HOMEPRICES_ROUTER_PORT']}"

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        with (self.folder / "agent.err").open("ab") as errors:
            agent = subprocess.Popen(
                [sys.executable, "-m", "router.agent", *arguments],
                cwd=ROOT,
                env={**os.environ, **self.environment, **environment},
                stderr=errors,
            )
        self.agents.append(agent)
        return agent

    def start_and_wait(self, **environment: str) -> subprocess.Popen[bytes]:
        agent = self.start(**environment)
        eventually(lambda: self.reported("nginx") and agent.poll() is None, 30)
        return agent

    def reported(self, name: str) -> object:
        """Return a value of the running agent's report."""

        report = self.folder / "router" / "agent.json"
        started = (self.folder / "agent.err").stat().st_size
        return json.loads(report.read_text())[name] if report.exists() and started else None

    def forget_report(self) -> None:
        (self.folder / "router" / "agent.json").unlink(missing_ok=True)

    def metric(self, name: str) -> float:
        port = self.environment["HOMEPRICES_ROUTER_METRICS_PORT"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            text = answer.read().decode()
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


@pytest.fixture
def program() -> Path:
    """One Nginx, because kills of the agent do not depend on Nginx's version."""
    return WHEEL_NGINX


@pytest.fixture
def stand(program: Path, tmp_path: Path) -> Iterator[Stand]:
    """The router's agent as a process, not yet started."""
    (tmp_path / "agent.err").touch()
    with listening("production") as production, listening("candidate") as candidate:
        environment = {
            **NO_BUCKET,
            "HOMEPRICES_VISITOR_KEY": "a key of the tests",
            "HOMEPRICES_STATE_DIR": str(tmp_path),
            "HOMEPRICES_NGINX": str(program),
            "HOMEPRICES_ROUTER_PORT": str(free_port()),
            "HOMEPRICES_ROUTER_METRICS_PORT": str(free_port()),
            "HOMEPRICES_PRODUCTION_URLS": f"http://{production.address}",
            "HOMEPRICES_CANDIDATE_URLS": f"http://{candidate.address}",
            "HOMEPRICES_POLL_SECONDS": "0.2",
        }
        built = Stand(environment, tmp_path, Nginx(program, tmp_path / "router"), production, candidate)
        try:
            yield built
        finally:
            for visitor in built.visitors:
                visitor.close()
            for agent in built.agents:
                agent.kill()
                agent.wait(10)
            built.nginx.stop(0.2)


def hold_record(stand: Stand, share: float) -> None:
    """Store a record, as an earlier agent has read it."""
    (stand.folder / "router").mkdir(exist_ok=True)
    record = running_record(share=share)
    (stand.folder / "router" / "control.json").write_text(f'{{"record": {record.model_dump_json()}}}')


def test_without_the_bucket_the_last_record_stays_in_force(stand: Stand) -> None:
    hold_record(stand, share=50)
    stand.start_and_wait()
    variants = {stand.visitor().arrive().predict().variant for _ in range(40)}
    assert variants == {"production", "candidate"}
    assert "127.0.0.1:1" in str(stand.reported("control"))
    assert stand.metric("router_control_record_failures") >= 1


def test_without_a_record_all_visitors_are_in_production(stand: Stand) -> None:
    stand.start_and_wait()
    assert {stand.visitor().arrive().predict().variant for _ in range(20)} == {"production"}


def test_a_killed_agent_costs_no_request_and_the_next_one_adopts_nginx(stand: Stand) -> None:
    hold_record(stand, share=20)
    agent = stand.start_and_wait()
    pid, revision = stand.nginx.pid(), read_revision(stand.listen)
    with visitors_at_work(stand.listen) as (statuses, visitors, wrong):
        agent.kill()
        agent.wait(10)
        stand.forget_report()
        eventually(lambda: len(statuses) > 200)
        stand.start_and_wait()
    assert wrong == []
    assert set(statuses) == {200}
    assert sum(visitor.retried for visitor in visitors) == 0
    assert (stand.nginx.pid(), read_revision(stand.listen)) == (pid, revision)
    assert stand.reported("outcome") == "unchanged"
    assert stand.metric("router_nginx_starts_total") == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_agent_and_nginx(stand: Stand, number: signal.Signals) -> None:
    agent = stand.start_and_wait()
    agent.send_signal(number)
    assert agent.wait(20) == 0
    assert stand.nginx.pid() is None


def test_open_requests_are_answered_when_the_router_stops(stand: Stand) -> None:
    agent = stand.start_and_wait()
    stand.production.delay_seconds = 1.0
    with visitors_at_work(stand.listen, 1) as (statuses, _, _wrong):
        eventually(lambda: stand.production.seen)
        agent.terminate()
        eventually(lambda: statuses)
    assert statuses[0] == 200
    assert agent.wait(20) == 0


def test_a_remaining_nginx_can_be_stopped(stand: Stand) -> None:
    agent = stand.start_and_wait()
    agent.kill()
    agent.wait(10)
    assert stand.nginx.pid() is not None
    assert stand.start("stop").wait(30) == 0
    assert stand.nginx.pid() is None


def test_a_second_agent_in_the_same_folder_fails(stand: Stand) -> None:
    stand.start_and_wait()
    second = stand.start(HOMEPRICES_ROUTER_METRICS_PORT=str(free_port()))
    assert second.wait(30) == 1
    assert "another agent is at work" in (stand.folder / "agent.err").read_text()
    assert stand.visitor().predict().status == 200


def test_a_port_in_use_ends_the_agent_with_its_name(stand: Stand) -> None:
    port = stand.production.address.split(":")[1]
    agent = stand.start(HOMEPRICES_ROUTER_PORT=port)
    assert agent.wait(30) == 1
    assert f"bind() to 127.0.0.1:{port} failed" in (stand.folder / "agent.err").read_text()


def test_an_unknown_command_shows_the_usage(stand: Stand) -> None:
    assert stand.start("restart").wait(30) == 2
    assert "usage: python -m router.agent [stop]" in (stand.folder / "agent.err").read_text()


def test_the_breaker_stays_open_without_the_bucket_even_after_a_kill(stand: Stand) -> None:
    hold_record(stand, share=50)
    agent = stand.start_and_wait()
    stand.candidate.status = 500
    visitor = stand.visitor()
    eventually(lambda: visitor.arrive().predict().fallback)
    for _ in range(5):
        visitor.predict()
    eventually(lambda: stand.reported("state") == "stopped", 20)
    agent.kill()
    agent.wait(10)
    stand.forget_report()
    stand.start_and_wait()
    assert stand.reported("state") == "stopped"
    visitor.close()
    reply = visitor.predict()
    assert (reply.variant, reply.fallback) == ("production", False)


def test_a_change_in_the_bucket_is_applied_and_the_breakers_stop_is_written_there(
    stand: Stand, s3: S3Bucket, s3_settings: dict[str, str]
) -> None:
    stand.environment.update(s3_settings)
    s3.put(control_record.KEY, running_record(share=30).model_dump_json().encode())
    stand.start_and_wait()
    assert stand.reported("share") == 30
    control_record.set_share(s3, 50, "a person")
    eventually(lambda: stand.reported("share") == 50, 20)
    stand.candidate.status = 503
    visitor = stand.visitor()
    eventually(lambda: visitor.arrive().predict().fallback)
    for _ in range(5):
        visitor.predict()
    eventually(lambda: control_record.read(s3).state == "stopped", 30)
    record = control_record.read(s3)
    assert (record.share, record.epoch, record.updated_by) == (0.0, 3, "router")
    assert record.reason.startswith("circuit breaker: ")


def test_failures_are_counted_in_the_bucket_even_if_the_agent_was_killed_meanwhile(
    stand: Stand, s3: S3Bucket, s3_settings: dict[str, str]
) -> None:
    stand.environment.update(s3_settings)
    agent = stand.start_and_wait()
    for _ in range(3):
        assert stand.visitor().predict().status == 200
    eventually(lambda: '"production":[3,0]' in counts_of(stand), 120)
    agent.kill()
    agent.wait(10)
    stand.production.status = 500
    for _ in range(2):
        assert stand.visitor().predict().status == 500
    stand.forget_report()
    stand.start_and_wait()

    def handed_in() -> list[int]:
        router = json.loads(counts_of(stand))["router"]
        told = [key.key for key in s3.list(traffic_counts.PREFIX) if key.key.endswith(f"/{router}.json")]
        slots = [
            variants
            for key in told
            for variants in DailyTrafficCounts.model_validate_json(s3.get(key).body).slots.values()
        ]
        return [sum(numbers) for numbers in zip(*(variants["production"] for variants in slots), strict=True)]

    eventually(lambda: handed_in() == [5, 2], 120)


def counts_of(stand: Stand) -> str:
    """Return the stored counts."""
    file = stand.folder / "router" / traffic_counter.FILE
    return file.read_text() if file.exists() else ""


def test_a_failed_step_is_logged_and_the_next_one_runs(stand: Stand) -> None:
    agent = stand.start_and_wait()
    in_the_way = stand.folder / "router" / f".agent.json.{agent.pid}.draft"
    in_the_way.mkdir()
    eventually(lambda: "agent_step_failed" in (stand.folder / "agent.err").read_text())
    stand.forget_report()
    in_the_way.rmdir()
    eventually(lambda: stand.reported("nginx"))
    assert stand.visitor().predict().status == 200


@pytest.mark.parametrize("key", ["", "   ", "fifteen letters"])
def test_without_a_long_visitor_key_the_router_does_not_start(stand: Stand, key: str) -> None:
    assert stand.start(HOMEPRICES_VISITOR_KEY=key).wait(60) == 1
    assert "HOMEPRICES_VISITOR_KEY has" in (stand.folder / "agent.err").read_text()
    assert stand.nginx.pid() is None
