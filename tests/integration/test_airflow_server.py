"""What people click in the UI of a real Airflow: a DAG is triggered by its form, or paused.

No scheduler runs: a triggered run stays queued, with what the form sent as its `conf`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from click.testing import CliRunner
from playwright.sync_api import Page, expect

from homeprices.adapters.airflow_client import AirflowClient
from homeprices.adapters.object_store import MemoryBucket
from homeprices.cli import homeprices
from homeprices.errors import InvalidInput, NotFound
from homeprices.names import (
    BATCH_DAG,
    CANDIDATE_WANTED_ASSET,
    DRIFT_DAG,
    EVALUATION_DAG,
    PLACE_PRICES_DAG,
    TRAINING_DAG,
)
from homeprices.release import control_record
from homeprices.resources import Resources
from homeprices.settings import Settings, load_settings
from homeprices.workflows import run_notes
from homeprices.workflows.status import paused_lines, release_status
from homeprices.workflows.training_options import TrainingOptions
from monitoring.exporter.service_collectors import RunsCollector
from monitoring.operations.actions import Order, request_action
from monitoring.operations.service_parts import ServiceParts
from tests.contract.release import drafts, publish  # noqa: F401
from tests.integration.inference.instance import eventually
from tests.support.browser import chromium
from tests.support.free_ports import free_ports
from tests.support.programs import CHROMIUM
from tests.support.servers import clean_environment

ROOT = Path(__file__).parents[2]

Command = Callable[..., None]

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def environment(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment variables of an Airflow with its own database and the DAGs of this repository."""
    home = tmp_path_factory.mktemp("airflow")
    dags = ROOT / "dags"
    (home / "passwords.json").write_text(json.dumps({"airflow": "airflow"}))
    [port] = free_ports(1)
    return {
        **clean_environment(),
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "PYTHONPATH": f"{ROOT}:{dags}",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "false",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "airflow:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": postgres_url,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": "key of this test",
        "AIRFLOW__API_AUTH__JWT_SECRET": "another key of this test, long enough for the tokens",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "false",
    }


@pytest.fixture(scope="module")
def command(environment: dict[str, str]) -> Command:
    """Runs a command of Airflow."""

    def run(*words: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *words],
            env=environment, cwd=ROOT, capture_output=True, text=True, timeout=580, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]

    return run


@pytest.fixture(scope="module")
def settings(environment: dict[str, str], command: Command) -> Iterator[Settings]:
    """Settings of an Airflow whose API server runs, and that has parsed the DAGs."""
    command("db", "migrate")
    command("dags", "reserialize")
    home = Path(environment["AIRFLOW_HOME"])
    url = environment["AIRFLOW__API__BASE_URL"]
    with (home / "api.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow", "api-server"],
            env=environment, cwd=ROOT, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip

    def answers() -> bool:
        assert process.poll() is None, (home / "api.log").read_text()[-4000:]
        try:
            return httpx.get(f"{url}/api/v2/version", timeout=5).is_success
        except httpx.HTTPError:
            return False

    try:
        eventually(answers, "Airflow's API server answers", 300)
        yield load_settings({"HOMEPRICES_AIRFLOW_URL": url}, ())
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


@pytest.fixture
def trial(settings: Settings, drafts: list[Path]) -> Resources:  # noqa: F811
    """An experiment that runs, on services that do not answer."""
    bucket = MemoryBucket()
    publish(bucket, drafts[0], "first", "BO")
    publish(bucket, drafts[1], "second", "CO")
    control_record.start_experiment(bucket, "BO1", "CO1", 20, "test")
    urls = {"HOMEPRICES_PRODUCTION_URLS": "http://127.0.0.1:9", "HOMEPRICES_CANDIDATE_URLS": "http://127.0.0.1:9"}
    return Resources(load_settings({"HOMEPRICES_AIRFLOW_URL": settings.airflow_url, **urls}, ()), bucket)


@pytest.fixture(scope="module")
def page(settings: Settings) -> Iterator[Page]:
    """A browser in which the user `airflow` is logged in."""
    with chromium() as browser:
        page = browser.new_page()
        page.goto(f"{settings.airflow_url}/auth/login")
        page.locator("input[name=username]").fill("airflow")
        page.locator("input[name=password]").fill("airflow")
        page.locator("button[type=submit]").click()
        page.wait_for_url(lambda url: "/login" not in url)
        yield page


def triggered(page: Page, settings: Settings, dag: str, choice: dict[str, str], text: dict[str, str]) -> dict[str, Any]:
    """Fill and send the form of a DAG; return the `conf` of the run that it started."""
    page.goto(f"{settings.airflow_url}/dags/{dag}")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    send = form.get_by_test_id("trigger-dag-submit")
    expect(send).to_be_visible()
    for name, value in choice.items():
        form.get_by_role("combobox", name=name).click()
        page.get_by_role("option", name=value, exact=True).click()
    for name, value in text.items():
        form.locator(f"input[name=element_{name}]").fill(value)
    expect(send).to_be_enabled()
    send.click()
    page.wait_for_url("**/runs/manual__*")
    with AirflowClient(settings) as airflow:
        return dict(airflow.run(dag, unquote(page.url.rpartition("/runs/")[2].partition("/")[0]))["conf"])


@CHROMIUM.mark
@pytest.mark.parametrize("dag", [TRAINING_DAG, EVALUATION_DAG, DRIFT_DAG, BATCH_DAG, PLACE_PRICES_DAG])
def test_the_form_of_a_dag_can_be_sent_as_it_is(page: Page, settings: Settings, dag: str) -> None:
    conf = triggered(page, settings, dag, {}, {})
    optional = ("version", "reason", "order", "job", "dataset", "preset", "seed", "estimators", "first_model")
    assert {name: conf.get(name) for name in optional} == dict.fromkeys(optional)
    assert conf.get("action", "evaluate") == "evaluate"


@CHROMIUM.mark
def test_the_form_sends_a_manual_action(page: Page, settings: Settings) -> None:
    reason = "a holiday: no decision before Monday"
    sent = triggered(page, settings, EVALUATION_DAG, {"action": "hold"}, {"version": "CO1", "reason": reason})
    unused = dict.fromkeys(("order", "share", "actor"))
    assert sent == {"action": "hold", "version": "CO1", "reason": reason, **unused}


def test_the_operations_page_asks_for_an_action_and_lists_it(settings: Settings) -> None:
    run = request_action(settings, Order("share", "it is slow", share=12.5), "this machine")
    with AirflowClient(settings) as airflow:
        conf = airflow.run(EVALUATION_DAG, run)["conf"]
    asked = {"action": "share", "reason": "it is slow", "share": 12.5, "actor": "this machine, operations page"}
    assert asked.items() <= conf.items()
    entry = ServiceParts(settings).runs()["dags"][EVALUATION_DAG]
    assert (entry["paused"], entry["runs"][0]["run"], entry["runs"][0]["state"]) == (False, run, "queued")
    assert entry["runs"][0]["asked"] == {**asked, "share": "12.5"}


def test_an_event_of_an_asset_is_emitted_and_an_unknown_asset_named(settings: Settings) -> None:
    with closing(AirflowClient(settings)) as client:
        client.emit_asset_event(CANDIDATE_WANTED_ASSET, {"reason": "a test"})
        with pytest.raises(NotFound, match="knows no asset 'candidate'"):
            client.emit_asset_event("candidate")


def test_airflow_refuses_a_share_that_is_none(settings: Settings) -> None:
    with pytest.raises(InvalidInput, match="share"):
        request_action(settings, Order("share", "it is slow", share=51.0), "this machine")


@CHROMIUM.mark
def test_the_form_of_the_training_sends_what_was_chosen(page: Page, settings: Settings) -> None:
    sent = triggered(
        page, settings, TRAINING_DAG, {"preset": "full"}, {"dataset": "2", "seed": "3", "estimators": "ridge, boosting"}
    )
    chosen = {"dataset": 2, "preset": "full", "seed": 3, "estimators": "ridge, boosting", "first_model": None}
    assert sent == chosen
    assert TrainingOptions.of(sent).estimators == ("ridge", "boosting")


def test_a_command_starts_a_run_with_its_parameters(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOMEPRICES_AIRFLOW_URL", str(settings.airflow_url))
    words = ["airflow", "trigger", "training", "--param", "preset=quick", "--param", "seed=5"]
    done = CliRunner().invoke(homeprices, words)
    assert done.exit_code == 0, done.output
    with AirflowClient(settings) as airflow:
        run = airflow.run(TRAINING_DAG, unquote(done.stdout.strip().rpartition("/runs/")[2]))
        assert {name: value for name, value in run["conf"].items() if value is not None} == {
            "preset": "quick",
            "seed": 5,
        }


@pytest.mark.parametrize("conf", [{"preset": "huge"}, {"seed": -1}, {"dataset": 0}, {"estimators": 3}])
def test_a_parameter_that_is_not_allowed_starts_no_run_and_is_named(settings: Settings, conf: dict[str, Any]) -> None:
    with AirflowClient(settings) as airflow:
        before = len(airflow.runs(TRAINING_DAG))
        with pytest.raises(InvalidInput, match=next(iter(conf))):
            airflow.trigger(TRAINING_DAG, conf)
        assert len(airflow.runs(TRAINING_DAG)) == before


def test_the_note_of_a_run_is_in_airflows_list_of_runs(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOMEPRICES_AIRFLOW_URL", str(settings.airflow_url))
    with AirflowClient(settings) as airflow:
        run = airflow.trigger(DRIFT_DAG)
        assert run_notes.try_set_note(DRIFT_DAG, run, "no drift")
        assert run_notes.try_set_note(DRIFT_DAG, run, "nothing published: CO1 is on trial")
        assert [one["note"] for one in airflow.runs(DRIFT_DAG) if one["dag_run_id"] == run] == [
            "nothing published: CO1 is on trial"
        ]
    assert not run_notes.try_set_note(DRIFT_DAG, "no such run", "a note"), "it fails no task"


@CHROMIUM.mark
def test_a_text_that_was_typed_and_removed_again_can_be_sent(page: Page, settings: Settings) -> None:
    page.goto(f"{settings.airflow_url}/dags/{BATCH_DAG}")
    page.get_by_role("button", name="Trigger").first.click()
    name = page.get_by_role("dialog").locator("input[name=element_job]")
    name.fill("a job")
    name.fill("")
    expect(page.get_by_test_id("trigger-dag-submit")).to_be_enabled()


def paused(settings: Settings) -> dict[str, float]:
    with AirflowClient(settings) as airflow:
        samples = RunsCollector(airflow).collect()
    return {one.labels["dag"]: one.value for one in samples if one.name == "homeprices_dag_paused"}


def test_a_paused_dag_is_named_with_what_stands_still_until_it_is_unpaused(trial: Resources, command: Command) -> None:
    command("dags", "delete", BATCH_DAG, "--yes")  # Airflow does not know it: neither paused nor unpaused
    known = {TRAINING_DAG: 0.0, EVALUATION_DAG: 0.0, DRIFT_DAG: 0.0, PLACE_PRICES_DAG: 0.0}
    assert paused_lines(trial.settings) == []
    assert paused(trial.settings) == known
    command("dags", "pause", EVALUATION_DAG, "--yes")
    assert paused(trial.settings) == {**known, EVALUATION_DAG: 1}
    [line] = [line for line in release_status(trial).splitlines() if line.startswith("paused")]
    assert line == (
        f"paused       {EVALUATION_DAG}: the experiment is neither decided nor rolled back until somebody unpauses it "
        f"at {trial.settings.airflow_url}/dags/{EVALUATION_DAG}"
    )
    control_record.end_experiment(trial.bucket, "CO1", "test", "over")
    assert "paused" not in release_status(trial)
    command("dags", "unpause", EVALUATION_DAG, "--yes")
    assert paused_lines(trial.settings) == []


def test_an_airflow_that_does_not_answer_leaves_it_open() -> None:
    away = load_settings({"HOMEPRICES_AIRFLOW_URL": "http://127.0.0.1:9"}, ())
    assert paused_lines(away) == ["paused       unknown, because Airflow does not answer"]
