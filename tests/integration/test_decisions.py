"""Decisions by the sequential rule on a real database: evidence, record, replay, page, watch, orders, notices."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from homeprices.adapters import database
from homeprices.adapters.notifications import Notification
from homeprices.cli import main
from homeprices.errors import Conflict, InvalidInput, NotFound
from homeprices.experiment import decision_log, decision_report, policies
from homeprices.experiment.decision_log import replay
from homeprices.experiment.evidence import Evidence
from homeprices.experiment.policies.year import YearRule
from homeprices.predictions import drift_reports
from homeprices.predictions.identifiers import hashed_testers
from homeprices.registry import bundle_publisher, bundle_reader
from homeprices.release import control_record, experiment_record, holds, promotion
from homeprices.release.traffic_counts import SLOT_SECONDS, DailyTrafficCounts, bucket_start, day_of
from homeprices.resources import Resources
from homeprices.workflows import manual_actions
from homeprices.workflows.auto_revert import PostPromotionAnalysis
from homeprices.workflows.evaluate_experiment import Evaluation
from homeprices.workflows.notify_once import notify_once
from homeprices.workflows.status import experiment_status
from monitoring.exporter.database_collector import DatabaseCollector
from monitoring.operations.database_parts import DatabaseParts
from tests.support.bundles import make_draft, price
from tests.support.fake_servers import Hook
from tests.support.faulty_bucket import DyingBucket, Killed
from tests.support.trial import NOW, Trial, copy_of, database_settings, database_variables

HOME = {"total_sqft": 1200.0, "location": "Whitefield", "bhk": 2, "bath": 2}
MIXED = (2.0, 3.0, 4.0, 5.0, 4.0)


@pytest.fixture
def trial(engine: Engine, tmp_path: Path, hook: Hook) -> Iterator[Trial]:
    """A production and a candidate on trial."""
    made = Trial(engine, tmp_path, SLACK_WEBHOOK_URL=hook.url, HOMEPRICES_TESTERS="tester", HOMEPRICES_POLICY="demo")
    made.begin()
    yield made
    made.close()


def look(trial: Trial, run: str = "run1", now: datetime = NOW) -> dict[str, Any]:
    evaluation = trial.evaluation(run, now, "demo")
    return evaluation.decide(evaluation.collect_evidence())


def evidence(trial: Trial, now: datetime = NOW) -> Evidence:
    return Evidence.model_validate(trial.evaluation("run", now, "demo").collect_evidence()["evidence"])


def better(trial: Trial) -> None:
    trial.visits("production", 400, [2.0, 3.0, 4.0])
    trial.visits("candidate", 100, [4.0, 5.0, 4.0])


def titles(hook: Hook) -> list[str]:
    return [str(post["text"]).splitlines()[0].strip("*") for post in hook.posts]


def test_one_opinion_a_visitor_and_estimate_counts_and_stars_before_quick_feedback(trial: Trial) -> None:
    [one, two] = trial.visits("candidate", 2, visitor="v")
    first = {"id": one, "visitor": "v", "ts": NOW - timedelta(hours=1)}
    trial.say(first, "accurate", None)
    trial.say(first, "rating", 3.0)
    trial.say({**first, "id": two}, "too_low", None)
    seen = evidence(trial)
    assert (seen.candidate.ratings, seen.candidate.mean_rating, seen.candidate.rated_visitors) == (2, 2.5, 1)
    assert seen.candidate.quick_feedback == {"accurate": 0, "too_high": 0, "too_low": 1}
    assert seen.strata[0].ratings[1].mean == 2.5


def test_what_does_not_count_is_left_out_and_counted(trial: Trial) -> None:
    trial.visits("production", 3, 4.0)
    trial.visits("production", 1, 1.0, visitor=None)
    trial.visits("production", 201, visitor="bot")
    [tester] = hashed_testers(trial.settings)
    trial.visits("candidate", 1, 1.0, visitor=tester)
    trial.visits("candidate", 2, 4.0, bundle="CO9")
    trial.visits("production", 1, visitor="moved", epoch=1)
    trial.visits("candidate", 1, visitor="moved", epoch=1)
    [late] = trial.visits("candidate", 1, visitor="c")
    opinion = {"id": late, "visitor": "c", "ts": NOW - timedelta(minutes=5)}
    trial.say(opinion, "rating", 1.0, ts=NOW + timedelta(minutes=1))
    trial.say(opinion, "accurate", None, visitor="somebody", verified=False)
    seen = evidence(trial)
    assert {name: count for name, count in seen.left_out.items() if count} == {
        "testers": 1, "bots": 1, "moved": 1, "anonymous": 1, "other_bundle": 2, "of_another_visitor": 1, "late": 1,
    }  # fmt: skip
    assert (seen.production.visitors, seen.candidate.visitors, seen.candidate.ratings) == (3, 1, 0)
    assert seen.strata[0].assigned == (4, 1), "the moved one was assigned to production first"


def test_a_client_that_never_sends_its_cookie_back_is_nobody(trial: Trial) -> None:
    trial.visits("production", 3, 4.0, returning_visitor=True)
    before = evidence(trial)
    trial.visits("candidate", 20, 1.0, returning_visitor=False)  # as a router of before this rule assigned them
    trial.visits("production", 10, assigned_variant=None, visitor=None, returning_visitor=False)
    [first] = trial.visits("production", 1, visitor="later", assigned_variant=None, returning_visitor=False)
    trial.say({"id": first, "visitor": "later", "ts": NOW}, "actual_price", 99.0, returning_visitor=True)
    seen = evidence(trial)
    assert {name: count for name, count in seen.left_out.items() if count} == {
        "no_cookie": 31, "feedback_no_cookie": 21,
    }  # fmt: skip
    assert seen.model_dump(exclude={"left_out"}) == before.model_dump(exclude={"left_out"})


def test_170_browsers_of_one_address_have_few_voices_and_decide_nothing(trial: Trial) -> None:
    """Their cookies come from one network, within three minutes; the honest are of networks of their own."""
    for place in range(120):
        trial.visits("production", 1, 3.0 + place % 3, network=f"p{place}")
        trial.visits("candidate", 1, 3.0 + place % 3, network=f"c{place}") if place < 30 else None
    for place in range(170):
        ts = NOW - timedelta(minutes=30) + timedelta(seconds=place)
        trial.visits("candidate", 1, 5.0, network="attacker", ts=ts)
    seen = evidence(trial)
    assert (seen.candidate.visitors, seen.candidate.rated_visitors, seen.production.rated_visitors) == (31, 31, 120)
    assert {name: count for name, count in seen.left_out.items() if count} == {
        "visitors_of_a_network_beyond_day": 70,
        "visitors_of_a_network_beyond_share": 99,
    }
    assert "99 visitors of a network beyond share" in experiment_status(trial.resources)
    assert {left.network for left in seen.without if left.voices == 1} >= {"attacker"}
    assert look(trial)["outcome"] == "continue"


def test_a_visitor_is_of_the_network_of_the_first_exposure(trial: Trial) -> None:
    trial.visits("candidate", 1, 4.0, visitor="v", network="home", ts=NOW - timedelta(hours=3))
    trial.visits("candidate", 1, 2.0, visitor="v", network="office", ts=NOW - timedelta(hours=2))
    trial.visits("production", 1, 3.0, network="elsewhere")
    assert {left.network for left in evidence(trial).without} == {"home", "elsewhere"}


def test_a_fallback_is_an_error_of_the_candidate_and_slow_answers_are_counted(trial: Trial) -> None:
    trial.visits("production", 450, milliseconds=10.0)
    trial.visits("candidate", 60)
    trial.visits("candidate", 40, 5.0, fallback=True, served_variant="production", bundle="BO1")
    trial.visits("candidate", 10, milliseconds=250.0)
    trial.visits("candidate", 1, milliseconds=float("nan"))
    seen = evidence(trial)
    assert (seen.errors.hits, seen.errors.trials, seen.candidate.ratings) == (40, 111, 0)
    assert seen.left_out["ratings_of_fallbacks"] == 40
    assert (seen.slow_over_ms, seen.slow.hits) == (100.0, 10)
    assert look(trial)["outcome"] == "rollback"


def test_both_models_are_scored_on_the_homes_whose_price_is_told(trial: Trial) -> None:
    told = price(1200, "Whitefield", 2, 1.1)
    for number in trial.visits("production", 60, inputs=HOME, estimate=price(1200, "Whitefield", 2)):
        exposure = {"id": number, "visitor": f"production{number}", "ts": NOW - timedelta(hours=1)}
        trial.say(exposure, "actual_price", told)
    [odd] = trial.visits("candidate", 1, inputs={"total_sqft": -1})
    trial.say({"id": odd, "visitor": f"candidate{odd}", "ts": NOW - timedelta(hours=1)}, "actual_price", 100.0)
    seen = evidence(trial)
    assert seen.paired.difference.n == 60
    assert seen.paired.difference.mean == pytest.approx(-0.1 / 1.1, rel=1e-4), "the candidate is right"
    assert (seen.paired.candidate_error, seen.paired.unpriced) == pytest.approx((0, 1), abs=1e-5)
    assert seen.production.ratings == 0


def test_a_decision_is_on_record_with_its_policy_and_comes_out_the_same_to_the_bit(trial: Trial) -> None:
    better(trial)
    decided = look(trial)
    assert decided["outcome"] == "promote"
    assert decided["policy_document"] == policies.document_of(policies.load("demo"))
    assert decided["software"] == {"git_revision": "unknown"}
    assert f"Decision {decided['id']} comes out the same: promote" in replay(trial.resources, decided["id"])


def test_the_command_computes_a_decision_again(
    trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    decided = look(trial)
    monkeypatch.chdir(tmp_path)
    for name, value in database_variables(trial.engine).items():
        monkeypatch.setenv(name, value)
    assert main(["experiment", "replay", str(decided["id"])]) == 0
    assert f"Decision {decided['id']} comes out the same: continue" in capsys.readouterr().out
    assert main(["experiment", "replay", "987654"]) == 1
    assert "no decision 987654 is on record" in capsys.readouterr().err


def test_a_record_that_does_not_come_out_the_same_is_told_apart(trial: Trial, engine: Engine) -> None:
    better(trial)
    decided = look(trial)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE ab_decisions DISABLE TRIGGER USER"))
        connection.execute(
            text("UPDATE ab_decisions SET statistics = jsonb_set(statistics, '{lower}', '0.5') WHERE id = :id"),
            {"id": decided["id"]},
        )
        connection.execute(text("ALTER TABLE ab_decisions ENABLE TRIGGER USER"))
    with pytest.raises(Conflict, match="comes out otherwise in its statistics"):
        replay(trial.resources, decided["id"])
    with pytest.raises(NotFound, match="no decision 987654"):
        replay(trial.resources, 987654)


@pytest.mark.parametrize(
    "change", ["UPDATE ab_decisions SET outcome = 'promote'", "DELETE FROM ab_decisions", "TRUNCATE ab_decisions"]
)
def test_the_record_is_append_only(trial: Trial, engine: Engine, change: str) -> None:
    look(trial)
    with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
        connection.execute(text(change))
    assert [outcome for _, outcome, _ in trial.decisions()] == ["continue"]


def test_a_result_is_noted_once(trial: Trial, engine: Engine) -> None:
    better(trial)
    look(trial)
    with engine.begin() as connection:
        decision_log.record_result(connection, "run1", "BO2")
        decision_log.record_result(connection, "run1", "BO3")
        found = decision_log.find(connection, "run1")
    assert found is not None and found.result_version == "BO2"


def note_drift(trial: Trial, bundle: str, sentence: str, now: datetime) -> None:
    """Store a drift report on the last day of a bundle, as the hourly evaluation does."""
    summary = {"run": f"{bundle} {now}", "overall_drift_detected": bool(sentence), "sentence": sentence}
    report = drift_reports.Report("production", bundle, now - timedelta(hours=24), now, 100, summary)
    with trial.engine.begin() as connection:
        drift_reports.store(connection, report)
        newest = text("UPDATE drift_reports SET ts = :now WHERE summary ->> 'run' = :run")
        connection.execute(newest, {"now": now, "run": summary["run"]})


def test_drift_goes_from_its_report_into_the_evidence_the_decision_and_the_record(trial: Trial, tmp_path: Path) -> None:
    """What a policy does about it: note it in the reason, or let the promotion wait until it is over."""
    waits = tmp_path / "waits.yaml"
    waits.write_text("rule: sequential\nname: waits\nleast_duration: P0D\nburst: null\ndrift: wait\n")
    better(trial)
    note_drift(trial, "BO9", "Another bundle's area has changed.", NOW)
    note_drift(trial, "BO1", "The area has changed.", NOW - timedelta(hours=1))
    patient = trial.evaluation("run1", NOW, str(waits))
    gathered = patient.collect_evidence()
    assert gathered["evidence"]["drift"] == "BO1: The area has changed."
    waiting = patient.decide(gathered)
    assert (waiting["outcome"], waiting["policy"]) == ("continue", "waits")
    assert "the promotion waits because of drift (BO1: The area has changed.)" in waiting["reason"]
    assert waiting["evidence"]["drift"] == "BO1: The area has changed."
    assert "drift        BO1: The area has changed." in experiment_status(trial.resources, clock=lambda: NOW)
    noting = look(trial, "run2")
    assert noting["outcome"] == "promote" and "this policy notes: BO1: The area has changed." in noting["reason"]
    for decided in (waiting, noting):
        assert "comes out the same" in replay(trial.resources, decided["id"])


def test_a_line_of_the_status_can_be_read_however_much_has_drifted(trial: Trial) -> None:
    better(trial)
    note_drift(trial, "BO1", "The area has changed. " * 120, NOW - timedelta(hours=1))
    lines = experiment_status(trial.resources, clock=lambda: NOW).splitlines()
    [drift] = [line for line in lines if line.startswith("drift")]
    assert drift.endswith(" … (/api/drift_report has the rest)")
    assert max(map(len, lines)) < 700
    assert len(str(look(trial, "run1")["evidence"]["drift"])) > 2_000


def test_a_promotion_waits_no_longer_than_the_drift(trial: Trial, tmp_path: Path) -> None:
    waits = tmp_path / "waits.yaml"
    waits.write_text("rule: sequential\nname: waits\nleast_duration: P0D\nburst: null\ndrift: wait\n")
    better(trial)
    note_drift(trial, "CO1", "The candidate's area has changed.", NOW - timedelta(hours=2))
    patient = trial.evaluation("run1", NOW, str(waits))
    assert patient.decide(patient.collect_evidence())["outcome"] == "continue"
    note_drift(trial, "CO1", "", NOW - timedelta(hours=1))
    later = trial.evaluation("run2", NOW, str(waits))
    assert later.decide(later.collect_evidence())["outcome"] == "promote"


def test_a_broken_split_is_invalid_promotes_nothing_is_told_once_and_ends_when_the_time_is_up(
    trial: Trial, hook: Hook
) -> None:
    trial.visits("production", 900, [2.0, 3.0])
    trial.visits("candidate", 100, 5.0)
    first, second = look(trial), look(trial, "run2", NOW + timedelta(hours=1))
    assert (first["outcome"], first["ends"], second["outcome"]) == ("invalid", False, "invalid")
    assert titles(hook) == ["BO1-CO1 is invalid: nothing is promoted"]
    assert look(trial, "run3", NOW + timedelta(days=14))["ends"] is True


def test_an_inconclusive_experiment_is_rolled_back(trial: Trial, hook: Hook) -> None:
    trial.visits("production", 400, MIXED)
    trial.visits("candidate", 100, MIXED)
    trial.visits("candidate", 1, ts=NOW + timedelta(days=13, hours=20))
    trial.visits("production", 4, ts=NOW + timedelta(days=13, hours=20))
    evaluation = trial.evaluation("run1", NOW + timedelta(days=14), "demo")
    decided = evaluation.decide(evaluation.collect_evidence())
    assert (decided["outcome"], decided["ends"]) == ("inconclusive", True)
    evaluation.roll_back(decided)
    assert bundle_reader.highest(trial.bucket, "CO") is None
    assert promotion.rejected_bundles(trial.bucket) == ["CO1"]
    assert titles(hook) == ["CO1 is rolled back"]


@pytest.mark.parametrize(("policy", "candidates", "mismatch"), [("demo", 300, True), ("composite", 74, False)])
def test_decision_metric_status_and_pages_say_the_same_of_the_split(
    trial: Trial, engine: Engine, policy: str, candidates: int, mismatch: bool
) -> None:
    """Also of a policy that does not test the split, and after visits that no look has seen yet."""
    collector = DatabaseCollector(engine, lambda: control_record.read(trial.bucket))
    names = {f"homeprices_experiment_{name}" for name in ("visitors", "sample_ratio_p_value", "sample_ratio_mismatch")}
    trial.visits("production", 300, [3.0])
    trial.visits("candidate", candidates, [3.0])
    before = {sample.name for sample in collector.collect()} & names
    assert before == {"homeprices_experiment_visitors"}, (
        "visitors are counted now, the split is tested at an interim look"
    )
    evaluation = trial.evaluation("run1", NOW, policy)
    decided = evaluation.decide(evaluation.collect_evidence())
    trial.visits("production", 20)
    manual_actions.hold(trial.resources, "CO1", "person:a", "wait")
    metrics = {sample.name: sample.value for sample in collector.collect() if sample.name in names}
    p_value = metrics["homeprices_experiment_sample_ratio_p_value"]
    assert metrics["homeprices_experiment_sample_ratio_mismatch"] == mismatch == (p_value <= 0.01)
    if policy == "demo":
        assert p_value == math.exp(-decided["statistics"]["sample_ratio_log_evidence"])
        assert decided["outcome"] == "invalid"
    said = f"p = {p_value:.4g} (a mismatch from 0.01 down): {candidates} of {300 + candidates} visitors"
    assert said in trial.bucket.get(decision_report.key_of(decided["id"])).body.decode()
    assert said in str(DatabaseParts(engine).experiment()["look"]["split"])
    status = experiment_status(trial.resources, lambda: NOW).splitlines()
    [of_look] = [line for line in status if line.startswith("split  ")]
    [now] = [line for line in status if line.startswith("split now")]
    assert (said in of_look, said in now, f"of {320 + candidates} visitors" in now) == (True, False, True)


def test_a_trial_has_its_share_of_the_error_of_a_year_whatever_was_restored(trial: Trial, tmp_path: Path) -> None:
    """The first trial by the bucket alone, the next after its control record is lost, then after the database is."""

    def next_trial(number: int, at: datetime) -> experiment_record.ControlRecord:
        bundle_publisher.stage(trial.bucket, f"next{number}", make_draft(tmp_path / str(number), 1.1 + number / 10))
        version = bundle_publisher.publish(trial.bucket, f"next{number}", "CO")
        found = trial.evaluation(f"run{number}", at, "sequential").collect_evidence()
        assert found["evidence"]["level"] == control_record.read(trial.bucket).level
        decided = trial.evaluation(f"run{number}", at, "sequential").decide(found)
        assert decided["statistics"]["level"] == found["evidence"]["level"]
        assert "equal to the bit" in replay(trial.resources, decided["id"])
        page = trial.bucket.get(decision_report.key_of(decided["id"])).body.decode()
        status = experiment_status(resources, lambda: at)
        assert all("% of such trials, and in at most 10 % of years, from 100" in text for text in (page, status))
        record = control_record.read(trial.bucket)
        promotion.roll_back(trial.bucket, version, "tests", "next")
        return record

    airflow = trial.replicas[0].url
    settings = database_settings(trial.engine, HOMEPRICES_POLICY="sequential", HOMEPRICES_AIRFLOW_URL=airflow)
    resources = Resources(settings, trial.bucket)
    promotion.roll_back(trial.bucket, "CO1", "tests", "began without a level")
    shares = [trial.level for trial in next_trial(2, NOW).trials]
    assert shares == [0.1 / 26], "a trial that began without a level has no part"
    trial.bucket.delete(control_record.KEY)
    lost = next_trial(3, NOW + timedelta(days=1))
    assert (lost.level, len(lost.trials)) == (YearRule().level(shares), 1)
    with trial.engine.begin() as connection:
        connection.execute(text("ALTER TABLE ab_decisions DISABLE TRIGGER USER"))
        connection.execute(text("DELETE FROM ab_decisions"))
        connection.execute(text("ALTER TABLE ab_decisions ENABLE TRIGGER USER"))
    again = next_trial(4, NOW + timedelta(days=2))
    assert (again.level, len(again.trials)) == (YearRule().level([float(lost.level or 0)]), 2)
    assert next_trial(5, NOW + timedelta(days=368)).level == 0.1 / 26, "a year later"


def test_the_exporter_tells_by_reason_what_does_not_count(trial: Trial, engine: Engine) -> None:
    collector = DatabaseCollector(engine, lambda: control_record.read(trial.bucket))
    trial.visits("candidate", 105, network="one")
    look(trial)
    left_out = {
        sample.labels["reason"]: sample.value
        for sample in collector.collect()
        if sample.name == "homeprices_experiment_left_out"
    }
    assert (left_out["visitors_of_a_network_beyond_day"], left_out["testers"]) == (5, 0)


def test_a_page_of_each_decision_lies_in_the_bucket(trial: Trial) -> None:
    better(trial)
    decided = look(trial)
    page = trial.bucket.get(decision_report.key_of(decided["id"])).body.decode()
    assert "even the lower bound is above 0" in page and page.count("<svg") == 5


def test_a_page_lies_in_mlflow_where_a_notice_leads_to_it(
    engine: Engine, tmp_path: Path, hook: Hook, mlflow_uri: str
) -> None:
    made = Trial(engine, tmp_path, SLACK_WEBHOOK_URL=hook.url, MLFLOW_TRACKING_URI=mlflow_uri)
    try:
        made.begin()
        made.visits("production", 900, [2.0, 3.0])
        made.visits("candidate", 100, 5.0)
        decided = look(made)
        address = str(hook.posts[0]["text"]).splitlines()[-1].removeprefix("<").partition("|")[0]
        asked = {"run_id": address.rsplit("/", 1)[1].partition("?")[0]}
        api = f"{mlflow_uri}/api/2.0/mlflow"
        listed = httpx.get(f"{api}/artifacts/list", params={**asked, "path": "decisions"}, timeout=30).json()
        run = httpx.get(f"{api}/runs/get", params=asked, timeout=30).json()["run"]
    finally:
        made.close()
    assert [file["path"] for file in listed["files"]] == [f"decisions/{decided['id']}.html"]
    figures = {metric["key"]: metric["value"] for metric in run["data"]["metrics"]}
    assert (figures["candidate.ratings"], figures["candidate.mean_rating"]) == (100, 5.0)
    assert figures["effect_low"] < figures["effect"] < figures["effect_high"]
    assert (decided["outcome"], run["info"]["run_name"]) == ("invalid", "experiment BO1-CO1"), "it goes on"


@pytest.mark.parametrize("outcome", ["promote", "rollback"])
def test_a_release_that_is_killed_after_any_step_ends_with_one_outcome_one_record_and_one_notice(
    trial: Trial, hook: Hook, outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Later than this a second sender takes over, and people may be told twice. A slow machine must not be that late.
    monkeypatch.setattr("homeprices.workflows.notify_once.SENDING_TAKES", timedelta(hours=1))
    if outcome == "promote":
        better(trial)
    else:
        trial.visits("production", 400, [4.0, 5.0, 4.0])
        trial.visits("candidate", 100, [2.0, 3.0, 4.0])
    decided = look(trial)
    assert decided["outcome"] == outcome
    start = copy_of(trial.bucket)
    steps = operations_of(trial, decided)
    assert steps > 20
    # Every step of the end, where people are notified, and each seventh of the copying, which has a separate test.
    for operations in [*range(0, steps - 10, 7), *range(steps - 10, steps + 1)]:
        trial.begin_again_from(start)
        hook.posts.clear()
        dying: Any = DyingBucket(trial.bucket, operations)
        finished = carry_out(Evaluation(Resources(trial.settings, dying), "run1", clock=lambda: NOW), decided)
        assert carry_out(trial.evaluation("run1", NOW, "demo"), decided)
        expected = ["BO1", "BO2"] if outcome == "promote" else ["BO1"]
        assert bundle_reader.published(trial.bucket, "BO") == expected, operations
        assert bundle_reader.highest(trial.bucket, "CO") is None
        assert trial.decisions() == [("run1", outcome, expected[1] if outcome == "promote" else None)], operations
        assert len(hook.posts) == 1, operations
        assert finished == (operations == steps)


def operations_of(trial: Trial, decided: dict[str, Any]) -> int:
    """How many bucket operations a release is."""
    plenty = 1000
    counting: Any = DyingBucket(trial.bucket, plenty)
    assert carry_out(Evaluation(Resources(trial.settings, counting), "run1", clock=lambda: NOW), decided)
    return plenty - int(counting._left)


def carry_out(evaluation: Evaluation, decided: dict[str, Any]) -> bool:
    """Whether it came to its end."""
    try:
        (evaluation.promote if decided["outcome"] == "promote" else evaluation.roll_back)(decided)
    except Killed:
        return False
    return True


def test_two_promotions_at_once_promote_and_tell_once(trial: Trial, hook: Hook) -> None:
    better(trial)
    decided = look(trial)
    runs = [trial.evaluation("run1", NOW, "demo") for _ in range(3)]
    made: list[str] = []
    threads = [threading.Thread(target=lambda e=run: made.append(e.promote(decided)["result_version"])) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == ["BO2"] * 3
    assert bundle_reader.published(trial.bucket, "BO") == ["BO1", "BO2"]
    assert titles(hook) == ["CO1 is promoted: production is BO2 now"]


def promoted(trial: Trial) -> tuple[datetime, str]:
    """A promotion by an evaluation, and when it was."""
    better(trial)
    evaluation = trial.evaluation("run1", NOW, "demo")
    evaluation.promote(evaluation.decide(evaluation.collect_evidence()))
    with database.transaction(trial.engine) as connection:
        decided = decision_log.promotion_to(connection, "BO2")
    assert decided is not None
    return decided.ts, "BO2"


def watch(trial: Trial, now: datetime) -> str:
    return PostPromotionAnalysis(trial.resources, policies.load("sequential"), clock=lambda: now).run()


@pytest.mark.parametrize("before", [timedelta(days=7), timedelta(days=1)])
def test_a_promotion_that_does_harm_is_taken_back_in_its_bake_window(
    trial: Trial, hook: Hook, before: timedelta
) -> None:
    at, version = promoted(trial)
    trial.visits("production", 120, MIXED, ts=at + timedelta(hours=1) - before)
    trial.visits("production", 120, [1.0, 2.0], ts=at + timedelta(hours=1), bundle=version)
    said = watch(trial, at + timedelta(hours=2))
    assert said.startswith("BO2 is taken back: BO1 is in production again, as BO3. BO2 does harm: it is rated 2.10")
    assert ("the same hours a week before" in said) == (before == timedelta(days=7))
    assert bundle_reader.read_manifest(trial.bucket, "BO3").promoted_from == "BO1"
    assert trial.decisions()[-1] == ("bake:BO2", "revert", "BO3")
    assert promotion.rejected_bundles(trial.bucket) == ["BO2"]
    assert "no promotion on record led to it" in watch(trial, at + timedelta(hours=3))
    assert len(titles(hook)) == 2
    with database.transaction(trial.engine) as connection:
        decided = decision_log.find(connection, "bake:BO2")
    assert decided is not None and "comes out the same: revert" in replay(trial.resources, decided.id)


def count_failures(trial: Trial, begin: datetime, *, failed: int) -> None:
    """What a router has counted in an hour: 40 requests in five minutes, so many of which failed."""
    days: dict[date, DailyTrafficCounts] = {}
    for slot in range(bucket_start(begin.timestamp()) + SLOT_SECONDS, int(begin.timestamp()) + 3600, SLOT_SECONDS):
        day = days.setdefault(day_of(slot), DailyTrafficCounts(router="r", day=day_of(slot)))
        day.slots[slot] = {"production": (40, failed)}
    for told in days.values():
        trial.bucket.put(told.key, told.model_dump_json().encode())


@pytest.mark.parametrize(
    ("before", "beside"), [(True, "2.5% did in the same hours a week before"), (False, "2.0% may")]
)
def test_a_promotion_whose_requests_fail_is_taken_back(trial: Trial, hook: Hook, before: bool, beside: str) -> None:
    """Failed requests are in no log of predictions: the routers' counts show them, of a dead service too."""
    at, _ = promoted(trial)
    assert watch(trial, at + timedelta(hours=1)).endswith("how many of its requests failed, no router has told.")
    if before:
        week = at - timedelta(days=7)
        trial.visits("production", 60, ts=week + timedelta(minutes=30))
        count_failures(trial, week, failed=1)
    count_failures(trial, at, failed=10)
    said = watch(trial, at + timedelta(hours=1))
    assert said.startswith(
        "BO2 is taken back: BO1 is in production again, as BO3. BO2 does harm: 25.0% of its requests"
    )
    assert beside in said
    assert trial.decisions()[-1] == ("bake:BO2", "revert", "BO3")
    assert titles(hook)[-1].startswith("BO2 is taken back")
    with database.transaction(trial.engine) as connection:
        decided = decision_log.find(connection, "bake:BO2")
    assert decided is not None and "comes out the same: revert" in replay(trial.resources, decided.id)


def test_as_many_failures_as_in_the_week_before_are_no_harm(trial: Trial) -> None:
    at, _ = promoted(trial)
    week = at - timedelta(days=7)
    trial.visits("production", 60, ts=week + timedelta(minutes=30))
    for begin in (week, at):
        count_failures(trial, begin, failed=10)
    assert watch(trial, at + timedelta(hours=1)) == "BO2 shows no harm so far."


def test_a_revert_whose_run_was_killed_is_carried_out_by_the_next(trial: Trial) -> None:
    at, version = promoted(trial)
    trial.visits("production", 120, milliseconds=2.0, ts=at + timedelta(hours=1) - timedelta(days=1))
    trial.visits("production", 120, milliseconds=900.0, ts=at + timedelta(hours=1), bundle=version)
    trial.replicas[0].held_back = True
    with pytest.raises(Exception, match="serves no model"):
        watch(trial, at + timedelta(hours=2))
    assert trial.decisions()[-1] == ("bake:BO2", "revert", None)
    trial.replicas[0].held_back = False
    assert "BO1 is in production again, as BO3" in watch(trial, at + timedelta(hours=3))
    assert bundle_reader.published(trial.bucket, "BO") == ["BO1", "BO2", "BO3"]
    assert trial.decisions()[-1] == ("bake:BO2", "revert", "BO3")


def harmful(trial: Trial) -> datetime:
    """A promotion whose answers are slow, and when it is looked at."""
    at, version = promoted(trial)
    trial.visits("production", 120, milliseconds=900.0, ts=at + timedelta(hours=1), bundle=version)
    return at + timedelta(hours=2)


def test_a_revert_that_is_killed_after_any_step_ends_with_one_bundle_one_record_and_one_notice(
    trial: Trial, hook: Hook
) -> None:
    now, plenty = harmful(trial), 1000
    start = copy_of(trial.bucket)

    def begin_again() -> None:
        trial.begin_again_from(start)
        with trial.engine.begin() as connection:
            decision_log.record_result(connection, "run1", "BO2")
        hook.posts.clear()

    take_back(trial, trial.bucket, now)  # decides; from here on, every look finds what was decided and not done
    begin_again()
    counting: Any = DyingBucket(trial.bucket, plenty)
    take_back(trial, counting, now)
    steps = plenty - int(counting._left)
    assert steps > 10
    for operations in [*range(0, steps - 6, 4), *range(steps - 6, steps + 1)]:
        begin_again()
        finished = take_back(trial, DyingBucket(trial.bucket, operations), now)
        assert take_back(trial, trial.bucket, now)
        assert bundle_reader.published(trial.bucket, "BO") == ["BO1", "BO2", "BO3"], operations
        assert trial.decisions() == [("run1", "promote", "BO2"), ("bake:BO2", "revert", "BO3")], operations
        assert (len(hook.posts), finished) == (1, operations == steps), operations


def take_back(trial: Trial, bucket: Any, now: datetime) -> bool:
    """Whether the look came to its end."""
    try:
        PostPromotionAnalysis(Resources(trial.settings, bucket), policies.load("sequential"), clock=lambda: now).run()
    except Killed:
        return False
    return True


def test_two_watches_at_once_take_back_and_tell_once(trial: Trial, hook: Hook) -> None:
    now = harmful(trial)
    said: list[str] = []
    threads = [threading.Thread(target=lambda: said.append(watch(trial, now))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(said) == 3 and any("BO1 is in production again, as BO3" in each for each in said)
    assert bundle_reader.published(trial.bucket, "BO") == ["BO1", "BO2", "BO3"]
    assert trial.decisions() == [("run1", "promote", "BO2"), ("bake:BO2", "revert", "BO3")]
    assert len([title for title in titles(hook) if title.startswith("BO2 is taken back")]) == 1


def test_a_production_without_harm_or_past_its_window_stays(trial: Trial) -> None:
    at, version = promoted(trial)
    trial.visits("production", 60, MIXED, ts=at + timedelta(hours=1), bundle=version)
    count_failures(trial, at, failed=0)
    assert watch(trial, at + timedelta(hours=2)) == "BO2 shows no harm so far."
    assert watch(trial, at + timedelta(hours=25)) == "BO2 has passed its bake window."


def test_what_a_person_has_promoted_is_not_taken_back(trial: Trial) -> None:
    report = manual_actions.promote(trial.resources, None, "person:ann", "I know better")
    assert report.done == ["CO1 is in production as BO2."]
    with database.transaction(trial.engine) as connection:
        decided = decision_log.promotion_to(connection, "BO2")
    assert decided is not None
    trial.visits("production", 120, milliseconds=900.0, ts=decided.ts + timedelta(hours=1), bundle="BO2")
    assert watch(trial, decided.ts + timedelta(hours=2)) == "BO2 is not watched: person:ann has promoted it."


def test_what_a_person_holds_no_evaluation_ends_and_no_watch_takes_back(trial: Trial, hook: Hook) -> None:
    better(trial)
    evaluation = trial.evaluation("run1", NOW, "demo")
    decided = evaluation.decide(evaluation.collect_evidence())
    assert evaluation.run_manual_action("hold", None, "ann", "a holiday")[0].startswith(
        "CO1 is held by person:ann since"
    )
    with pytest.raises(Conflict, match="CO1 is held by person:ann"):
        evaluation.promote(decided)
    later = trial.evaluation("run2", NOW + timedelta(hours=1), "demo")
    assert "CO1 is held by person:ann" in later.decide(later.collect_evidence())["reason"]
    assert "hold         CO1 is held" in experiment_status(trial.resources, clock=lambda: NOW)
    assert evaluation.run_manual_action("resume", "", "ann", "it is over") == ["CO1 is no longer held."]
    assert later.promote(later.decide(later.collect_evidence()))["result_version"] == "BO2"
    assert [outcome for _, outcome, _ in trial.decisions()] == ["promote", "hold", "resume", "promote"]
    assert len(titles(hook)) == 3
    holds.set_hold(trial.bucket, "BO2", "person:ann", "wait")
    assert "BO2 is held by person:ann" in watch(trial, NOW)


def test_orders_through_the_scheduler_are_carried_out_and_on_record(trial: Trial) -> None:
    evaluation = trial.evaluation("run1", NOW, "demo")
    assert evaluation.run_manual_action("promote", "CO1", "ann", "now")[0] == "CO1 is in production as BO2."
    assert evaluation.run_manual_action("revert", "BO1", "ann", "no")[0] == "BO1 is in production again, as BO3."
    assert [(o, r) for _, o, r in trial.decisions()] == [("promote", "BO2"), ("revert", "BO3")]
    for action, version, reason, says in (
        ("promote", "CO1", " ", "reason: is required"),
        ("revert", "", "no", "version: is required to revert"),
        ("dance", "", "why not", "action: 'dance' is not one of hold, resume"),
    ):
        with pytest.raises(InvalidInput, match=says):
            evaluation.run_manual_action(action, version, "ann", reason)
    assert evaluation.run_manual_action("resume", "", "ann", "x") == ["Nothing was held."]


def test_a_person_changes_the_share_through_the_evaluation(trial: Trial) -> None:
    evaluation = trial.evaluation("run2")
    done = evaluation.run_manual_action("share", None, "ann", "it is slow", 12.5)
    assert done == ["CO1 gets 12.5 % of the visitors from epoch 2 on."]
    record = control_record.read(trial.bucket)
    assert (record.share, record.updated_by, record.reason) == (12.5, "person:ann", "it is slow")
    with pytest.raises(InvalidInput, match="share: is required"):
        evaluation.run_manual_action("share", None, "ann", "it is slow")
    with pytest.raises(InvalidInput, match="51"):
        evaluation.run_manual_action("share", None, "ann", "it is slow", 51)
    evaluation.run_manual_action("roll back", "CO1", "ann", "it is slow")
    with pytest.raises(Conflict, match="no experiment is running"):
        evaluation.run_manual_action("share", None, "ann", "it is slow", 0)


def test_a_roll_back_by_a_person_stands(trial: Trial) -> None:
    better(trial)
    evaluation = trial.evaluation("run1", NOW, "demo")
    decided = evaluation.decide(evaluation.collect_evidence())
    assert evaluation.run_manual_action("roll back", "CO1", "ann", "it insults villas")[0].startswith(
        "CO1 is rolled back"
    )
    with pytest.raises(Conflict, match="the decision to roll back it was made first"):
        evaluation.promote(decided)
    assert bundle_reader.published(trial.bucket, "BO") == ["BO1"]


def test_status_says_where_the_experiment_stands_and_what_is_missing(trial: Trial) -> None:
    trial.visits("production", 40, 4.0)
    trial.visits("candidate", 10, 4.0)
    lines = experiment_status(trial.resources, clock=lambda: NOW)
    assert "BO1-CO1 running, 20 % of the visitors, day 0.2 of at most 14 (demo)" in lines
    assert "candidate    CO1: 10 requests of 10 visitors, 0 failed, 2.0 ms, 4.00 stars of 10 ratings" in lines
    assert "20 rated visitors are missing in the smaller variant, which takes 0.4 days at the pace so far" in lines
    trial.visits("candidate", 40, MIXED)
    trial.visits("production", 160, MIXED)
    lines = experiment_status(trial.resources, clock=lambda: NOW)
    assert "the bounds are tightest in 0.2 days, at 500 rated visitors" in lines
    trial.visits("production", 400, MIXED)
    look(trial)
    lines = experiment_status(trial.resources, clock=lambda: NOW)
    assert "as tight as they get" in lines and "last look" in lines
    control_record.end_experiment(trial.bucket, "CO1", "tests", "over", production="BO1")
    assert experiment_status(trial.resources) == "No experiment is running; BO1 is in production."


def test_a_notice_is_told_once_also_by_several_at_once(trial: Trial, hook: Hook) -> None:
    notice = Notification("told", "once")
    threads = [threading.Thread(target=notify_once, args=(trial.resources, "key", notice)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    notify_once(trial.resources, "key", notice)
    assert titles(hook) == ["told"]


def test_a_notice_whose_process_died_is_told_again_but_not_while_another_may_be_telling_it(
    trial: Trial, hook: Hook
) -> None:
    dying: Any = DyingBucket(trial.bucket, 1)
    with pytest.raises(Killed):
        notify_once(Resources(trial.settings, dying), "key", Notification("told", "once"), clock=lambda: NOW)
    notify_once(trial.resources, "key", Notification("told", "once"), clock=lambda: NOW + timedelta(seconds=5))
    assert titles(hook) == ["told"]
    notify_once(trial.resources, "key", Notification("told", "again"), clock=lambda: NOW + timedelta(minutes=1))
    notify_once(trial.resources, "key", Notification("told", "again"), clock=lambda: NOW + timedelta(minutes=9))
    assert titles(hook) == ["told", "told"]


def test_a_candidate_that_is_replaced_mid_hour_takes_nothing_along(trial: Trial, tmp_path: Path) -> None:
    better(trial)
    promotion.roll_back(trial.bucket, "CO1", "tests", "replaced")
    bundle_publisher.stage(trial.bucket, "next", make_draft(tmp_path / "next", 1.2))
    bundle_publisher.publish(trial.bucket, "next", "CO")
    control_record.start_experiment(
        trial.bucket, "BO1", "CO2", 20.0, "tests", clock=lambda: NOW - timedelta(minutes=30)
    )
    trial.visits("candidate", 3, 5.0, bundle="CO2", ts=NOW - timedelta(minutes=5))
    trial.visits("candidate", 4, 1.0, bundle="CO1", ts=NOW - timedelta(minutes=5))
    seen = evidence(trial)
    assert (seen.experiment, seen.candidate.visitors, seen.production.visitors) == ("BO1-CO2", 3, 0)
    assert (seen.candidate.mean_rating, seen.left_out["other_bundle"]) == (5.0, 4)
