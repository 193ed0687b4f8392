"""Visitors who resend a rating without a response, as the form does after a broken connection."""

from __future__ import annotations

from contextlib import suppress

from sqlalchemy import Engine, text

from tests.integration.inference.instance import Instance, Memory, Visitor, eventually
from tests.integration.predictions.conftest import EMPTY_LOG


class Persistent(Visitor):
    """Rates every prediction it received, even if the worker that sent it has died."""

    def _rate(self, number: int, stars: int, visitor: str) -> None:
        super()._rate(number, stars, visitor)
        while (
            self._connection is None and not self.stopping.is_set()
        ):  # the connection broke: no response, which is not a rejection
            super()._rate(number, stars, visitor)


class Wandering(Visitor):
    """Rates on another connection, so that another worker, which does not know the prediction, may answer."""

    def _rate(self, number: int, stars: int, visitor: str) -> None:
        self._hang_up()
        super()._rate(number, stars, visitor)


def spool_is_empty(instance: Instance) -> bool:
    """Return whether PostgreSQL has every record.

    A worker whose last write failed keeps an empty segment for its next record, which may never come.
    """
    sizes = []
    for segment in (instance.folder / "infer-prod" / "spool").glob("*.segment"):
        with suppress(FileNotFoundError):  # drained meanwhile
            sizes.append(segment.stat().st_size)
    return not any(sizes)


def assert_nothing_was_lost_or_doubled(engine: Engine, instance: Instance, memory: Memory) -> dict[str, int]:
    """Check that PostgreSQL holds and counts every acknowledged prediction and rating once; return figures."""
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
    """Remove the rows of other tests."""
    with engine.begin() as connection:
        connection.execute(text(EMPTY_LOG))
