"""The state that the stack of revision fc80cdd has left is taken over: migrated, served, drained, decided on, reverted.

`tests/pinned/README.md` tells what is in it. Each test restores it into a database and a bucket of its own.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration.inference.instance import Instance, eventually, running
from tests.support.carried_over import (
    CANDIDATE,
    PRODUCTION,
    SPOOLED_VISITS,
    OldState,
    put_spool,
    restore,
    stored_objects,
)
from tests.support.fake_servers import webhook
from tests.support.servers import Servers
from tests.support.stored import document_pattern, key_pattern, members, pinned, without_gains

NAMES, TABLES = pinned("stored_names.json"), pinned("tables.json")
AWAY = "http://127.0.0.1:1"

_NO_PARTITION = "NOT EXISTS (SELECT FROM pg_class WHERE oid = {table} AND relispartition)"
COLUMNS = f"""
    SELECT table_name, column_name, data_type, is_nullable, is_identity, column_default FROM information_schema.columns
    WHERE table_schema = 'public' AND {_NO_PARTITION.format(table="table_name::regclass")}
    ORDER BY table_name, ordinal_position
"""
CONSTRAINTS = f"""
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND contype <> 'n' AND {_NO_PARTITION.format(table="conrelid")}
    ORDER BY 1, 2
"""
INDEXES = f"""
    SELECT tablename, indexdef FROM pg_indexes
    WHERE schemaname = 'public' AND {_NO_PARTITION.format(table="tablename::regclass")} ORDER BY indexdef
"""
TRIGGERS = "SELECT tgrelid::regclass::text, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 2"
SEQUENCES = "SELECT sequencename, increment_by FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1"
SCHEMA = {"columns": COLUMNS, "constraints": CONSTRAINTS, "indexes": INDEXES, "triggers": TRIGGERS,
          "sequences": SEQUENCES}  # fmt: skip


@pytest.fixture
def restored(servers: Servers) -> Iterator[OldState]:
    """The state as it was left."""
    state = restore(servers, f"carried-over-{secrets.token_hex(4)}")
    yield state
    state.engine.dispose()


@pytest.fixture
def old(restored: OldState) -> OldState:
    """The state, migrated."""
    restored.migrate()
    restored.variables |= {"MLFLOW_TRACKING_URI": AWAY, "HOMEPRICES_AIRFLOW_URL": AWAY}
    return restored


def schema(state: OldState) -> dict[str, list[list[Any]]]:
    return {name: [list(row) for row in state.rows(query)] for name, query in SCHEMA.items()}


def counts(state: OldState) -> dict[str, int]:
    tables = sorted({row[0] for row in state.rows(COLUMNS)} - {"alembic_version"})
    return {table: state.rows(f"SELECT count(*) FROM {table}")[0][0] for table in tables}


@contextmanager
def served(old: OldState, folder: Path) -> Iterator[Instance]:
    """Production under real gunicorn on the state; commands find it."""
    with running(Instance(folder / "state", old.variables)) as instance:
        old.variables["HOMEPRICES_PRODUCTION_URLS"] = f"http://127.0.0.1:{instance.port}"
        eventually(lambda: instance.serves(PRODUCTION), f"{PRODUCTION} is served")
        yield instance


def assert_golden(instance: Instance, old: OldState, version: str) -> None:
    """The instance answers the inputs of a bundle's manifest as the manifest says."""
    golden = old.document(f"models/price_check_{version}/manifest.json")["golden"]
    for home in golden:
        status, answer = instance.post("/api/predict_home_price", home["input"])
        assert (status, answer["model_version"]) == (200, version)
        assert answer["estimated_price"] == pytest.approx(home["estimated_price"], abs=0.0051)
        interval = answer["interval"]
        assert (interval["low"], interval["high"]) == pytest.approx((home["low"], home["high"]), abs=0.0051)
    assert len(golden) > 5


def assert_names_kept(old: OldState, *rewritten: str) -> None:
    """Every key is of a pattern that is pinned, and each of the rewritten documents has the members that are."""
    before, now = stored_objects(), old.objects()
    assert {key_pattern(key) for key in now} <= set(NAMES["keys"])
    for key in rewritten:
        assert now[key] != before.get(key), f"{key} was not written"
        held = NAMES["members"][document_pattern(key)]
        assert members(json.loads(now[key]), held["free"]) <= set(held["members"]), key
        assert not set(held["members"]) - members(json.loads(now[key]), held["free"]) - _pruned(key, held), key


def _pruned(key: str, held: dict[str, Any]) -> set[str]:
    """Members of a manifest for files that were left out of the state to keep it small."""
    left_out = ("files.plots/", "files.validation.html", "files.model.skops")
    return {name for name in held["members"] if key.endswith("/manifest.json") and name.startswith(left_out)}


def test_migrations_keep_every_row_and_lead_to_the_pinned_tables(restored: OldState) -> None:
    before = counts(restored)
    assert before["ab_decisions"] == 12 and before["drift_reports"] and before["prediction_logs"] > 1_000
    restored.migrate()
    assert counts(restored) == before
    assert schema(restored) == TABLES


def test_an_empty_database_is_given_the_pinned_tables(servers: Servers, restored: OldState) -> None:
    with restored.engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    restored.migrate()
    assert schema(restored) == TABLES
    assert counts(restored)["ab_decisions"] == 0


def test_production_is_served_and_what_a_killed_worker_had_spooled_is_drained(old: OldState, tmp_path: Path) -> None:
    segment = put_spool(tmp_path / "state")
    spooled = """
        SELECT count(DISTINCT p.id), count(f.id) FROM prediction_logs p
        LEFT JOIN user_feedback f ON f.prediction_id = p.id AND f.verified AND f.served_variant = 'production'
        WHERE p.request_id LIKE 'spooled-%'
    """
    assert old.rows(spooled) == [(0, 0)]
    with served(old, tmp_path) as instance:
        assert_golden(instance, old, PRODUCTION)
        eventually(lambda: old.rows(spooled) == [(SPOOLED_VISITS, SPOOLED_VISITS)], "the segment is drained")
        eventually(lambda: not segment.exists(), "the segment is gone")
    assert not (segment.parent / "refused.jsonl").exists()


def test_every_decision_that_was_computed_comes_out_the_same(old: OldState, tmp_path: Path) -> None:
    computed = old.rows("SELECT id, outcome FROM ab_decisions WHERE policy_document IS NOT NULL ORDER BY id")
    assert len(computed) == 8
    for number, outcome in computed:
        assert old.replay(number).startswith(f"Decision {number} comes out the same: {outcome}")
    number, _ = computed[-1]
    assert old.command(tmp_path, "homeprices.experiment", "replay", str(number)) == f"{old.replay(number)}\n"


@pytest.mark.parametrize(("policy", "key"), [("composite", "fixture-4"), ("sequential", "fixture-5")])
def test_the_running_experiment_is_decided_on_as_it_was(old: OldState, policy: str, key: str) -> None:
    """By the policy on record; evidence and decisions have only gained fields since."""
    recorded = old.decision(key)
    old.forget("fixture-5")  # which waits to be carried out
    now = datetime.fromisoformat(recorded["evidence"]["now"])
    evaluation = old.evaluation("today", recorded["policy_document"], now)
    gathered = evaluation.collect_evidence()
    assert without_gains(gathered["evidence"], recorded["evidence"]) == recorded["evidence"]
    decided = evaluation.decide(gathered)
    for name in ("experiment", "outcome", "reason", "statistics"):
        assert decided[name] == recorded[name]
    assert without_gains(decided["policy_document"], recorded["policy_document"]) == recorded["policy_document"]
    assert evaluation.continue_experiment(decided) == recorded["reason"]
    assert_names_kept(old, "reports/runs/evaluation.json")
    held = NAMES["decisions"]["fixture-4"]
    for name in ("evidence", "software") if policy == "sequential" else held:
        assert members(old.decision("today")[name]) >= set(held[name])


def test_a_promotion_that_was_decided_is_carried_out(old: OldState, tmp_path: Path) -> None:
    with served(old, tmp_path):
        evaluation = old.evaluation("today", "sequential", old.decision("fixture-5")["ts"] + timedelta(hours=1))
        pending = evaluation.decide(evaluation.collect_evidence())
        assert (pending["key"], pending["ends"]) == ("fixture-5", True)
        assert evaluation.promote(pending)["result_version"] == "BO4"
    assert old.decision("fixture-5")["result_version"] == "BO4"
    assert old.document("models/price_check_BO4/manifest.json")["promoted_from"] == CANDIDATE
    control = old.document("control/experiment.json")
    assert (control["state"], control["production"], control["epoch"]) == ("idle", "BO4", 6)
    [notice] = [key for key in old.objects().keys() - stored_objects().keys() if key.startswith("notices/")]
    archived, claims = "archive/price_check_CO2/manifest.json", ("claims/BO4.json", "claims/CO2.outcome.json")
    assert archived in old.objects() and "models/price_check_CO2/manifest.json" not in old.objects()
    assert_names_kept(old, "models/price_check_BO4/manifest.json", archived, *claims, notice, "control/experiment.json")


def test_an_earlier_production_comes_back_by_the_command(old: OldState, tmp_path: Path) -> None:
    with served(old, tmp_path) as instance:
        said = old.command(tmp_path, "homeprices.release", "revert", "--to", "BO2", "--reason", "better", returns=1)
        assert said.endswith("BO2 is in production again, as BO4.\n"), "that MLflow is away is an error of its own"
        eventually(lambda: instance.serves("BO4"), "BO4 is served")
        assert_golden(instance, old, "BO4")
    assert old.rows("SELECT outcome, result_version FROM ab_decisions WHERE key = 'person:revert:BO4'") == [
        ("revert", "BO4")
    ]
    assert_names_kept(old, "control/experiment.json", "models/price_check_BO4/manifest.json", "claims/BO4.json")


def test_commands_tell_of_the_hold_the_experiment_and_the_drift_and_lift_and_place_a_hold(
    old: OldState, tmp_path: Path
) -> None:
    status = old.command(tmp_path, "homeprices.release", "status")
    assert "BO2 is held by person:recorder since 2026-11-28 16:19 UTC: kept for the record" in status
    assert "BO3-CO2 running, 50 % of the visitors, epoch 5" in status
    experiment = old.command(tmp_path, "homeprices.experiment", "status")
    assert "promote (decision 12)" in experiment and "BO3-CO2 running, 50 %" in experiment
    assert old.command(tmp_path, "homeprices.release", "resume").endswith("BO2 is no longer held.\n")
    assert "control/hold.json" not in old.objects()
    old.command(tmp_path, "homeprices.release", "hold", "--version", "CO2", "--reason", "not yet")
    assert_names_kept(old, "control/hold.json")
    looked = old.evaluation("today", "sequential", old.decision("fixture-5")["ts"])
    assert looked.collect_evidence()["nothing"].startswith("CO2 is held by person:")


def test_drift_reports_are_read_and_a_drift_that_was_begun_goes_on_and_ends(old: OldState, tmp_path: Path) -> None:
    [(points, at)] = old.rows(
        "SELECT data_points, window_end FROM drift_reports WHERE variant = 'production' "
        "AND window_end - window_start = interval '24 hours' ORDER BY id DESC LIMIT 1"
    )
    with served(old, tmp_path) as instance:
        status, answer = instance.get("/api/drift_report?hours=24")
    assert (status, answer["model_version"], answer["data_points"]) == (200, PRODUCTION, points)
    assert answer["overall_drift_detected"] and answer["run"] == "fixture-drift-4"
    told = old.drift_check("today", at)
    assert told["turns"] == {"production": "goes on", "candidate": "goes on"}
    assert_names_kept(old, "control/drift.json", "reports/runs/drift.json")
    days_later = old.drift_check("later", at + timedelta(days=30))
    assert days_later["turns"]["production"] == "goes on", "without visitors nothing ends"


def test_each_turn_of_a_drift_that_is_stored_is_read(old: OldState) -> None:
    at = old.decision("fixture-5")["ts"]
    for turn, ended, then in (
        ("begins", None, "goes on"),
        ("goes on", None, "goes on"),
        ("ends", at.isoformat(), "begins"),
        ("nothing", at.isoformat(), "begins"),
    ):
        stored = json.loads(stored_objects()["control/drift.json"])
        stored["arms"]["production"]["turn"] = turn
        stored["arms"]["production"]["episode"]["ended_at"] = ended
        old.bucket.put("control/drift.json", json.dumps(stored).encode())
        assert old.drift_check(f"after {turn}", at)["turns"]["production"] == then
        assert old.document("control/drift.json")["arms"]["production"]["turn"] == then


def test_what_was_told_is_not_told_again_and_what_was_not_is_marked_as_it_was(old: OldState) -> None:
    before = set(old.objects())
    with webhook() as hook:
        old.tell("fixture-2", hook.url)
        assert hook.posts == [] and set(old.objects()) == before
        old.tell("today", hook.url)
        assert len(hook.posts) == 1
    [mark] = set(old.objects()) - before
    assert mark == f"notices/{hashlib.sha256(b'today').hexdigest()[:32]}.json"
    assert_names_kept(old, mark)
    assert (old.document(mark)["key"], old.document(mark)["state"]) == ("today", "told")


def test_a_notice_whose_telling_was_cut_off_is_told_again_and_one_that_is_being_told_is_not(old: OldState) -> None:
    states = []

    class Posts(list[dict[str, Any]]):
        """Notes what the mark says while the notice is on its way."""

        def append(self, post: dict[str, Any]) -> None:
            states.append(old.document(place)["state"])
            super().append(post)

    with webhook() as hook:
        hook.posts = Posts()
        for key, at in (("now", datetime.now(UTC)), ("cut off", datetime(2026, 1, 1, tzinfo=UTC))):
            place = f"notices/{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
            old.bucket.put(place, json.dumps({"key": key, "state": "telling", "at": at.isoformat()}).encode())
            old.tell(key, hook.url)
    assert [post["text"].splitlines()[0] for post in hook.posts] == ["*title*"]
    assert states == ["telling"]


def test_what_the_routers_have_counted_is_read(old: OldState) -> None:
    [key] = [key for key in stored_objects() if key.startswith("traffic/")]
    slots = {int(slot): tuple(arms["production"]) for slot, arms in old.document(key)["slots"].items()}
    since, until = (datetime.fromtimestamp(slot, UTC) for slot in (min(slots), max(slots) + 300))
    assert old.counted(since, until) == [slots[slot] for slot in sorted(slots)]


def test_a_batch_job_is_gone_on_with_and_another_writes_the_same_names(old: OldState) -> None:
    before, at = stored_objects(), old.decision("fixture-5")["ts"]
    expected = {"version": PRODUCTION, "estimated": 2, "refused": 1}
    assert expected.items() <= old.batch("fixture_batch", "batch/input/homes.csv", at).items()
    partition = "batch/{}/partitions/00000/"
    for name in ("manifest.json", "part-00000.parquet"):
        key = partition.format("fixture_batch") + name
        assert old.bucket.get(key).body == before[key], "what was scored is not scored again"
    assert expected.items() <= old.batch("today", "batch/input/homes.csv", at).items()
    assert_names_kept(
        old, "batch/today/plan.json", "batch/today/manifest.json", f"{partition.format('today')}manifest.json"
    )
    refused = partition.format("today") + "refused-00000.jsonl"
    rows = [json.loads(line) for line in old.bucket.get(refused).body.splitlines()]
    assert [row.pop("line") for row in rows] == [4]
    for row in rows:
        for name, reason in row["reasons"].items():  # since then, a reason ends with the value
            row["reasons"][name] = reason.removesuffix(f"; it is “{row['values'][name]}”")
    assert rows == [
        json.loads(line) for line in before[partition.format("fixture_batch") + "refused-00000.jsonl"].splitlines()
    ]
