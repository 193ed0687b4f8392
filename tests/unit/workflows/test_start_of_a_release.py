"""The last steps of a training run: what is published is recorded once every replica serves it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from homeprices.adapters.object_store import MemoryBucket
from homeprices.errors import DatabaseUnavailable, HomePricesError
from homeprices.experiment import decision_log, exposures
from homeprices.registry import bundle_publisher
from homeprices.release import control_record
from homeprices.release.trial_levels import TrialLevel
from homeprices.resources import Resources
from homeprices.settings import load_settings
from homeprices.workflows.candidates import rollout
from homeprices.workflows.train_and_publish import TrainingRun
from tests.support.bundles import make_draft
from tests.support.fake_servers import Hook, webhook
from tests.support.trial import Replica

PUBLISHED = {"kind": "BO", "version": "BO1", "reason": "the first model"}


@dataclasses.dataclass
class Site:
    """A bucket with two published bundles, a replica of each, and a webhook."""

    bucket: MemoryBucket
    replicas: tuple[Replica, Replica]
    hook: Hook

    def run(self, timeout_seconds: float = 60, policy: str = "demo") -> TrainingRun:
        production, candidate = (replica.url for replica in self.replicas)
        variables = {
            "HOMEPRICES_PRODUCTION_URLS": production,
            "HOMEPRICES_CANDIDATE_URLS": candidate,
            "HOMEPRICES_REPLICA_TIMEOUT_SECONDS": str(timeout_seconds),
            "SLACK_WEBHOOK_URL": self.hook.url,
            "MLFLOW_TRACKING_URI": production,
            "HOMEPRICES_POLICY": policy,
        }
        return TrainingRun(Resources(load_settings(variables, ()), self.bucket), "run1")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site whose replicas serve what is published."""
    bucket = MemoryBucket()
    for kind in ("BO", "CO"):
        bundle_publisher.stage(bucket, kind, make_draft(tmp_path / kind))
        bundle_publisher.publish(bucket, kind, kind)
    replicas = Replica(bucket, "BO"), Replica(bucket, "CO")
    with webhook() as hook:
        yield Site(bucket, replicas, hook)
    for replica in replicas:
        replica.shutdown()
        replica.server_close()


def test_production_is_recorded_once_it_is_served(site: Site) -> None:
    assert site.run().wait_for_production(PUBLISHED) == "BO1"
    record = control_record.read(site.bucket)
    assert (record.state, record.production, record.candidate) == ("idle", "BO1", None)
    assert [post["text"].splitlines()[0].strip("*") for post in site.hook.posts] == ["BO1 is in production"]


def test_an_experiment_starts_once_the_candidate_is_served(site: Site) -> None:
    site.run().wait_for_production(PUBLISHED)
    assert site.run().start_experiment({"kind": "CO", "version": "CO1", "reason": "it is better"}) == "CO1"
    record = control_record.read(site.bucket)
    assert (record.state, record.production, record.candidate, record.share) == ("running", "BO1", "CO1", 20.0)
    assert site.hook.posts[-1]["text"].startswith("*CO1 is on trial against BO1*")


@pytest.mark.parametrize("number", [0, 1])
def test_what_no_replica_serves_is_not_recorded(site: Site, number: int) -> None:
    site.replicas[number].held_back = True
    run = site.run(timeout_seconds=0.3)
    with pytest.raises(HomePricesError, match="BO1" if number == 0 else "CO1"):
        if number == 0:
            run.wait_for_production(PUBLISHED)
        else:
            run.start_experiment({"kind": "CO", "version": "CO1", "reason": "it is better"})
    assert control_record.read(site.bucket).state == "idle" and site.hook.posts == []
    assert control_record.read(site.bucket).production is None


def test_a_trial_with_a_level_starts_only_with_the_decision_log_and_asks_it_for_the_policy_that_is_set(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def recorded(connection: object, since: datetime) -> list[TrialLevel]:
        return [TrialLevel(experiment="BO1-CO7", since=since + timedelta(days=300), level=0.04)]

    candidate = {"kind": "CO", "version": "CO1", "reason": "it is better"}
    site.run().wait_for_production(PUBLISHED)
    with pytest.raises(DatabaseUnavailable):
        site.run(policy="sequential").start_experiment(candidate)
    assert control_record.read(site.bucket).state == "idle"
    for module in (decision_log, rollout):
        monkeypatch.setattr(module, "transaction", lambda engine: nullcontext())
    monkeypatch.setattr(exposures, "requests_a_day", lambda connection, until: 1000.0)
    monkeypatch.setattr(decision_log, "recorded_levels", recorded)
    site.run(policy="sequential").start_experiment(candidate)
    record = control_record.read(site.bucket)
    assert record.level == pytest.approx(0.06 / 25)
    assert (record.phase, record.share) == ("ramp", 5)
    assert site.hook.posts[-1]["text"].startswith("*CO1 begins its ramp with 5 % of the visitors against BO1*")
