import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from homeprices.predictions import log_queries
from homeprices.predictions.ingest import insert_batch
from homeprices.predictions.log_queries import ArmSummary
from homeprices.predictions.spool_segments import Record
from tests.integration.predictions.conftest import EMPTY_LOG

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
UNTIL = SINCE + timedelta(days=1)


class Visits:
    """Writes predictions and ratings as the drain does."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.last = engine, 0

    def visit(self, visitor: str | None, arm: str | None, **changes: Any) -> int:
        """A prediction of the arm's own bundle in epoch 1, unless told otherwise; returns its id."""
        self.last += 1
        row = {
            "id": self.last,
            "ts": (SINCE + timedelta(hours=1)).isoformat(),
            "request_id": f"r{self.last}",
            "visitor": visitor,
            "assigned_variant": arm,
            "served_variant": arm or "production",
            "fallback": False,
            "bundle": "CO1" if arm == "candidate" else "BO1",
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

    def arms(self, **changes: Any) -> dict[Any, ArmSummary]:
        with self.engine.connect() as connection:
            asked = {"production": "BO1", "candidate": "CO1", "since": SINCE, "until": UNTIL, **changes}
            return log_queries.arm_summaries(connection, **asked)

    def _put(self, record: Record) -> None:
        with self.engine.begin() as connection:
            insert_batch(connection, [record])


@pytest.fixture
def visits(engine: Engine) -> Visits:
    with engine.begin() as connection:
        connection.execute(text(EMPTY_LOG))
        connection.execute(text("SELECT nextval('prediction_id')"))
    return Visits(engine)


def test_without_a_visit_both_arms_are_empty(visits: Visits) -> None:
    assert visits.arms() == {"production": ArmSummary(), "candidate": ArmSummary()}


def test_arms_are_counted_apart_with_their_ratings_and_latency(visits: Visits) -> None:
    for visitor, stars in (("a", 4), ("b", 5)):
        visits.rate(visits.visit(visitor, "production", milliseconds=3.0), visitor, stars)
    visits.visit("a", "production", milliseconds=6.0)
    visits.rate(visits.visit("c", "candidate", milliseconds=7.0), "c", 2)
    assert visits.arms() == {
        "production": ArmSummary(3, 0, 2, 2, 4.5, 4.0),
        "candidate": ArmSummary(1, 0, 1, 1, 2.0, 7.0),
    }


def test_a_fallback_is_an_error_of_the_candidate_and_its_rating_and_latency_count_for_nobody(visits: Visits) -> None:
    visits.visit("c", "candidate")
    visits.rate(visits.fallback("c"), "c", 1)
    assert visits.arms() == {"production": ArmSummary(), "candidate": ArmSummary(2, 1, 1, 0, None, 2.0)}


def test_a_rating_of_somebody_else_and_what_is_no_rating_are_left_out(visits: Visits) -> None:
    number = visits.visit("a", "production")
    visits.rate(number, "b", 1)
    visits.rate(number, "a", 500.0, kind="actual_price")
    visits.rate(number, "a", None, kind="too_high")
    assert visits.arms()["production"].ratings == 0
    visits.rate(number, "a", 5)
    assert visits.arms()["production"].mean_rating == 5.0


def test_a_visitor_who_was_moved_between_the_arms_is_left_out_of_both(visits: Visits) -> None:
    visits.rate(visits.visit("moved", "production"), "moved", 1)
    visits.rate(visits.visit("moved", "candidate", epoch=2), "moved", 1)
    visits.visit("stayed", "candidate")
    found = visits.arms()
    assert (found["production"].requests, found["candidate"].requests, found["candidate"].ratings) == (0, 1, 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"bundle": "BO2"},
        {"epoch": None},
        {"ts": (SINCE - timedelta(seconds=1)).isoformat()},
        {"ts": UNTIL.isoformat()},
    ],
)
def test_visits_that_are_no_part_of_the_experiment_do_not_count(visits: Visits, changes: dict[str, Any]) -> None:
    visits.visit("a", "production", **changes)
    assert visits.arms()["production"].requests == 0


def test_visits_that_nobody_assigned_do_not_count(visits: Visits) -> None:
    visits.visit(None, "production")
    visits.visit("direct", None)
    assert visits.arms()["production"].requests == 0


def test_only_the_epochs_that_are_asked_for_count(visits: Visits) -> None:
    for epoch in (1, 2, 2, 3):
        visits.visit(f"v{epoch}", "production", epoch=epoch)
    assert visits.arms(epochs=[1, 2])["production"].requests == 3
    assert visits.arms(epochs=[])["production"].requests == 0


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


def test_feedback_on_earlier_estimates_is_shown_even_without_new_ones(visits: Visits) -> None:
    number = visits.visit("a", "candidate")
    visits.rate(number, "a", 3)
    with visits.engine.connect() as connection:
        found = log_queries.metrics(connection, since=SINCE + timedelta(hours=2), until=UNTIL)
    assert found == {"candidate": {"requests": 0, "feedback": {"rating": 1}, "mean_rating": 3.0}}
