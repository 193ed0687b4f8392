"""The counts of hours and days are those of the log, whatever order records arrive in and however often."""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from homeprices.adapters import database
from homeprices.predictions import log_queries
from homeprices.predictions.ingest import insert_batch
from homeprices.predictions.sketches import ACCURACY
from homeprices.predictions.spool_segments import Record
from homeprices.settings import load_settings
from tests.integration.predictions.conftest import EMPTY_LOG, database_variables
from tests.integration.predictions.test_log import line

DAY = datetime(2026, 3, 1, tzinfo=UTC)


def made_records(count: int, seed: int = 7) -> list[Record]:
    """Predictions of one day, of both variants and three bundles, with latencies over four powers of ten."""
    chance = random.Random(seed)
    records = []
    for number in range(1, count + 1):
        variant = chance.choice(["production", "production", "candidate"])
        records.append(
            line(
                number,
                ts=(DAY + timedelta(seconds=chance.randrange(86_400))).isoformat(),
                served_variant=variant,
                bundle="CO1" if variant == "candidate" else chance.choice(["BO1", "BO2"]),
                fallback=variant == "production" and chance.random() < 0.1,
                visitor=chance.choice([None, *(f"visitor-{n}" for n in range(40))]),
                estimate=chance.uniform(20, 400),
                milliseconds=10 ** chance.uniform(-1, 3),
            )
        )
    return records


def counted(engine: Engine) -> dict[str, dict[str, Any]]:
    with engine.connect() as connection:
        return log_queries.traffic(connection, since=DAY, until=DAY + timedelta(days=1))


def looked_up(engine: Engine) -> dict[str, dict[str, Any]]:
    """The same from the log itself."""
    statement = text(
        """
        SELECT served_variant, count(*) AS requests, count(*) FILTER (WHERE fallback) AS fallbacks,
               count(DISTINCT visitor) AS visitors, avg(estimate) AS mean_estimate,
               avg(milliseconds) AS mean_milliseconds,
               percentile_disc(0.95) WITHIN GROUP (ORDER BY milliseconds) AS p95_milliseconds,
               percentile_disc(0.99) WITHIN GROUP (ORDER BY milliseconds) AS p99_milliseconds,
               min(milliseconds) AS min_milliseconds, max(milliseconds) AS max_milliseconds,
               array_agg(DISTINCT bundle) AS bundles
        FROM prediction_logs GROUP BY 1
        """
    )
    with engine.connect() as connection:
        rows = [dict(row) for row in connection.execute(statement).mappings()]
    return {row.pop("served_variant"): row for row in rows}


@pytest.fixture(autouse=True)
def empty_tables(engine: Engine) -> None:
    """Empty the tables before each test."""
    with engine.begin() as connection:
        connection.execute(text(EMPTY_LOG))


def put(engine: Engine, records: list[Record]) -> None:
    with engine.begin() as connection:
        insert_batch(connection, records)


def assert_same(found: dict[str, dict[str, Any]], rows: dict[str, dict[str, Any]]) -> None:
    assert found.keys() == rows.keys() == {"production", "candidate"}
    for variant, row in rows.items():
        visitors = row.pop("visitors")
        assert found[variant].pop("visitors") == pytest.approx(visitors, abs=4)  # of 40, in 512 registers
        for name in ("p95", "p99", "min", "max"):
            milliseconds = row.pop(f"{name}_milliseconds")
            assert found[variant].pop(f"{name}_milliseconds") == pytest.approx(milliseconds, rel=ACCURACY)
        assert sorted(found[variant].pop("bundles")) == sorted(row.pop("bundles"))
        assert found[variant] == pytest.approx(row)


def test_batches_in_any_order_and_again_give_the_counts_of_the_log(engine: Engine) -> None:
    records = made_records(2000)
    batches = [records[start : start + 300] for start in range(0, len(records), 300)]
    random.Random(3).shuffle(batches)
    for batch in [*batches, batches[0], batches[-1]]:
        put(engine, batch)
    assert_same(counted(engine), looked_up(engine))


def test_a_batch_that_is_rolled_back_is_not_counted(engine: Engine) -> None:
    records = made_records(50)
    with engine.connect() as connection:
        insert_batch(connection, records)
        connection.rollback()
    assert counted(engine) == {}


def test_estimates_that_are_stored_between_two_questions_are_in_both_answers_or_in_none(engine: Engine) -> None:
    stored: list[Any] = []

    def store_meanwhile(*_: object) -> None:
        if not stored:
            stored.append(line(1, ts=DAY.isoformat()))
            put(engine, stored)

    with database.snapshot(engine) as reader:
        event.listen(reader, "after_cursor_execute", store_meanwhile)
        assert log_queries.traffic(reader, since=DAY, until=DAY + timedelta(days=1)) == {}
    assert counted(engine)["production"]["requests"] == 1


def test_a_window_begins_with_a_whole_hour_and_ends_before_its_end(engine: Engine) -> None:
    for number, minutes in enumerate((-1, 0, 59, 60, 120), start=1):
        put(engine, [line(number, ts=(DAY + timedelta(minutes=minutes)).isoformat())])
    with engine.connect() as connection:
        since = log_queries.hour_of(DAY + timedelta(minutes=30))
        found = log_queries.traffic(connection, since=since, until=DAY + timedelta(minutes=61))
    assert found["production"]["requests"] == 3


@pytest.mark.parametrize("first_hour", [0, 5])
@pytest.mark.parametrize("hours", [1, 25, 53])
def test_a_window_of_days_and_hours_has_every_request_once(engine: Engine, first_hour: int, hours: int) -> None:
    every_hour = [DAY + timedelta(hours=number, minutes=30) for number in range(24 * 5)]
    put(engine, [line(number, ts=hour.isoformat()) for number, hour in enumerate(every_hour, start=1)])
    with engine.connect() as connection:
        since = DAY + timedelta(hours=first_hour)
        found = log_queries.traffic(connection, since=since, until=since + timedelta(hours=hours))
    assert found["production"]["requests"] == hours


def test_an_hour_belongs_to_utc_whatever_zone_the_session_has(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL timezone = 'Asia/Kolkata'"))  # half an hour off
        insert_batch(connection, [line(1, ts="2026-03-01T10:15:00Z")])
        hour = connection.execute(text("SELECT hour FROM traffic_hours")).scalar_one()
    assert hour == datetime(2026, 3, 1, 10, tzinfo=UTC)


def test_many_visitors_are_counted_within_the_sketchs_error(engine: Engine) -> None:
    for start in range(0, 6000, 1000):
        rows = [json.loads(line(number).body) for number in range(start + 1, start + 1001)]
        put(engine, [Record("p", json.dumps({**row, "visitor": f"v{row['id']}"}).encode()) for row in rows])
    with engine.connect() as connection:
        year = {"since": datetime(2026, 1, 1, tzinfo=UTC), "until": datetime(2027, 1, 1, tzinfo=UTC)}
        assert log_queries.traffic(connection, **year)["production"]["visitors"] == pytest.approx(6000, rel=0.1)


def test_the_migration_keeps_a_log_that_is_there_and_counts_it(servers) -> None:  # type: ignore[no-untyped-def]
    settings = load_settings(database_variables(servers.postgres("with_rows")), ())
    database.upgrade(settings, "0001")
    engine = database.open_engine(settings)
    records = b"[" + b",".join(record.body for record in made_records(500)) + b"]"
    columns = (
        "id, ts, request_id, visitor, assigned_variant, served_variant, fallback, bundle, epoch, inputs, estimate, "
        "interval_low, interval_high, milliseconds"
    )
    insert = f"INSERT INTO prediction_logs SELECT {columns} FROM jsonb_populate_recordset(null::prediction_logs, :rows)"
    with engine.begin() as connection:
        connection.execute(text(insert.replace(":rows", "CAST(:rows AS jsonb)")), {"rows": records.decode()})
        connection.execute(
            text("INSERT INTO user_feedback (prediction_id, feedback_type, ts) VALUES (1, 'accurate', now())")
        )
    database.upgrade(settings)
    assert_same(counted(engine), looked_up(engine))
    with engine.begin() as connection:
        assert connection.execute(text("SELECT served_variant IS NOT NULL FROM user_feedback")).scalar_one()
        assert connection.execute(text("SELECT count(*) FROM prediction_logs_2026_03")).scalar_one() == 500
        insert_batch(connection, made_records(500))
    assert looked_up(engine)["production"]["requests"] == counted(engine)["production"]["requests"]
    with database._migrating(settings) as (_connection, config):
        from alembic import command

        command.downgrade(config, "0001")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM prediction_logs")).scalar_one() == 500
    engine.dispose()
