import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from homeprices.predictions import log_queries
from homeprices.predictions.feedback import (
    MAX_PRICE_ERROR,
    PRICE_ERROR_SQL,
    QUICK_FEEDBACK_STARS,
    RATED_SQL,
    RATING_SQL,
    price_error,
)
from homeprices.predictions.ingest import insert_batch
from homeprices.predictions.spool_segments import Record
from tests.integration.predictions.conftest import EMPTY_LOG

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
UNTIL = SINCE + timedelta(days=1)


class Visits:
    """Writes predictions and ratings as the drain does."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.last = engine, 0

    def visit(self, visitor: str | None, variant: str | None, **changes: Any) -> int:
        """A prediction by the variant's own bundle in epoch 1, unless `changes` differ; returns its id."""
        self.last += 1
        row = {
            "id": self.last,
            "ts": (SINCE + timedelta(hours=1)).isoformat(),
            "request_id": f"r{self.last}",
            "visitor": visitor,
            "assigned_variant": variant,
            "served_variant": variant or "production",
            "fallback": False,
            "bundle": "CO1" if variant == "candidate" else "BO1",
            "epoch": 1,
            "inputs": {"total_sqft": 1000.0 + self.last, "location": "W"},
            "estimate": 50.0,
            "interval_low": 40.0,
            "interval_high": 60.0,
            "milliseconds": 2.0,
            **changes,
        }
        self._put(Record("p", json.dumps(row).encode()))
        return self.last

    def fallback(self, visitor: str) -> int:
        """A visitor of the candidate whom production had to answer."""
        return self.visit(
            visitor, "candidate", served_variant="production", fallback=True, bundle="BO1", milliseconds=900.0
        )

    def rate(self, prediction: int, visitor: str, value: float | None, kind: str = "rating") -> None:
        row = {
            "prediction_id": prediction,
            "visitor": visitor,
            "ts": (SINCE + timedelta(hours=2)).isoformat(),
            "feedback_type": kind,
            "feedback_value": value,
            "feedback_text": None,
        }
        self._put(Record("f", json.dumps(row).encode()))

    def _put(self, record: Record) -> None:
        with self.engine.begin() as connection:
            insert_batch(connection, [record])


@pytest.fixture
def visits(engine: Engine) -> Visits:
    """An empty log that a test fills."""
    with engine.begin() as connection:
        connection.execute(text(EMPTY_LOG))
        connection.execute(text("SELECT nextval('prediction_id')"))
    return Visits(engine)


def test_logs_come_newest_first_and_no_more_than_asked(visits: Visits) -> None:
    for hour in (1, 3, 2):
        visits.visit("a", "production", ts=(SINCE + timedelta(hours=hour)).isoformat())
    with visits.engine.connect() as connection:
        assert [row["id"] for row in log_queries.logs(connection, "predictions", 2)] == [2, 3]
        assert log_queries.logs(connection, "feedback", 10) == []
        assert log_queries.logs(connection, "decisions", 10) == []
        assert log_queries.logs(connection, "drift", 10) == []


def test_metrics_are_by_the_variant_that_answered(visits: Visits) -> None:
    number = visits.visit("a", "production", milliseconds=1.0, estimate=40.0)
    visits.visit("b", "production", milliseconds=3.0, estimate=60.0)
    visits.rate(number, "a", 4)
    visits.rate(number, "b", 1)
    visits.rate(number, "a", None, kind="accurate")
    visits.fallback("c")
    with visits.engine.connect() as connection:
        found = log_queries.metrics(connection, since=SINCE, until=UNTIL)
    assert set(found) == {"production"}
    production = found["production"]
    assert (production["requests"], production["fallbacks"], production["visitors"]) == (3, 1, 3)
    assert (production["mean_estimate"], production["mean_rating"]) == (50.0, 4.0)
    assert (production["feedback"], production["bundles"]) == ({"rating": 2, "accurate": 1}, ["BO1"])


def test_sql_rates_feedback_and_measures_errors_as_the_constants_say(engine: Engine) -> None:
    query = text(
        f"""
        SELECT feedback_type, {RATED_SQL} AS rated, {RATING_SQL} AS stars, {PRICE_ERROR_SQL} AS error
        FROM (VALUES ('rating', 3.0), ('accurate', NULL), ('too_high', NULL), ('too_low', NULL), ('actual_price', 80.0),
                     ('actual_price', 10.0)) AS feedback (feedback_type, feedback_value), (VALUES (60.0)) p (estimate)
        """
    )
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    rated = {row.feedback_type: row.stars for row in rows if row.rated}
    assert rated == {"rating": 3.0, **QUICK_FEEDBACK_STARS}
    errors = [float(row.error) for row in rows if row.feedback_type == "actual_price"]
    assert errors == [price_error(60.0, 80.0), price_error(60.0, 10.0)] == [0.25, MAX_PRICE_ERROR]


def test_feedback_on_earlier_estimates_is_shown_even_without_new_ones(visits: Visits) -> None:
    number = visits.visit("a", "candidate")
    visits.rate(number, "a", 3)
    with visits.engine.connect() as connection:
        found = log_queries.metrics(connection, since=SINCE + timedelta(hours=2), until=UNTIL)
    assert found == {"candidate": {"requests": 0, "feedback": {"rating": 1}, "mean_rating": 3.0}}
