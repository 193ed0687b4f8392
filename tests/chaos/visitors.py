"""Visitors who insist: a rating whose answer never came is sent again, as a form does when the connection breaks."""

from __future__ import annotations

from sqlalchemy import Engine, text

from tests.integration.inference.instance import Instance, Memory, Visitor, eventually
from tests.integration.predictions.conftest import EMPTY_LOG


class Persistent(Visitor):
    """Rates every estimate that it was given, also when the worker who gave it is dead by then."""

    def _rate(self, number: int, stars: int, visitor: str) -> None:
        super()._rate(number, stars, visitor)
        while self._connection is None and not self.stopping.is_set():  # it broke: no answer, not a refusal
            super()._rate(number, stars, visitor)


class Wandering(Visitor):
    """Rates on another connection, which another worker may answer: one who does not know the estimate by itself."""

    def _rate(self, number: int, stars: int, visitor: str) -> None:
        self._hang_up()
        super()._rate(number, stars, visitor)


def spool_is_empty(instance: Instance) -> bool:
    """Whether PostgreSQL has everything."""
    return not list((instance.folder / "infer-prod" / "spool").glob("*.segment"))


def assert_nothing_was_lost_or_doubled(engine: Engine, instance: Instance, memory: Memory) -> dict[str, int]:
    """Every acknowledged estimate and rating is in the database once, and so it was counted; gives figures of it."""
    eventually(lambda: spool_is_empty(instance), "an empty spool", 300)
    with engine.connect() as connection:
        stored = [(row.id, row.bundle) for row in connection.execute(text("SELECT id, bundle FROM prediction_logs"))]
        rated = connection.execute(text("SELECT prediction_id, feedback_value, verified FROM user_feedback")).all()
        counted = connection.execute(text("SELECT sum(requests) FROM traffic_hours")).scalar_one()
    bundles = dict(stored)
    assert memory.estimates.items() <= bundles.items()
    assert len(stored) == len(bundles) == counted
    assert memory.ratings.items() <= {number: int(stars) for number, stars, _ in rated}.items()
    assert len(rated) == len({number for number, _, _ in rated})
    assert all(verified for number, _, verified in rated if number in memory.ratings)
    assert (memory.wrong, set(memory.failed)) == ([], set())
    return {
        "acknowledged_estimates": len(memory.estimates),
        "acknowledged_ratings": len(memory.ratings),
        "lost": 0,
        "doubled": 0,
        "failed_responses": 0,
        "requests_without_a_response": memory.broken,
    }


def empty_log(engine: Engine) -> None:
    """No rows from another test."""
    with engine.begin() as connection:
        connection.execute(text(EMPTY_LOG))
