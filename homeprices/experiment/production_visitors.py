"""Visitors of production in a time window, one row each, for the post-promotion analysis."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from homeprices.predictions.feedback import PRICE_ERROR_SQL, RATED_SQL, RATING_SQL, SOUND_FEEDBACK
from homeprices.predictions.log_queries import LONGEST_MILLISECONDS, SOUND_VISIT
from homeprices.pricing.features import key_of
from homeprices.pricing.inputs import LOCATION


@dataclass(frozen=True)
class TimeWindow:
    """From `since` (inclusive) to `until` (exclusive); of one bundle, or of any bundle in production.

    With `spellings`, only homes whose location is one of these texts.
    """

    since: datetime
    until: datetime
    bundle: str | None = None
    spellings: list[str] | None = None


@dataclass(frozen=True)
class ProductionVisitor:
    """A visitor of production. `stars` is the mean rating, `error` the mean price error as a share of the price; None
    without feedback."""

    answers: int
    slow: int
    stars: float | None
    error: float | None


_PRODUCTION_SOUND = f"milliseconds >= 0 AND milliseconds < {LONGEST_MILLISECONDS}"
_ANSWERS = f"""
    served_variant = 'production' AND visitor IS NOT NULL AND returning_visitor IS NOT FALSE
    AND ts >= :since AND ts < :until
    AND (CAST(:bundle AS text) IS NULL OR bundle = :bundle)
    AND (CAST(:spellings AS text[]) IS NULL OR inputs ->> '{LOCATION}' = ANY(:spellings)) AND {SOUND_VISIT}
"""
_SPELLINGS = text(
    f"""
    SELECT DISTINCT inputs ->> '{LOCATION}' FROM prediction_logs
    WHERE served_variant = 'production' AND ts >= :since AND ts < :until AND inputs ->> '{LOCATION}' IS NOT NULL
    """  # noqa: S608
)
_PRODUCTION_P99 = text(
    f"""
    SELECT percentile_cont(0.99) WITHIN GROUP (ORDER BY milliseconds) FROM prediction_logs
    WHERE {_ANSWERS} AND {_PRODUCTION_SOUND} AND NOT fallback
    """  # noqa: S608 (made of this module's own constants)
)
# No join by visitor: PostgreSQL expects one row of `answers`, whose many conditions it takes for independent, and joins
# thousands of visitors pair by pair.
_PRODUCTION_VISITORS = text(
    f"""
    WITH answers AS (
        SELECT id, visitor, fallback, estimate, milliseconds FROM prediction_logs WHERE {_ANSWERS}
    ), opinions AS (
        SELECT DISTINCT ON (answers.id) answers.id, answers.visitor,
               {RATING_SQL} AS stars
        FROM answers JOIN user_feedback ON prediction_id = answers.id
        WHERE verified AND NOT fallback AND ts < :until
          AND {RATED_SQL} AND {SOUND_FEEDBACK}
        ORDER BY answers.id, feedback_type = 'rating' DESC, user_feedback.ts DESC, user_feedback.id DESC
    ), seen AS (
        SELECT visitor, 1 AS answers,
               ({_PRODUCTION_SOUND} AND NOT fallback AND milliseconds > :slow_over_ms) IS TRUE AS slow,
               CAST(NULL AS double precision) AS stars, CAST(NULL AS double precision) AS error
        FROM answers
        UNION ALL SELECT visitor, 0, false, stars, NULL FROM opinions
        UNION ALL SELECT answers.visitor, 0, false, NULL, {PRICE_ERROR_SQL}
        FROM answers JOIN user_feedback ON prediction_id = answers.id
        WHERE verified AND NOT fallback AND ts < :until AND feedback_type = 'actual_price' AND {SOUND_FEEDBACK}
    )
    SELECT sum(answers) AS answers, count(*) FILTER (WHERE slow) AS slow, avg(stars) AS stars, avg(error) AS error
    FROM seen GROUP BY visitor
    """  # noqa: S608
)


def spellings_of(connection: Connection, places: Collection[str], window: TimeWindow) -> list[str]:
    """Return the texts by which production's visitors of the window named one of these places (keys)."""
    named = connection.execute(_SPELLINGS, vars(window)).scalars()
    return sorted(name for name in named if key_of(name) in places)


def production_p99(connection: Connection, window: TimeWindow) -> float | None:
    """Return the 99th percentile latency in ms; None without an answer."""
    found = connection.execute(_PRODUCTION_P99, vars(window)).scalar()
    return None if found is None else float(found)


def production_visitors(connection: Connection, window: TimeWindow, slow_over_ms: float) -> list[ProductionVisitor]:
    """Return every visitor of the window."""
    rows = connection.execute(_PRODUCTION_VISITORS, {**vars(window), "slow_over_ms": slow_over_ms}).mappings()
    return [ProductionVisitor(**row) for row in rows]
