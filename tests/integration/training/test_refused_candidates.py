"""Candidates that a training run does not publish: one equals another, one is clearly worse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, delete, insert

from homeprices.adapters.object_store import MemoryBucket
from homeprices.data.preparation import to_homes
from homeprices.predictions.tables import prediction_logs, user_feedback
from homeprices.registry import bundle_publisher, bundle_reader, datasets
from homeprices.release import promotion
from homeprices.workflows import heartbeat, run_notes
from monitoring.operations.stored_pages import StoredPages
from tests.integration.training.test_train_and_publish import (  # noqa: F401
    bucket,
    csv,
    kept_trainings,
    run,
    search,
    through_json,
    train,
)
from tests.support.stored import document_pattern, key_pattern, members, pinned
from tests.support.trial import database_variables

# ruff: noqa: F811 (fixtures)


def test_a_second_candidate_equals_the_first_and_one_that_equals_production_is_not_published(
    bucket: MemoryBucket, mlflow_uri: str
) -> None:
    for n in (1, 2):
        steps = run(bucket, mlflow_uri, f"waits:{n}")
        steps.publish_bundle(train(steps))
    assert heartbeat.last_heartbeat(bucket, "training") is None, "what was published is yet to be served"
    third = run(bucket, mlflow_uri, "waits:3")
    published = third.publish_bundle(train(third))
    assert published["version"] is None and "equal those of CO1, which is on trial" in published["reason"]
    note = heartbeat.last_heartbeat(bucket, "training")
    assert note is not None and (note.outcome, note.run) == (published["reason"], "waits:3")

    bundle_publisher.republish(bucket, "CO1", owner="promote:CO1", published_by="tests")
    bundle_publisher.archive(bucket, "CO1")
    fourth = run(bucket, mlflow_uri, "waits:4")
    draft = train(fourth)
    published = fourth.publish_bundle(draft)
    assert published["version"] is None and "equal those of BO2" in published["reason"]
    assert fourth.publish_bundle(draft)["version"] is None, "a repeated step ends as well as the first"


def test_a_candidate_that_equals_one_that_lost_waits_for_new_data(bucket: MemoryBucket, mlflow_uri: str) -> None:
    for n in (1, 2):
        steps = run(bucket, mlflow_uri, f"lost:{n}")
        steps.publish_bundle(train(steps))
    promotion.roll_back(bucket, "CO1", "tests", "it lost")
    third = run(bucket, mlflow_uri, "lost:3")
    published = third.publish_bundle(train(third))
    assert published["version"] is None
    assert published["reason"] == "its estimates equal those of CO1, which has lost; it waits for new data"


def test_a_candidate_that_is_clearly_worse_than_production_is_not_published_and_the_report_says_why(
    bucket: MemoryBucket, mlflow_uri: str
) -> None:
    first = run(bucket, mlflow_uri, "gate:1", FIRST_MODEL="best")
    assert first.publish_bundle(train(first))["version"] == "BO1"
    second = run(bucket, mlflow_uri, "gate:2")
    listings = through_json(second.clean_listings(second.check_dataset()))
    draft = second.validate_bundle(second.build_bundle(listings, {"kind": "CO", "estimator": "linear"}))
    published = second.publish_bundle(draft)
    assert published["version"] is None and "it is clearly worse than BO1: on" in published["reason"]
    assert bundle_reader.published(bucket, "CO") == []
    [report] = [json.loads(bucket.get(entry.key).body) for entry in bucket.list("reports/validation/gate-gate-2")]
    assert report["why_not"] == published["reason"]
    assert 0 < report["form"]["low"] < report["form"]["difference"] < report["form"]["high"]
    [found] = search(mlflow_uri, "tags.`homeprices.key` = 'gate:2'")
    metrics = {metric["key"]: metric["value"] for metric in found["data"]["metrics"]}
    assert metrics["gate.form.low"] == pytest.approx(report["form"]["low"])
    names, keys = pinned("stored_names.json"), [entry.key for entry in bucket.list("")]
    assert {key_pattern(key) for key in keys} <= set(names["keys"])
    documents = [key for key in keys if key.startswith(("claims/", "reports/"))]
    assert {key.split("/")[1] for key in documents} > {"runs", "validation", "train_V1.json"}
    for key in documents:
        assert members(json.loads(bucket.get(key).body)) == set(names["members"][document_pattern(key)]["members"]), key


class Visitors:
    """Writes to the prediction log what visitors asked production for an hour ago."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._number = engine, 0
        self._at = datetime.now(UTC) - timedelta(hours=1)

    def ask(self, homes: list[dict[str, Any]], price: float | None = None, **changes: Any) -> None:
        """Log an estimate for each home, of a visitor each; with a price, each reports it."""
        rows = []
        for inputs in homes:
            self._number += 1
            rows.append({
                "id": self._number, "ts": self._at, "request_id": "r", "visitor": f"visitor{self._number}",
                "assigned_variant": "production", "served_variant": "production", "fallback": False, "bundle": "BO0",
                "epoch": 1, "inputs": inputs, "estimate": 50.0, "interval_low": 40.0, "interval_high": 60.0,
                "milliseconds": 2.0, **changes,
            })  # fmt: skip
        told = [
            {"prediction_id": row["id"], "visitor": row["visitor"], "verified": True, "feedback_type": "actual_price",
             "feedback_value": price, "ts": row["ts"]}
            for row in rows
        ]  # fmt: skip
        with self._engine.begin() as connection:
            connection.execute(insert(prediction_logs), rows)
            if price is not None:
                connection.execute(insert(user_feedback), told)


@pytest.fixture
def visitors(engine: Engine) -> Iterator[Visitors]:
    """The visitors of a site, whose log is empty again at the end."""
    yield Visitors(engine)
    with engine.begin() as connection:
        for table in (prediction_logs, user_feedback):
            connection.execute(delete(table))


def test_a_candidate_that_disagrees_on_what_visitors_asked_is_stopped_before_any_of_them(
    bucket: MemoryBucket, mlflow_uri: str, engine: Engine, visitors: Visitors, tmp_path: Path
) -> None:
    first = run(bucket, mlflow_uri, "shadow:1")
    assert first.shadow_candidate({"kind": "BO"})["stopped"] is None
    first.publish_bundle(train(first))
    policy = tmp_path / "strict.yaml"
    policy.write_text("rule: sequential\nname: strict\nshadow: {least_homes: 200, factor: 1.05}\n")
    database = database_variables(engine)
    second = run(bucket, mlflow_uri, "shadow:2", HOMEPRICES_POLICY=str(policy), **database)
    draft = train(second)
    few = through_json(second.shadow_candidate(draft))
    assert (few["production"], few["stopped"]) == ("BO1", None) and "Visitors asked for 0 homes" in few["sentence"]

    holdout = datasets.prepared(bucket, bundle_reader.read_manifest(bucket, "BO1").dataset).holdout
    asked = [home.model_dump(exclude_none=True) for home in to_homes(holdout, form=True)][:250]
    odd = {"total_sqft": 99_999, "location": "<script>alert(1)</script>", "bhk": 1, "bath": 1}
    visitors.ask(asked[:40], price=80.0)
    visitors.ask(asked[40:])
    visitors.ask([odd] * 300, visitor="bot")
    visitors.ask([{**odd, "total_sqft": area} for area in range(90_000, 90_100)], visitor="bot")
    visitors.ask([odd] * 300, assigned_variant=None)  # a batch, or a program
    visitors.ask([odd] * 300, returning_visitor=False)
    visitors.ask([odd] * 300, served_variant="candidate")
    visitors.ask([odd] * 300, ts=datetime.now(UTC) - timedelta(days=8))
    visitors.ask([{**odd, "bhk": "two"}, {"home": 1}, {**odd, "location": "x" * 3_000}])  # by hand
    usual = tmp_path / "usual.yaml"
    usual.write_text("rule: sequential\nname: usual\nshadow: {least_homes: 200, share: 0.03}\n")
    sound = run(bucket, mlflow_uri, "shadow:2", HOMEPRICES_POLICY=str(usual), **database)
    shadowed = through_json(sound.shadow_candidate(draft))
    assert shadowed["stopped"] is None and "so the trial may begin" in shadowed["sentence"], shadowed
    assert sound._rejection_reason(draft, shadowed) is None
    before = {**shadowed, "production": "BO0"}
    assert "stopped in shadow" in str(second._rejection_reason(draft, before)), "compared again after a promotion"
    shadowed = through_json(second.shadow_candidate(draft))
    assert shadowed["sentence"].startswith("The candidate is stopped before any visitor: it differs from BO1 by more")
    assert "than a factor of 1.05 on" in shadowed["sentence"]
    assert "of 253 homes that visitors asked for" in shadowed["sentence"], "250 visitors, and 3 homes of the one"
    assert run_notes.shadowed(shadowed) == shadowed["sentence"]
    published = [second.publish_bundle(draft, shadowed) for _ in range(2)][-1]
    assert published["version"] is None and published["reason"].startswith("stopped in shadow: it differs from BO1")
    assert run_notes.publication(published).startswith("nothing published: stopped in shadow")
    page = published["reason"].rpartition(" (/operations/shadow/")[2].rstrip(")")
    text = StoredPages(bucket).shadow(page).decode()
    assert "40 visitors reported one. The mean error of BO1 is" in text and "<script" not in text
    keys = [entry.key for entry in bucket.list("")]
    assert not [key for key in keys if key.startswith(("claims/CO", "staging/", "models/price_check_CO"))]
    assert {key_pattern(key) for key in keys} <= set(pinned("stored_names.json")["keys"])
    report = json.loads(bucket.get(f"reports/shadow/{page}.json").body)
    assert report["logged"] == 254 and report["found"]["farthest"][0]["first"] > 0
    [found] = search(mlflow_uri, "tags.`homeprices.key` = 'shadow:2'")
    query = {"run_id": found["info"]["run_id"], "path": "shadow"}
    listed = httpx.get(f"{mlflow_uri}/api/2.0/mlflow/artifacts/list", params=query, timeout=20).json()
    assert {file["path"] for file in listed["files"]} == {"shadow/shadow.html", "shadow/shadow.json"}
