"""The evaluation as Airflow runs it: every task of the DAG, its branches and XComs, on a real bucket and database.

The tests are one story, in this order: continued, promoted, reverted, held, failed, invalid, rolled back,
promoted in some places.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from homeprices.adapters.object_store import S3Bucket
from homeprices.registry import bundle_publisher, bundle_reader, regional_record
from homeprices.release import control_record, holds
from tests.support.bundles import make_draft
from tests.support.fake_servers import Hook, Mailbox, mail_server, webhook
from tests.support.trial import Trial, database_variables

ROOT = Path(__file__).parents[2]
MIXED = (2.0, 3.0, 4.0, 5.0, 4.0)
# One process for all runs, because starting Airflow takes most of a run's time. It reads one run's parameters a line.
SCHEDULE = """
import json, sys
from airflow.utils import db
db.upgradedb()
import evaluate_ab_dag
print("READY", flush=True)
for line in sys.stdin:
    dag = evaluate_ab_dag.evaluate_ab_dag()  # a DAG that was run keeps that run's parameters
    run = dag.test(run_conf=json.loads(line))
    states = {task.task_id: str(task.state) for task in run.get_task_instances()}
    print("STATES", json.dumps({"run": str(run.state), "id": run.run_id, **states}), flush=True)
"""
EVALUATED = {
    "run_manual_action": "skipped",
    "analyze_new_production": "success",
    "collect_evidence": "success",
    "decide": "success",
}

pytestmark = pytest.mark.timeout(1200)


class Scheduler:
    """Runs the DAG in a process of its own, on an Airflow that this module has to itself."""

    def __init__(self, home: Path, trial: Trial, variables: dict[str, str]) -> None:
        settings, dags = trial.settings, home / "dags"
        dags.mkdir()
        for name in ("evaluate_ab_dag.py", "dag_defaults.py"):  # others would be parsed again before each run
            (dags / name).symlink_to(ROOT / "dags" / name)
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "PYTHONPATH": f"{ROOT}:{dags}",
            "OMP_NUM_THREADS": "1",
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
            "HOMEPRICES_PRODUCTION_URLS": settings.production_urls,
            "HOMEPRICES_CANDIDATE_URLS": settings.candidate_urls,
            "HOMEPRICES_AIRFLOW_URL": settings.airflow_url,
            "MLFLOW_TRACKING_URI": settings.mlflow_tracking_uri,
            "HOMEPRICES_POLICY": "demo",  # the story takes no day
            **database_variables(trial.engine),
            **variables,
        }
        self._errors = (home / "errors.log").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-c", SCHEDULE],
            cwd=home,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._await("READY")

    def run(self, **order: str) -> dict[str, str]:
        """The state of every task of a new run, and as `run` that of the run."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return dict(json.loads(self._await("STATES ")))

    def close(self) -> None:
        """Close standard input, on which the process ends by itself and writes its coverage data."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
        with self._errors, self._process:
            return

    def _await(self, mark: str) -> str:
        """The rest of the first line that begins so."""
        output: list[str] = []
        for line in self._process.stdout or ():
            if line.startswith(mark):
                return line.removeprefix(mark)
            output.append(line)
        self._errors.seek(0)
        pytest.fail("".join(output[-40:]) + self._errors.read()[-4000:])


@pytest.fixture(scope="module")
def trial(engine: Engine, s3: S3Bucket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """A production and a candidate on trial."""
    made = Trial(engine, tmp_path_factory.mktemp("bundles"), s3)
    made.begin(datetime.now(UTC) - timedelta(hours=5))
    yield made
    made.close()


@pytest.fixture(scope="module")
def hook() -> Iterator[Hook]:
    """Where notices go; the first attempt fails."""
    with webhook(failures=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def mail() -> Iterator[Mailbox]:
    """A mail server that keeps what it receives."""
    with mail_server() as box:
        yield box


@pytest.fixture(scope="module")
def scheduler(
    trial: Trial, s3_settings: dict[str, str], hook: Hook, mail: Mailbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scheduler]:
    """A function that runs the DAG as Airflow does."""
    channels = {"SLACK_WEBHOOK_URL": hook.url, "SMTP_HOST": "127.0.0.1", "NOTIFY_EMAIL_TO": "ops@localhost"}
    variables = {**s3_settings, **channels, "SMTP_PORT": str(mail.port)}
    made = Scheduler(tmp_path_factory.mktemp("airflow"), trial, variables)
    yield made
    made.close()


def an_hour_ago() -> datetime:
    return datetime.now(UTC) - timedelta(hours=1)


def end(states: dict[str, str]) -> str:
    """The one task that carried the decision out."""
    assert {name: states[name] for name in EVALUATED} == EVALUATED, states
    assert states["run"] == "success", states
    [done] = [name for name in ("promote", "roll_back", "continue_experiment") if states[name] == "success"]
    return done


def test_an_experiment_of_identical_models_continues(trial: Trial, scheduler: Scheduler) -> None:
    trial.visits("production", 400, MIXED, ts=an_hour_ago())
    trial.visits("candidate", 100, MIXED, ts=an_hour_ago())
    assert end(scheduler.run()) == "continue_experiment"
    assert [outcome for _, outcome, _ in trial.decisions()] == ["continue"]


def test_a_better_candidate_wins(trial: Trial, scheduler: Scheduler) -> None:
    trial.visits("production", 400, [2.0, 3.0], ts=an_hour_ago())
    trial.visits("candidate", 100, 5.0, ts=an_hour_ago())
    assert end(scheduler.run()) == "promote"
    assert bundle_reader.published(trial.bucket, "BO") == ["BO1", "BO2"]
    assert [(outcome, result) for _, outcome, result in trial.decisions()][-1] == ("promote", "BO2")


def test_the_next_run_reverts_a_promotion_that_does_harm(trial: Trial, scheduler: Scheduler) -> None:
    trial.visits("production", 120, bundle="BO2", milliseconds=900.0, ts=datetime.now(UTC))
    assert end(scheduler.run()) == "continue_experiment", "there is no candidate"
    assert bundle_reader.read_manifest(trial.bucket, "BO3").promoted_from == "BO1"
    assert trial.decisions()[-1] == ("bake:BO2", "revert", "BO3")


def test_a_person_holds_the_next_candidate_from_the_form_of_the_dag(
    trial: Trial, scheduler: Scheduler, tmp_path: Path
) -> None:
    bundle_publisher.stage(trial.bucket, "next", make_draft(tmp_path / "next", 1.2))
    assert bundle_publisher.publish(trial.bucket, "next", "CO") == "CO2"
    since = datetime.now(UTC) - timedelta(hours=2)
    control_record.start_experiment(trial.bucket, "BO3", "CO2", 20.0, "tests", clock=lambda: since)
    states = scheduler.run(action="hold", reason="a holiday")
    tasks = ("run_manual_action", "analyze_new_production", "decide")
    assert [states[name] for name in tasks] == ["success", "skipped", "skipped"]
    assert [outcome for _, outcome, _ in trial.decisions()][-1] == "hold"
    scheduler.run(order="resume", reason="it is over")  # the parameter's earlier name
    assert holds.read(trial.bucket) is None


def test_a_failed_run_is_notified_once_on_both_channels(
    trial: Trial, scheduler: Scheduler, hook: Hook, mail: Mailbox
) -> None:
    """The callbacks of the task and of the run both notify; the second one finds the marker of the first."""
    before = len(hook.posts), len(mail.messages)
    states = scheduler.run(action="revert", reason="to which, it does not say")
    assert (states["run"], states["run_manual_action"]) == ("failed", "failed")
    [post], [message] = hook.posts[before[0] :], mail.messages[before[1] :]
    title, text, link = str(post["text"]).splitlines()
    assert title == "*evaluate_ab_dag has failed*" == f"*{message['Subject']}*"
    assert f"The run {states['id']} has failed in its task run_manual_action: " in text
    assert "is required to revert" in text
    assert "/dags/evaluate_ab_dag/runs/" in link
    assert "CO2" in bundle_reader.published(trial.bucket, "CO"), "nothing else has changed"


def test_a_broken_split_is_invalid_and_a_worse_candidate_with_a_sound_one_loses(
    trial: Trial, scheduler: Scheduler
) -> None:
    trial.visits("production", 900, 5.0, ts=an_hour_ago(), bundle="BO3")
    trial.visits("candidate", 100, [1.0, 2.0], ts=an_hour_ago(), bundle="CO2")
    assert end(scheduler.run()) == "continue_experiment"
    assert [outcome for _, outcome, _ in trial.decisions()][-1] == "invalid"
    trial.visits("candidate", 120, ts=an_hour_ago(), bundle="CO2")
    assert end(scheduler.run()) == "roll_back"
    assert bundle_reader.highest(trial.bucket, "CO") is None


def test_a_candidate_that_wins_in_its_places_is_promoted_there_and_a_person_takes_it_back(
    trial: Trial, scheduler: Scheduler, tmp_path: Path
) -> None:
    bundle_publisher.stage(trial.bucket, "regional", make_draft(tmp_path / "regional", 1.3))
    assert bundle_publisher.publish(trial.bucket, "regional", "CO") == "CO3"
    since = datetime.now(UTC) - timedelta(hours=2)
    control_record.start_experiment(trial.bucket, "BO3", "CO3", 20.0, "tests", clock=lambda: since)
    control_record.set_share(trial.bucket, 20.0, "tests", places=("whitefield",), clock=lambda: since)
    trial.visits("production", 400, [2.0, 3.0], ts=an_hour_ago(), bundle="BO3")
    trial.visits("candidate", 100, 5.0, ts=an_hour_ago(), bundle="CO3")
    assert end(scheduler.run()) == "promote"
    assert trial.decisions()[-1][1:] == ("promote", "RO1")
    assert regional_record.read(trial.bucket).version_by_place == {"whitefield": "RO1"}
    assert bundle_reader.highest(trial.bucket, "BO") == "BO3"
    states = scheduler.run(action="revert", version="RO1", reason="Whitefield complains")
    assert (states["run"], states["run_manual_action"]) == ("success", "success")
    assert trial.decisions()[-1] == ("person:revert:RO1", "revert", "BO3")
    assert regional_record.read(trial.bucket).versions == ()
