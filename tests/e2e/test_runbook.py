"""The commands of the runbook for `make up`, each run while the alert fires: it ends, and its output names the cause.

The ten most severe alerts, on one stack. A Prometheus with the project's own rules scrapes the stack every two seconds;
an alert "fires" when its expression is true, because its `for` only delays the notification. Faults are real: frozen
and killed processes, a taken port, a PostgreSQL that does not start. The tests run in order.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from homeprices.release import control_record
from tests.e2e.night import FAULT_SECONDS, Night, busy, damaged, send
from tests.e2e.running_stack import RunningStack, port_offset, wait_until
from tests.integration.inference.instance import publish
from tests.support import runbook
from tests.support.programs import CURL, PROMTOOL
from tests.support.prometheus_tools import prometheus
from tests.unit.monitoring.alert_rules import alerts

MOST_SEVERE = {name for name, rule in alerts().items() if rule["labels"]["severity"] == "page"} | {
    "BucketDown",
    "CandidateStopped",
}
YESTERDAY = {"router_requests_total": 5.0}
"""Requests a minute, a day before."""

SPOOL_BYTES = 65_536  # some eighty predictions
SLOW = 24
REFUSED, TIMED_OUT = 7, 28  # exit codes of curl
NOT_ALL_READY = 2  # make's, for the 1 of `status`
READ_OR_MISSED_A_FILE = (0, 1)  # of `du`: files of a running stack vanish while it reads

pytestmark = [pytest.mark.timeout(1200), PROMTOOL.mark, CURL.mark]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    """A stack with a spool of 64 KB and without a training: the tests publish small bundles."""
    folder = tmp_path_factory.mktemp("stack")
    offset = port_offset("runbook")
    stack = RunningStack(folder, offset, HOMEPRICES_SPOOL_LIMIT_BYTES=str(SPOOL_BYTES))
    (folder / "first-run-done").touch()
    try:
        stack.up()
        stack.connect()
        with prometheus(tmp_path_factory.mktemp("prometheus"), stack.ports.by_purpose, YESTERDAY) as watching:
            yield Night(stack, watching)
    finally:
        stack.close()
        stack.local("clean")


def test_no_request_has_reached_the_router(night: Night) -> None:
    with night.frozen("frontend"), night.frozen("router"):
        night.wait_for("NoTraffic")
        night.shows("NoTraffic", "The form", "timed out", TIMED_OUT)
        night.shows("NoTraffic", "The router", "timed out", TIMED_OUT)
        night.wait_for("ServiceDown")
        night.shows("ServiceDown", "The router", "timed out", TIMED_OUT)


def test_production_is_slow_on_a_busy_machine(night: Night, tmp_path: Path) -> None:
    publish(night.stack.resources.bucket, tmp_path, "BO1")
    wait_until(lambda: night.stack.health("production")["model_version"] == "BO1", FAULT_SECONDS, "BO1")
    night.ask_until("NoTraffic", fires=False)
    alert = "LatencyBudgetBurnsFast"
    with busy() as program, ThreadPoolExecutor(1) as pool:
        with night.frozen("infer-prod"):
            asked = pool.submit(night.ask, SLOW)
            wait_until(lambda: len(night.in_flight()) >= SLOW, FAULT_SECONDS, "requests in flight")
            time.sleep(0.3)  # longer than the objective
        asked.result()
        night.wait_for(alert)
        night.shows(alert, "The machine", rf"^ *{program.pid} ")
        night.shows(alert, "The service", r'"upstream_seconds":"(0\.[3-9]|[1-9])')
        night.shows(alert, "A release", "^production +BO1$")  # the one before


def test_postgresql_does_not_start_and_the_spool_fills(night: Night) -> None:
    for alert in ("DatabaseDown", "SpoolNearlyFull", "EstimatesUnlogged"):
        night.wait_for(alert, fires=False)
    with damaged(night.stack.folder / "postgres" / "data" / "postgresql.conf"):
        send(night.of("postgres"), signal.SIGKILL)
        night.wait_for("DatabaseDown")
        night.shows("DatabaseDown", "PostgreSQL has ended", 'unrecognized configuration parameter "nonsense"')
        night.shows("DatabaseDown", "It refuses", "does not answer: .*Connection refused", 1)
        # A full disk cannot be caused here: the command shows the figure to look at.
        night.shows("DatabaseDown", "Its disk", r" \d+% ")

        night.ask_until("SpoolNearlyFull")
        night.shows("SpoolNearlyFull", "PostgreSQL does not answer", "Connection refused", 1)
        night.shows("SpoolNearlyFull", "PostgreSQL refuses", "database_down .*Connection refused")
        night.shows("SpoolNearlyFull", "The limit", r"^\d+K\s.*/spool$", *READ_OR_MISSED_A_FILE)

        night.ask_until("EstimatesUnlogged")
        night.shows("EstimatesUnlogged", "The spool", r"^[5-9]\dK\s.*/spool$", *READ_OR_MISSED_A_FILE)
        night.shows("EstimatesUnlogged", "Its disk", r" \d+% ")
        night.shows("EstimatesUnlogged", "No ids", "Connection refused", 1)
    night.wait_until_ready("postgres")
    night.wait_for("DatabaseDown", fires=False)
    night.wait_for("SpoolNearlyFull", fires=False)


def test_the_bucket_does_not_start(night: Night) -> None:
    night.wait_for("BucketDown", fires=False)
    with night.without("seaweedfs", "seaweedfs-filer"):
        night.wait_for("BucketDown")
        night.shows("BucketDown", "SeaweedFS has ended", r"^seaweedfs +(starting|backing off) ", NOT_ALL_READY)
        night.shows("BucketDown", "It does not start", "address already in use")
        night.shows("BucketDown", "It runs", "Failed to connect", REFUSED)
        night.shows("BucketDown", "With AWS", "Could not connect to the endpoint", 1)
    night.wait_for("BucketDown", fires=False)


def test_production_does_not_start(night: Night) -> None:
    for alert in ("ServiceDown", "AvailabilityBudgetBurnsFast"):
        night.wait_for(alert, fires=False)
    with night.without("infer-prod", "infer-prod"):
        night.wait_for("ServiceDown")
        night.shows("ServiceDown", "The process", r"^infer-prod +(starting|backing off) ", NOT_ALL_READY)
        night.shows("ServiceDown", "It does not start", "Connection in use")
        alert = "AvailabilityBudgetBurnsFast"
        night.ask_until(alert)
        night.shows(alert, "A service restarts", r"^infer-prod +(starting|backing off) ", NOT_ALL_READY)
        night.shows(alert, "One variant", '"status":502,"assigned":"production"')
        night.shows(alert, "A release", "^replica .* does not answer")
    night.wait_for("ServiceDown", fires=False)


def test_production_does_not_answer(night: Night) -> None:
    with night.frozen("infer-prod"):
        night.wait_for("ServiceDown")
        night.shows("ServiceDown", "It runs", "timed out", TIMED_OUT)
    night.wait_for("ServiceDown", fires=False)


def test_the_circuit_breaker_stops_the_candidate(night: Night, tmp_path: Path) -> None:
    bucket = night.stack.resources.bucket
    publish(bucket, tmp_path, "CO1")
    wait_until(lambda: night.stack.health("candidate")["model_version"] == "CO1", FAULT_SECONDS, "CO1")
    control_record.start_experiment(bucket, "BO1", "CO1", 50, actor="tests")
    wait_until(lambda: night.watching.query("router_candidate_share_percent == 50"), FAULT_SECONDS, "the share")
    night.wait_for("CandidateStopped", fires=False)
    # Airflow would evaluate the experiment at once, and roll the candidate back.
    with night.frozen("airflow-scheduler"), night.without("infer-cand", "infer-cand"):
        night.ask_until("CandidateStopped")
        wait_until(lambda: control_record.read(bucket).state == "stopped", FAULT_SECONDS, "the record of the stop")
        night.shows("CandidateStopped", "The candidate failed", r"by router: circuit breaker: \d+ failed")
        night.shows("CandidateStopped", "Its process", "Connection in use")
        night.shows("CandidateStopped", "The machine", r"^infer-cand +(starting|backing off) ", NOT_ALL_READY)


def test_a_healthy_stack_shows_the_figures_of_a_full_disk(night: Night) -> None:
    """No test can fill the disk of this machine, so the alert does not fire; the commands have the figures."""
    night.shows("DiskFull", "Images", rf"^[\d.]+[MG]\s+{night.stack.folder}$", *READ_OR_MISSED_A_FILE)
    night.shows("DiskFull", "Something else", r" \d+% ")


def test_every_command_of_the_most_severe_alerts_was_run(night: Night) -> None:
    assert len(MOST_SEVERE) == 10
    assert night.seen == {(alert, cause.name) for alert in MOST_SEVERE for cause in runbook.causes(alert)}
