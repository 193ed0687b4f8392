"""The status of a real experiment: its newest look, decisions and releases, with a database, without, and damaged."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, insert

from homeprices.predictions.tables import ab_decisions
from homeprices.release import control_record
from homeprices.resources import Resources
from homeprices.workflows.status import time_left
from monitoring.operations.access import AccessControl
from monitoring.operations.parts import UNAVAILABLE
from monitoring.operations.status import open_status
from monitoring.operations.stored_pages import CHARTS
from monitoring.operations.web import create_app
from tests.support.trial import NOW, Trial

EVIL = "<script>alert(1)</script>"

NOTHING = "http://127.0.0.1:9"  # a stack of this machine's user may listen on the ports of the defaults


@pytest.fixture
def trial(engine: Engine, tmp_path: Path) -> Iterator[Trial]:
    """A production and a candidate on trial, with one look that continues."""
    made = Trial(engine, tmp_path, HOMEPRICES_POLICY="sequential", HOMEPRICES_STATE_DIR=str(tmp_path),
                 HOMEPRICES_ROUTER_URL=NOTHING, MLFLOW_TRACKING_URI=NOTHING)  # fmt: skip
    made.begin()
    made.visits("production", 40, [3.0, 4.0])
    made.visits("candidate", 20, [3.0, 4.0])
    evaluation = made.evaluation("run1", NOW, "sequential")
    evaluation.decide(evaluation.collect_evidence())
    yield made
    made.close()


def client(resources: Resources) -> FlaskClient:
    return create_app(resources, open_status(resources), AccessControl(resources.settings, None)).test_client()


def parts_of(resources: Resources) -> dict[str, Any]:
    return dict(client(resources).get("/api/status").json["parts"])  # type: ignore[index]


def page_of(resources: Resources) -> str:
    answer = client(resources).get("/operations")
    assert answer.status_code == 200
    return answer.text


def test_the_newest_look_says_what_is_still_missing(trial: Trial) -> None:
    found = parts_of(trial.resources)
    look = found["experiment"]["look"]
    assert (look["experiment"], look["outcome"], look["looks"]) == ("BO1-CO1", "continue", 1)
    assert look["variants"]["candidate"]["requests"] == 20
    assert "rated visitors are missing in the smaller variant" in look["still"]
    assert (
        found["release"] | {"production": "BO1", "candidate": "CO1", "state": "running", "phase": "trial"}
        == found["release"]
    )
    assert [one["version"] for one in found["releases"]["production"]] == ["BO1"]
    assert {one["version"] for one in found["services"]["replicas"]} == {"BO1", "CO1"}
    assert found["log"]["variants"].keys() <= {"production", "candidate"}
    assert found["decisions"]["last"][0]["decision"] == look["decision"]


def test_it_is_the_text_of_the_status_command(trial: Trial) -> None:
    evaluation = trial.evaluation("run2", NOW, "sequential")
    from homeprices.experiment import policies
    from homeprices.experiment.evidence import Evidence

    collected = evaluation.collect_evidence()
    said = time_left(policies.from_document(collected["policy"]), Evidence.model_validate(collected["evidence"]))
    assert parts_of(trial.resources)["experiment"]["look"]["still"] == said


@pytest.mark.parametrize(("minutes", "charts"), [(0, ["rating"]), (20, ["effect", "rating"])])
def test_the_chart_is_one_of_the_stored_page(trial: Trial, minutes: int, charts: list[str]) -> None:
    for minute in range(minutes):  # no more in a minute: a burst does not count
        trial.visits("candidate", 2, [3.0, 4.0], ts=NOW - timedelta(minutes=minute))
        trial.visits("production", 8, [3.0, 4.0], ts=NOW - timedelta(minutes=minute))
    evaluation = trial.evaluation("run2", NOW, "sequential")
    evaluation.decide(evaluation.collect_evidence())
    look = parts_of(trial.resources)["experiment"]["look"]
    number, page = look["decision"], client(trial.resources)
    assert page.get(f"/operations/decisions/{number}").status_code == 200
    stored = [name for name in CHARTS if page.get(f"/operations/decisions/{number}/{name}.svg").status_code == 200]
    assert (look["chart"], stored) == (charts[0], charts)


def test_services_that_are_away_are_named_and_the_page_stands(trial: Trial) -> None:
    found = parts_of(trial.resources)
    assert "does not answer" in found["runs"][UNAVAILABLE] + found["services"]["router"]["problem"]
    text = page_of(trial.resources)
    assert "The runs cannot be read" in text and "Experiment BO1-CO1" in text


def test_without_postgresql_what_the_bucket_says_stands(trial: Trial) -> None:
    settings = trial.resources.settings.model_copy(update={"postgres_host": "127.0.0.1", "postgres_port": 1})
    resources = Resources(settings, trial.bucket)
    found = parts_of(resources)
    assert {name for name in ("experiment", "decisions", "drift", "log") if UNAVAILABLE in found[name]} == {
        *("experiment", "decisions", "drift", "log")
    }
    text = page_of(resources)
    assert "The experiment, the decisions, drift, the prediction log cannot be read: " in text
    assert ">BO1</a>" in text and "<dd>trial</dd>" in text


def test_a_damaged_record_and_a_hostile_reason_break_nothing(trial: Trial) -> None:
    values = {"key": "damaged", "experiment": "BO1-CO1", "production": "BO1", "candidate": "CO1", "policy": EVIL,
              "evidence": {"strata": EVIL}, "outcome": EVIL, "reason": EVIL * 100, "actor": EVIL,
              "policy_document": [EVIL]}  # fmt: skip
    with trial.engine.begin() as connection:
        connection.execute(insert(ab_decisions).values(**values))
    trial.bucket.put("control/drift.json", b"[1")
    look = parts_of(trial.resources)["experiment"]["look"]
    assert "cannot be read" in look["problem"]
    text = page_of(trial.resources)
    assert EVIL not in text and "control/drift.json is damaged" in text


def test_a_damaged_control_record_and_manifest_are_named(trial: Trial) -> None:
    trial.bucket.put(control_record.KEY, b"{")
    trial.bucket.put("models/price_check_BO1/manifest.json", b"{}")
    found = parts_of(trial.resources)
    assert "is not a control record" in found["release"][UNAVAILABLE]
    assert "manifest.json of BO1" in found["releases"]["production"][0]["problem"]
    assert "Experiment BO1-CO1" in page_of(trial.resources)


def test_an_end_by_a_person_is_told_without_a_report(trial: Trial) -> None:
    trial.evaluation("run2").run_manual_action("promote", "CO1", "ann", "better in every segment")
    found = parts_of(trial.resources)
    ended = found["experiment"]["look"]["ended"]
    assert (ended["outcome"], ended["actor"], ended["reason"]) == ("promote", "person:ann", "better in every segment")
    newest = found["decisions"]["last"][0]
    assert (newest["outcome"], newest["result_version"], newest["has_page"]) == ("promote", "BO2", False)
    assert found["decisions"]["published"]["BO2"]["decision"] == newest["decision"]
    text = page_of(trial.resources)
    assert "The last one was BO1-CO1, promote at" in text and "by person:ann: better in every segment" in text
    assert f'/operations/decisions/{newest["decision"]}"' not in text
    assert "BO1 → BO2" in text
