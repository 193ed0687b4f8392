"""A candidate that wins in some places is production there: evidence, promotion, bake window, revert and drift."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from homeprices.adapters import database
from homeprices.drift import live_comparison
from homeprices.experiment import decision_log, policies
from homeprices.experiment.collection import Rescorer
from homeprices.experiment.decision_log import replay
from homeprices.registry import bundle_publisher, regional_record
from homeprices.release import control_record, promotion
from homeprices.resources import Resources
from homeprices.workflows import manual_actions
from homeprices.workflows.auto_revert import PostPromotionAnalysis
from homeprices.workflows.status import experiment_status, release_status
from monitoring.operations.database_parts import DatabaseParts
from tests.support.bundles import make_draft, price
from tests.support.fake_servers import Hook
from tests.support.faulty_bucket import DyingBucket, Killed
from tests.support.trial import NOW, Trial, copy_of

MIXED = (2.0, 3.0, 4.0, 5.0, 4.0)
PLACES = ("whitefield",)
HOME = {"total_sqft": 1200.0, "location": "Whitefield", "bhk": 2, "bath": 2}


@pytest.fixture
def trial(engine: Engine, tmp_path: Path, hook: Hook) -> Iterator[Trial]:
    """BO1 in production, CO1 on trial in Whitefield."""
    made = Trial(engine, tmp_path, SLACK_WEBHOOK_URL=hook.url, HOMEPRICES_POLICY="demo")
    began = NOW - timedelta(hours=5)
    made.begin(began)
    control_record.set_share(made.bucket, 20, "tests", places=PLACES, clock=lambda: began)
    yield made
    made.close()


def won(trial: Trial) -> datetime:
    """The candidate wins and is promoted for its places; return when."""
    trial.visits("production", 400, [2.0, 3.0, 4.0])
    trial.visits("candidate", 100, [4.0, 5.0, 4.0])
    look = trial.evaluation("run1", policy="demo")
    assert look.promote(look.decide(look.collect_evidence()))["result_version"] == "RO1"
    with database.transaction(trial.engine) as connection:
        decided = decision_log.promotion_to(connection, "RO1")
    assert decided is not None
    return decided.ts


def watch(trial: Trial, now: datetime) -> str:
    return PostPromotionAnalysis(trial.resources, policies.load("sequential"), clock=lambda: now).run()


def in_whitefield(
    trial: Trial, count: int, stars: object, ts: datetime, bundle: str, place: str = "Whitefield"
) -> None:
    trial.visits("production", count, stars, ts=ts, bundle=bundle, inputs={**HOME, "location": place})  # type: ignore[arg-type]


def test_a_trial_in_some_places_counts_its_epoch_only_and_promotes_there(trial: Trial, hook: Hook) -> None:
    trial.visits("production", 50, 5.0, epoch=None)  # homes in other places, as the router assigns them
    trial.visits("production", 400, [2.0, 3.0, 4.0])
    trial.visits("candidate", 100, [4.0, 5.0, 4.0])
    look = trial.evaluation("run1", policy="demo")
    collected = look.collect_evidence()
    assert (collected["evidence"]["places"], collected["evidence"]["regional"]) == (["whitefield"], [])
    assert collected["evidence"]["production"]["visitors"] == 400
    assert "places       1: whitefield" in experiment_status(trial.resources, clock=lambda: NOW)
    decided = look.decide(collected)
    assert (decided["outcome"], decided["ends"]) == ("promote", True)
    assert "It holds for the one place of the trial, and no other." in decided["reason"]
    assert look.promote(decided)["result_version"] == "RO1"
    assert regional_record.read(trial.bucket).version_by_place == {"whitefield": "RO1"}
    assert "CO1 is promoted: production is RO1 now in one place" in str(hook.posts[-1]["text"])
    assert "; RO1 since " in experiment_status(trial.resources)
    assert "regional     RO1 since " in release_status(trial.resources)
    with database.transaction(trial.engine) as connection:
        recorded = decision_log.find(connection, "run1")
    assert recorded is not None and "comes out the same: promote" in replay(trial.resources, recorded.id)


def test_a_trial_beside_a_regional_bundle_counts_what_production_serves(trial: Trial, tmp_path: Path) -> None:
    won(trial)
    bundle_publisher.stage(trial.bucket, "two", make_draft(tmp_path / "two", 1.2))
    assert bundle_publisher.publish(trial.bucket, "two", "CO") == "CO2"
    began = NOW + timedelta(hours=1)
    control_record.start_experiment(trial.bucket, "BO1", "CO2", 20.0, "tests", clock=lambda: began)
    at = NOW + timedelta(hours=2)
    trial.visits("production", 30, ts=at)
    trial.visits("production", 20, ts=at, bundle="RO1")
    trial.visits("production", 7, ts=at, bundle="RO9")
    trial.visits("candidate", 40, ts=at, bundle="CO2")
    trial.visits("candidate", 2, ts=at, bundle="RO1", fallback=True, served_variant="production")
    found = trial.evaluation("run2", NOW + timedelta(hours=3)).collect_evidence()["evidence"]
    assert (found["production"]["visitors"], found["candidate"]["visitors"]) == (50, 42)
    assert (found["candidate"]["errors"], found["left_out"]["other_bundle"]) == (2, 7)
    assert found["regional"] == ["RO1"]


def test_logged_homes_are_priced_as_production_prices_them(trial: Trial) -> None:
    homes = [HOME, {**HOME, "location": "Hebbal"}]
    score = Rescorer(trial.bucket)
    general = [estimate.price for estimate in score("BO1", homes) if estimate]
    won(trial)
    east, elsewhere = (estimate.price for estimate in score("BO1", homes) if estimate)
    assert east == pytest.approx(price(1200, "Whitefield", 2, 1.1))
    assert elsewhere == general[1]
    assert general[0] == pytest.approx(price(1200, "Whitefield", 2, 1.0))


@pytest.mark.parametrize("before", [timedelta(days=7), timedelta(days=1)])
def test_harm_in_its_places_takes_a_regional_bundle_back(trial: Trial, hook: Hook, before: timedelta) -> None:
    at = won(trial)
    later = at + timedelta(hours=1)
    in_whitefield(trial, 120, MIXED, later - before, "BO1", " WHITEFIELD ")
    in_whitefield(trial, 500, [1.0], later - before, "BO1", "Hebbal")  # elsewhere, where all was bad before
    in_whitefield(trial, 120, [1.0, 2.0], later, "RO1")
    said = watch(trial, at + timedelta(hours=2))
    assert "RO1 is taken back: its places get what they had before. RO1 does harm: it is rated 2.10" in said
    assert regional_record.read(trial.bucket).versions == ()
    assert trial.decisions()[-1] == ("bake:RO1", "revert", "BO1")
    assert promotion.rejected_bundles(trial.bucket) == ["RO1"]
    assert "RO1" not in watch(trial, at + timedelta(hours=3))
    assert len(hook.posts) == 2
    with database.transaction(trial.engine) as connection:
        decided = decision_log.find(connection, "bake:RO1")
    assert decided is not None and "comes out the same: revert" in replay(trial.resources, decided.id)


def test_bad_ratings_elsewhere_take_no_regional_bundle_back(trial: Trial) -> None:
    at = won(trial)
    later = at + timedelta(hours=1)
    in_whitefield(trial, 120, MIXED, later - timedelta(days=7), "BO1")
    in_whitefield(trial, 120, MIXED, later, "RO1")
    in_whitefield(trial, 500, [1.0], later, "BO1", "Hebbal")
    assert "RO1 shows no harm so far" in watch(trial, at + timedelta(hours=2))
    assert regional_record.read(trial.bucket).versions == ("RO1",)
    assert "RO1 has passed its bake window." in watch(trial, at + timedelta(hours=25))


def test_a_watch_that_is_killed_after_any_step_takes_back_once(trial: Trial, hook: Hook) -> None:
    at = won(trial)
    later = at + timedelta(hours=1)
    in_whitefield(trial, 120, MIXED, later - timedelta(days=7), "BO1")
    in_whitefield(trial, 120, [1.0, 2.0], later, "RO1")
    start, now = copy_of(trial.bucket), at + timedelta(hours=2)
    for operations in range(200):
        trial.begin_again_from(start)
        with trial.engine.begin() as connection:
            decision_log.record_result(connection, "run1", "RO1")
        hook.posts.clear()
        dying = DyingBucket(trial.bucket, operations)
        try:
            PostPromotionAnalysis(
                Resources(trial.settings, dying), policies.load("sequential"), clock=lambda: now
            ).run()
        except Killed:
            watch(trial, now)
            assert regional_record.read(trial.bucket).versions == (), operations
            with database.transaction(trial.engine) as connection:
                decided = decision_log.find(connection, "bake:RO1")
            assert decided is not None and decided.result_version == "BO1", operations
            assert len(hook.posts) == 1, operations
            continue
        assert operations > 5
        return
    pytest.fail("it never came to its end")


def test_what_a_person_holds_or_has_skipped_is_not_watched(trial: Trial) -> None:
    at = won(trial)
    manual_actions.hold(trial.resources, "RO1", "person:asha", "a holiday")
    assert "RO1 is held by person:asha" in watch(trial, at + timedelta(hours=2))
    manual_actions.resume(trial.resources, "person:asha", "it is over")
    manual_actions.skip(trial.resources, "RO1", "person:asha", "it is known")
    assert "RO1 is not watched: person:asha has skipped its bake window" in watch(trial, at + timedelta(hours=2))


def test_a_person_promotes_for_the_places_of_the_trial_and_takes_back(trial: Trial) -> None:
    report = manual_actions.promote(trial.resources, None, "person:asha", "it is better there", regional=True)
    assert report.done == ["CO1 is in production as RO1 in one place."]
    report = manual_actions.revert(trial.resources, "RO1", "person:asha", "it is not")
    assert report.done == ["RO1 is taken back; its places get what they had before."]
    assert [row[1:] for row in trial.decisions()] == [("promote", "RO1"), ("revert", "BO1")]
    assert control_record.read(trial.bucket).production == "BO1"
    assert DatabaseParts(trial.engine).decisions()["published"].keys() == {"RO1"}


def test_visitors_of_a_region_belong_to_productions_traffic(trial: Trial) -> None:
    trial.visits("production", 3, bundle="BO1", inputs=HOME)
    trial.visits("production", 2, bundle="RO1", inputs=HOME)
    window = {"since": NOW - timedelta(days=1), "until": NOW}
    with database.transaction(trial.engine) as connection:
        alone = live_comparison.visits(connection, "production", "BO1", **window)  # type: ignore[arg-type]
        both = live_comparison.visits(connection, "production", "BO1", **window, regional=("RO1",))  # type: ignore[arg-type]
    assert (len(alone), len(both)) == (3, 5)
