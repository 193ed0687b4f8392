"""Retention: monthly partitions are created in advance, filled from the default partition, and dropped as a whole."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from homeprices.adapters.database import open_engine
from homeprices.errors import DatabaseUnavailable
from homeprices.predictions import retention
from homeprices.predictions.identifiers import IdReserve
from homeprices.predictions.ingest import insert_batch
from homeprices.predictions.retention import REST, UNMATCHED_DAYS, enforce_retention, make_partition, partition_of
from homeprices.predictions.spool import Spool
from homeprices.predictions.tables import user_feedback
from homeprices.settings import Settings
from tests.integration.predictions.conftest import EMPTY_LOG
from tests.integration.predictions.test_log import line, remark

NOW = datetime.now(UTC)


def months_ago(count: int) -> datetime:
    """The first moment of a month."""
    months = NOW.year * 12 + NOW.month - 1 - count
    return datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)


def partitions(connection: Connection) -> set[str]:
    return set(connection.execute(retention._PARTITIONS).scalars())


def rows_of(connection: Connection, table: str) -> list[int]:
    return sorted(connection.execute(text(f"SELECT id FROM {table}")).scalars())


def put(connection: Connection, number: int, ts: datetime, **changes: Any) -> None:
    insert_batch(connection, [line(number, ts=ts.isoformat(), **changes)])


@pytest.fixture(autouse=True)
def only_the_rest(engine: Engine) -> Iterator[None]:
    """A log whose only partition is the one that takes everything."""

    def clear() -> None:
        with engine.begin() as connection:
            connection.execute(text(EMPTY_LOG))
            connection.execute(text("SELECT nextval('prediction_id')"))
            for name in partitions(connection) - {REST}:
                connection.execute(text(f"DROP TABLE {name}"))

    clear()
    yield
    clear()


def test_this_month_and_the_next_are_made_once_and_take_their_rows_out_of_the_rest(engine: Engine) -> None:
    with engine.begin() as connection:
        put(connection, 1, NOW)
        put(connection, 2, months_ago(1))
        assert rows_of(connection, REST) == [1, 2]
    made = enforce_retention(engine, months=24).made
    assert made == (partition_of(months_ago(0)), partition_of(months_ago(-1)))
    assert enforce_retention(engine, months=24).made == ()
    with engine.begin() as connection:
        put(connection, 3, months_ago(-1))
        assert [rows_of(connection, name) for name in (*made, REST)] == [[1], [3], [2]]
        assert rows_of(connection, "prediction_logs") == [1, 2, 3]


def test_months_older_than_the_retention_are_dropped_with_their_feedback_and_counts(engine: Engine) -> None:
    ages = range(5)
    with engine.begin() as connection:
        for age in ages:
            if age != 4:  # one month has no partition of its own
                make_partition(connection, months_ago(age))
            put(connection, age + 1, months_ago(age))
            insert_batch(connection, [remark(age + 1, "visitor-1", 4, at=months_ago(age))])
    kept = enforce_retention(engine, months=2)
    assert kept.dropped == (partition_of(months_ago(3)),)
    with engine.begin() as connection:
        assert rows_of(connection, "prediction_logs") == [1, 2, 3]
        assert sorted(connection.execute(text("SELECT prediction_id FROM user_feedback")).scalars()) == [1, 2, 3]
        for table in ("traffic_hours", "latency_hours", "traffic_days", "latency_days"):
            unit = "hour" if table.endswith("hours") else "day"
            times = connection.execute(text(f"SELECT DISTINCT {unit} FROM {table} ORDER BY 1")).scalars().all()
            assert times == [months_ago(age) for age in (2, 1, 0)]


def test_a_record_that_comes_again_after_its_month_was_made_is_still_there_once(engine: Engine) -> None:
    for _ in range(2):
        with engine.begin() as connection:
            put(connection, 1, NOW)
        enforce_retention(engine, months=24)
    with engine.begin() as connection:
        assert rows_of(connection, "prediction_logs") == [1]


def test_a_remark_whose_estimate_never_comes_is_dropped_after_a_week_and_counted(engine: Engine) -> None:
    old, young = NOW - timedelta(days=UNMATCHED_DAYS + 1), NOW - timedelta(days=UNMATCHED_DAYS - 1)
    with engine.begin() as connection:
        put(connection, 1, old)
        insert_batch(connection, [remark(1, "v", 4, at=old), remark(2, "v", 4, at=old), remark(3, "v", 4, at=young)])
    assert enforce_retention(engine, months=24).unmatched == 1
    with engine.connect() as connection:
        assert sorted(connection.execute(text("SELECT prediction_id FROM user_feedback")).scalars()) == [1, 3]


def test_while_one_process_is_at_it_the_others_leave_it_alone(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(retention._ONE_AT_A_TIME, {"key": retention._RETENTION_LOCK})
        assert enforce_retention(engine, months=24) == retention.RetentionReport()
    assert len(enforce_retention(engine, months=24).made) == 2


def test_a_month_can_be_made_while_others_write_to_the_log(engine: Engine) -> None:
    with engine.begin() as connection:
        make_partition(connection, months_ago(1))
    with engine.begin() as writing:
        put(writing, 1, months_ago(1))
        assert len(enforce_retention(engine, months=24).made) == 2
    with engine.connect() as connection:
        assert rows_of(connection, partition_of(months_ago(1))) == [1]


def test_a_log_that_somebody_holds_is_left_for_the_next_time_and_drained_meanwhile(
    settings: Settings, engine: Engine, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from homeprices.predictions.drain import Drain

    monkeypatch.setattr(retention, "LOCK_TIMEOUT", "50ms")
    other = open_engine(settings)
    with other.begin() as holding:
        rows_of(holding, REST)  # a reader of the rest keeps a new month from being attached
        with pytest.raises(DatabaseUnavailable, match="lock timeout"):
            enforce_retention(engine, months=24)
        spool = Spool(tmp_path, limit_bytes=1 << 30)
        spool.append("p", line(1).body)
        drain = Drain(spool, IdReserve(), engine)
        assert (drain.run_once(), drain.database) == (True, "up")
        spool.close()
    other.dispose()
    with engine.connect() as connection:
        assert rows_of(connection, "prediction_logs") == [1]
        assert connection.execute(user_feedback.select()).all() == []


def test_the_drain_keeps_the_months(engine: Engine, tmp_path: Any) -> None:
    from homeprices.predictions.drain import Drain

    spool = Spool(tmp_path, limit_bytes=1 << 30)
    with engine.begin() as connection:
        make_partition(connection, months_ago(3))
    assert Drain(spool, IdReserve(), engine, months=2).run_once()
    with engine.connect() as connection:
        assert partitions(connection) == {REST, partition_of(months_ago(0)), partition_of(months_ago(-1))}
    spool.close()
