"""The visitors of production, one row each: what counts, and that their number does not multiply."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from homeprices.experiment import production_visitors
from homeprices.experiment.production_visitors import ProductionVisitor, TimeWindow
from tests.support.trial import NOW, Trial

WINDOW = TimeWindow(NOW - timedelta(hours=4), NOW, "BO1")


@pytest.fixture
def trial(engine: Engine, tmp_path: Path) -> Iterator[Trial]:
    """BO1 in production, without a trial."""
    made = Trial(engine, tmp_path)
    yield made
    made.close()


def visitors(trial: Trial) -> list[ProductionVisitor]:
    with trial.engine.begin() as connection:
        return production_visitors.production_visitors(connection, WINDOW, 100.0)


def test_answers_slow_ones_ratings_and_price_errors_are_those_of_each_visitor(trial: Trial) -> None:
    when: dict[str, Any] = {"visitor": "asha", "ts": NOW - timedelta(hours=1)}
    first, second, third = trial.visits("production", 3, **when)
    trial.visits("production", 1, **when, milliseconds=250.0)
    trial.visits("production", 1, **when, milliseconds=250.0, fallback=True)
    for visit, kind, value in [
        (first, "rating", 2.0), (first, "too_high", None), (second, "accurate", None), (third, "actual_price", 100.0),
        (second, "actual_price", 40.0),
    ]:  # fmt: skip
        trial.say({"id": visit, **when}, kind, value)
    trial.visits("production", 1, visitor="ravi")
    found = sorted(visitors(trial), key=lambda visitor: visitor.answers)
    assert found == [
        ProductionVisitor(answers=1, slow=0, stars=None, error=None),
        ProductionVisitor(answers=5, slow=1, stars=(2.0 + 5.0) / 2, error=(0.5 + 0.25) / 2),
    ]


def test_no_pair_of_visitors_is_compared(trial: Trial) -> None:
    """A join by visitor would take the square of their number: PostgreSQL expects one, and compares pair by pair."""
    trial.visits("production", 200, [3.0, 4.0])
    statement = f"EXPLAIN (ANALYZE, FORMAT JSON) {production_visitors._PRODUCTION_VISITORS}"
    with trial.engine.begin() as connection:
        [plan] = connection.execute(text(statement), {**vars(WINDOW), "slow_over_ms": 100.0}).scalar_one()
    nodes = list(every_node(plan["Plan"]))
    assert max(node["Actual Rows"] * node["Actual Loops"] for node in nodes) <= 2 * 200, json.dumps(plan)
    assert not [node for node in nodes if "Join Filter" in node]
    assert len(visitors(trial)) == 200


def every_node(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", []):
        yield from every_node(below)
