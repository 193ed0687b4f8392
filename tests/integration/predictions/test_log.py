"""The prediction log against a real PostgreSQL: once and only once, whatever order things arrive in."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select, text

from homeprices.adapters.database import open_engine
from homeprices.errors import DatabaseUnavailable, SpoolFull
from homeprices.predictions import log_queries
from homeprices.predictions.drain import BATCH_RECORDS, REFUSED_FILE, Drain, DrainReport
from homeprices.predictions.feedback import Feedback
from homeprices.predictions.identifiers import FEWEST_BLOCKS, IdReserve, IssuedIds
from homeprices.predictions.ingest import insert_batch
from homeprices.predictions.prediction_log import MOST_WAITING, Prediction, PredictionLog, open_prediction_log
from homeprices.predictions.spool import Spool
from homeprices.predictions.spool_segments import Kind, Record
from homeprices.predictions.tables import ID_BLOCK, prediction_logs, user_feedback
from homeprices.settings import Settings
from tests.integration.predictions.conftest import EMPTY_LOG

PREDICTION = Prediction(
    request_id="r",
    visitor="visitor-1",
    assigned_variant="production",
    served_variant="production",
    fallback=False,
    bundle="BO1",
    epoch=1,
    inputs={"total_sqft": 1200.0, "location": "Whitefield ₹ 100%", "bhk": 2, "bath": 2},
    estimate=75.95,
    interval_low=53.0,
    interval_high=114.0,
    milliseconds=0.4,
)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LONG_AGO = "2025-01-01T00:00:00Z"


@pytest.fixture(autouse=True)
def empty_tables(engine: Engine) -> None:
    """No rows; the first block of ids was given out."""
    with engine.begin() as connection:
        connection.execute(text(EMPTY_LOG))
        connection.execute(text("SELECT nextval('prediction_id')"))


@pytest.fixture
def log(settings: Settings, engine: Engine, tmp_path: Path) -> Iterator[PredictionLog]:
    """A prediction log on the module's database."""
    made = open_prediction_log(settings.model_copy(update={"state_dir": tmp_path}), engine)
    made.start()
    eventually(lambda: made.database == "up")
    yield made
    made.close()


def eventually(reached: Callable[[], object], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.02)


def count(engine: Engine, table: str) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def line(number: int, **changes: Any) -> Record:
    row = {"id": number, "ts": NOW.isoformat(), **vars(PREDICTION), **changes}
    return Record("p", json.dumps(row).encode())


def remark(number: int, visitor: str | None, stars: float, at: datetime = NOW, **changes: Any) -> Record:
    row = {"prediction_id": number, "visitor": visitor, "ts": at.isoformat(), "feedback_type": "rating"}
    return Record("f", json.dumps({**row, "feedback_value": stars, "feedback_text": None, **changes}).encode())


def kept_feedback(engine: Engine) -> list[tuple[Any, ...]]:
    columns = user_feedback.c
    chosen = select(columns.prediction_id, columns.visitor, columns.verified, columns.feedback_value)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(chosen.order_by(columns.prediction_id, columns.visitor))]


def put(engine: Engine, *records: Record) -> None:
    with engine.begin() as connection:
        insert_batch(connection, records)


def another_block(engine: Engine) -> int:
    """The first id of a block that no process here has reserved."""
    with engine.begin() as connection:
        return int(connection.execute(text("SELECT nextval('prediction_id')")).scalar_one())


def test_what_was_recorded_is_in_the_database_soon_as_it_was(log: PredictionLog, engine: Engine) -> None:
    number = log.record(PREDICTION)
    assert number is not None
    log.record_feedback(Feedback(prediction_id=number, feedback_type="rating", feedback_value=4), "visitor-1")
    eventually(lambda: log.spool.records == 0)
    with engine.connect() as connection:
        row = connection.execute(select(prediction_logs)).mappings().one()
    assert {name: row[name] for name in vars(PREDICTION)} == vars(PREDICTION)
    assert abs(datetime.now(UTC) - row["ts"]) < timedelta(minutes=1)
    assert kept_feedback(engine) == [(number, "visitor-1", True, 4.0)]


def test_many_answers_are_recorded_in_order_and_without_a_place_none_is(log: PredictionLog, engine: Engine) -> None:
    many = [replace(PREDICTION, estimate=float(number)) for number in range(50)]
    assert log.record_many([]) == []
    numbers = log.record_many(many)
    eventually(lambda: count(engine, "prediction_logs") == 50)
    with engine.connect() as connection:
        rows = connection.execute(select(prediction_logs.c.id, prediction_logs.c.estimate).order_by("id")).all()
    assert [tuple(row) for row in rows] == [(number, float(at)) for at, number in enumerate(numbers)]
    log.spool._limit_bytes = 0
    assert log.record_many(many) == [None] * 50


def test_a_batch_that_comes_again_changes_nothing(engine: Engine) -> None:
    records = [line(1), line(2), remark(1, "visitor-1", 4)]
    put(engine, *records)
    put(engine, *records)
    assert count(engine, "prediction_logs") == 2
    assert kept_feedback(engine) == [(1, "visitor-1", True, 4.0)]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("together", [True, False])
def test_of_several_ratings_of_one_visitor_the_latest_stays_in_whatever_order_they_arrive(
    engine: Engine, order: tuple[int, ...], together: bool
) -> None:
    ratings = [remark(1, "visitor-1", stars, NOW + timedelta(seconds=stars)) for stars in (1, 2, 3)]
    arriving = [ratings[place] for place in order]
    for batch in [arriving] if together else [[one] for one in arriving]:
        put(engine, *batch)
    put(engine, line(1))
    assert kept_feedback(engine) == [(1, "visitor-1", True, 3.0)]


def test_a_rating_counts_as_verified_only_from_the_visitor_who_was_given_the_estimate(engine: Engine) -> None:
    put(engine, remark(1, "visitor-1", 5), remark(1, "somebody-else", 1), remark(1, None, 2))
    assert {verified for _, _, verified, _ in kept_feedback(engine)} == {False}
    put(engine, line(1))
    put(engine, remark(2, "visitor-1", 5), line(2, visitor=None))
    assert kept_feedback(engine) == [
        (1, "somebody-else", False, 1.0),
        (1, "visitor-1", True, 5.0),
        (1, None, False, 2.0),
        (2, "visitor-1", False, 5.0),
    ]


def test_different_types_of_one_visitor_stand_beside_each_other(engine: Engine) -> None:
    put(engine, remark(1, "v", 5), remark(1, "v", 90.5, feedback_type="actual_price", feedback_text="sold"))
    assert count(engine, "user_feedback") == 2


def test_verification_holds_when_both_arrive_at_the_same_moment(engine: Engine) -> None:
    start = threading.Barrier(2)

    def bring(make: Callable[[int], Record]) -> None:
        start.wait()
        for number in range(1, 60):
            put(engine, make(number))

    threads = [threading.Thread(target=bring, args=(make,)) for make in (line, lambda n: remark(n, "visitor-1", 4))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [verified for _, _, verified, _ in kept_feedback(engine)] == [True] * 59


def test_a_record_that_the_database_refuses_is_set_aside_and_holds_nothing_back(
    settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    reports: list[DrainReport] = []
    spool = Spool(tmp_path, limit_bytes=1 << 30)
    bad: list[tuple[Kind, bytes]] = [
        ("p", b'{"id": 7, "no": "such row"}'),
        ("p", line(8, inputs={"location": "nul \x00"}).body),
        ("f", remark(1, "v", 3, feedback_type="superb").body),
    ]
    spool.append("p", line(1).body)
    for kind, body in bad:
        spool.append(kind, body)
    spool.append("p", line(2).body)
    drain = Drain(spool, IdReserve(), engine, reports.append)
    assert drain.run_once()
    assert count(engine, "prediction_logs") == 2
    assert (tmp_path / REFUSED_FILE).read_bytes().splitlines() == [body for _, body in bad]
    assert (sum(r.stored for r in reports), sum(r.refused for r in reports), spool.records) == (2, 3, 0)
    spool.close()


def test_a_torn_line_is_counted_and_passed_over(engine: Engine, tmp_path: Path) -> None:
    reports: list[DrainReport] = []
    spool = Spool(tmp_path, limit_bytes=1 << 30)
    spool.append("p", line(1).body)
    spool.rotate()
    [segment] = spool.full_segments()
    segment.path.write_bytes(b'deadbeef p {"id": 3, "to' + b"\n" + segment.path.read_bytes())
    assert Drain(spool, IdReserve(), engine, reports.append).run_once()
    assert (count(engine, "prediction_logs"), sum(report.torn for report in reports)) == (1, 1)
    spool.close()


def test_a_backlog_of_a_dead_process_is_drained_oldest_first(engine: Engine, tmp_path: Path) -> None:
    dead = Spool(tmp_path, limit_bytes=1 << 30)
    for number in range(1, 2 * BATCH_RECORDS + 2):
        dead.append("p", line(number).body)
    dead.close()
    living = Spool(tmp_path, limit_bytes=1 << 30)
    living.append("p", line(9999).body)
    assert Drain(living, IdReserve(), engine).run_once()
    assert (count(engine, "prediction_logs"), list(tmp_path.iterdir())) == (2 * BATCH_RECORDS + 2, [])
    living.close()


def test_with_the_database_away_nothing_is_given_up(settings: Settings, engine: Engine, tmp_path: Path) -> None:
    nowhere = open_engine(settings.model_copy(update={"postgres_port": 1}))
    spool = Spool(tmp_path, limit_bytes=1 << 30)
    away = Drain(spool, IdReserve(), nowhere)
    spool.append("p", line(1).body)
    assert (away.run_once(), away.run_once(), away.database, spool.records) == (False, False, "down", 1)
    assert Drain(spool, IdReserve(), engine).run_once()
    assert count(engine, "prediction_logs") == 1
    spool.close()


def test_ids_of_several_processes_never_meet(engine: Engine, tmp_path: Path) -> None:
    reserves = [IdReserve() for _ in range(3)]
    for number, ids in enumerate(reserves):
        assert Drain(Spool(tmp_path / str(number), limit_bytes=1 << 30), ids, engine).run_once()
    taken = [ids.take() for ids in reserves for _ in range(FEWEST_BLOCKS * ID_BLOCK)]
    assert None not in taken
    assert len(set(taken)) == len(taken)


def test_without_an_id_or_a_place_an_answer_is_not_logged(settings: Settings, engine: Engine, tmp_path: Path) -> None:
    unstarted = PredictionLog(Spool(tmp_path / "a", limit_bytes=1 << 30), IssuedIds(tmp_path / "ids"), engine)
    assert unstarted.record(PREDICTION) is None
    unstarted.close()
    full = PredictionLog(Spool(tmp_path / "b", limit_bytes=10), IssuedIds(tmp_path / "ids"), engine)
    full.start()
    eventually(lambda: full.database == "up")
    assert full.record(PREDICTION) is None
    with pytest.raises(SpoolFull):
        full.record_feedback(Feedback(prediction_id=1, feedback_type="accurate"), None)
    full.close()


def test_an_estimate_of_this_machine_is_known_to_all_its_processes_whatever_the_database_says(
    log: PredictionLog, settings: Settings, tmp_path: Path
) -> None:
    candidate = settings.model_copy(update={"state_dir": tmp_path, "instance": "infer-cand"})
    other = open_prediction_log(candidate, open_engine(settings.model_copy(update={"postgres_port": 1})))
    other.start()
    number, lost = log.record(PREDICTION), log._ids.take()  # the second as if the process had died before its record
    assert number is not None
    assert lost is not None
    never = number + 10 * FEWEST_BLOCKS * ID_BLOCK
    assert [log.issue_status(one) for one in (number, lost, never)] == ["issued", "undetermined", "never_issued"]
    assert [other.issue_status(one) for one in (number, lost, never)] == ["issued", "undetermined", "undetermined"]
    other.close()


def test_an_estimate_that_another_machine_gave_a_moment_ago_is_waited_for(
    log: PredictionLog, settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    other = open_prediction_log(settings.model_copy(update={"state_dir": tmp_path / "another machine"}), engine)
    other.start()
    eventually(lambda: other.database == "up")
    number = other.record(PREDICTION)
    assert number is not None
    assert log.issue_status(number) == "issued"
    statuses = {process.issue_status(number + 1) for process in (other, log)}
    assert statuses == {"undetermined"}, "else the status of feedback would show who serves its visitor"
    other.close()


def test_an_estimate_in_the_spool_of_another_replica_is_not_denied_however_long_it_lies_there(
    log: PredictionLog, engine: Engine, tmp_path: Path
) -> None:
    number, spool = another_block(engine), Spool(tmp_path / "another-replica", limit_bytes=1 << 30)
    spool.append("p", line(number).body)
    assert log.issue_status(number) == "undetermined"
    log.record_feedback(Feedback(prediction_id=number, feedback_type="rating", feedback_value=4), "visitor-1")
    eventually(lambda: kept_feedback(engine) == [(number, "visitor-1", False, 4.0)])
    assert Drain(spool, IdReserve(), engine).run_once()
    assert kept_feedback(engine) == [(number, "visitor-1", True, 4.0)]
    spool.close()


def test_an_id_missing_before_a_later_one_of_its_block_was_never_issued(log: PredictionLog, engine: Engine) -> None:
    first = another_block(engine)
    fresh = datetime.now(UTC).isoformat()
    put(engine, line(first, ts=LONG_AGO), line(first + 3, ts=LONG_AGO), line(first + 6, ts=fresh))
    assert [log.issue_status(first + n) for n in range(4)] == ["issued", "never_issued", "never_issued", "issued"]
    assert (log.issue_status(first + 5), log.issue_status(first + 7)) == ("undetermined", "undetermined"), (
        "it may be on its way"
    )


def test_an_id_is_undetermined_while_a_dead_worker_has_records_left(log: PredictionLog, engine: Engine) -> None:
    first = another_block(engine)
    put(engine, line(first + 5, ts=LONG_AGO))
    dead = Spool(log.spool.folder, limit_bytes=1 << 30)
    dead.append("p", line(first).body)
    assert log.issue_status(first) == "undetermined"
    dead.close()
    eventually(lambda: not log.spool.holds_from_before(time.time()))
    assert (log.issue_status(first), log.issue_status(first + 1)) == ("issued", "never_issued")


def test_a_remark_on_an_estimate_that_was_never_given_is_dropped_and_counted(
    settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    with engine.connect() as connection:
        last = connection.execute(text("SELECT last_value FROM prediction_id")).scalar_one()
    reports: list[DrainReport] = []
    spool = Spool(tmp_path, limit_bytes=1 << 30)
    for number in (last, last + 1000 * ID_BLOCK, 2**53 - 1):
        spool.append("f", remark(number, "v", 3).body)
    assert Drain(spool, IdReserve(), engine, reports.append).run_once()
    assert (sum(r.stored for r in reports), sum(r.dropped for r in reports)) == (1, 2)
    assert kept_feedback(engine) == [(last, "v", False, 3.0)]
    spool.close()


def test_only_some_may_wait_at_once_and_of_the_others_the_drain_will_tell(
    log: PredictionLog, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("homeprices.predictions.prediction_log.SETTLE_SECONDS", 60.0)
    first = another_block(engine)
    answers: list[str] = []
    threads = [
        threading.Thread(target=lambda: answers.append(log.issue_status(first))) for _ in range(MOST_WAITING + 2)
    ]
    for thread in threads:
        thread.start()
    eventually(lambda: answers == ["undetermined"] * 2)
    put(engine, line(first))
    for thread in threads:
        thread.join()
    assert answers == ["undetermined"] * 2 + ["issued"] * MOST_WAITING


def test_an_id_is_undetermined_while_the_database_is_unavailable(settings: Settings, tmp_path: Path) -> None:
    nowhere = open_engine(settings.model_copy(update={"postgres_port": 1}))
    log = PredictionLog(Spool(tmp_path, limit_bytes=1 << 30), IssuedIds(tmp_path / "ids"), nowhere)
    assert log.issue_status(1) == "undetermined"
    log.start()
    eventually(lambda: log.database == "down")
    assert log.issue_status(1) == "undetermined"
    log.close()


def test_an_exposure_is_found_by_its_visitor_once_it_is_stored(log: PredictionLog) -> None:
    known = replace(PREDICTION, returning_visitor=True)
    number = log.record(known)
    assert number is not None
    assert log.holds_exposure(number, "visitor-1"), "it waits for a record that is on its way"
    assert not log.holds_exposure(number, "visitor-2")
    new = log.record(replace(PREDICTION, returning_visitor=False))
    assert new is not None
    eventually(lambda: log.issue_status(new) == "issued" and log.spool.records == 0)
    assert not log.holds_exposure(new, "visitor-1"), "a visitor without the cookie is not in the experiment"
    assert not log.holds_exposure(2**53 - 1, "visitor-1")


def test_without_the_database_no_exposure_can_be_found(settings: Settings, tmp_path: Path) -> None:
    nowhere = open_engine(settings.model_copy(update={"postgres_port": 1}))
    log = PredictionLog(Spool(tmp_path, limit_bytes=1 << 30), IssuedIds(tmp_path / "ids"), nowhere)
    with pytest.raises(DatabaseUnavailable):
        log.holds_exposure(1, "visitor-1")


def test_closing_drains_what_is_there(settings: Settings, engine: Engine, tmp_path: Path) -> None:
    log = open_prediction_log(settings.model_copy(update={"state_dir": tmp_path}), engine)
    log.start()
    eventually(lambda: log.database == "up")
    for _ in range(100):
        log.record(replace(PREDICTION, request_id="last"))
    log.close()
    assert count(engine, "prediction_logs") == 100


def test_records_of_an_older_spool_have_no_network_and_others_keep_theirs(engine: Engine) -> None:
    older = {name: value for name, value in vars(PREDICTION).items() if name not in ("network", "returning_visitor")}
    row = {"id": 1, "ts": NOW.isoformat(), **older}
    new: dict[str, Any] = {"network": "ab" * 8, "returning_visitor": True}
    put(engine, Record("p", json.dumps(row).encode()), remark(1, "visitor-1", 4))
    put(engine, line(2, **new), remark(2, "visitor-1", 4, **new))
    put(engine, remark(1, "visitor-1", 5, NOW + timedelta(seconds=1), **new))
    with engine.connect() as connection:
        for table, expected in (
            ("prediction_logs", [(None, None), tuple(new.values())]),
            ("user_feedback", [tuple(new.values())] * 2),
        ):
            rows = connection.execute(text(f"SELECT network, returning_visitor FROM {table} ORDER BY 1 NULLS FIRST"))
            assert [tuple(found) for found in rows] == expected, table


def test_a_client_that_has_never_sent_its_cookie_back_is_no_visitor_of_the_rollups(engine: Engine) -> None:
    nobodies = [line(number, visitor=f"new-{number}", returning_visitor=False) for number in range(1, 31)]
    put(engine, *nobodies, line(31, returning_visitor=True), line(32, visitor="before", returning_visitor=None))
    with engine.connect() as connection:
        day = NOW.replace(hour=0)
        found = log_queries.traffic(connection, since=day, until=day + timedelta(days=1))["production"]
    assert (found["requests"], found["visitors"]) == (32, 2)
