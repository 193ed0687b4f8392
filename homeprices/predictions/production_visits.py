"""What the log holds of production's visitors in a stretch of time: a row a visitor, for the watch over a new one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text


@dataclass(frozen=True)
class Stretch:
    """From `since` up to, not including, `until`; of one bundle, or of whatever was in production."""

    since: datetime
    until: datetime
    bundle: str | None = None


@dataclass(frozen=True)
class Guest:
    """A visitor whom production answered. `stars` is their mean rating, `error` their estimates' mean distance from the
    prices that they told, as a share of the price; None where they said nothing."""

    answers: int
    slow: int
    stars: float | None
    error: float | None


_SOUND = "milliseconds >= 0 AND milliseconds < 'Infinity'"
_ANSWERS = """
    served_variant = 'production' AND visitor IS NOT NULL AND ts >= :since AND ts < :until
    AND (CAST(:bundle AS text) IS NULL OR bundle = :bundle)
"""
_P99 = text(
    f"""
    SELECT percentile_cont(0.99) WITHIN GROUP (ORDER BY milliseconds) FROM prediction_logs
    WHERE {_ANSWERS} AND {_SOUND} AND NOT fallback
    """  # noqa: S608 (made of this module's own constants)
)
_GUESTS = text(
    f"""
    WITH answers AS (
        SELECT id, visitor, fallback, estimate, milliseconds FROM prediction_logs WHERE {_ANSWERS}
    ), opinions AS (
        SELECT DISTINCT ON (answers.id) answers.id, answers.visitor,
               CASE feedback_type WHEN 'rating' THEN feedback_value WHEN 'accurate' THEN 5 ELSE 2 END AS stars
        FROM answers JOIN user_feedback ON prediction_id = answers.id
        WHERE verified AND NOT fallback AND ts < :until
          AND feedback_type IN ('rating', 'accurate', 'too_high', 'too_low')
        ORDER BY answers.id, feedback_type = 'rating' DESC, user_feedback.ts DESC, user_feedback.id DESC
    ), rated AS (
        SELECT visitor, avg(stars) AS stars FROM opinions GROUP BY visitor
    ), priced AS (
        SELECT answers.visitor, avg(least(abs(estimate - feedback_value) / feedback_value, 1)) AS error
        FROM answers JOIN user_feedback ON prediction_id = answers.id
        WHERE verified AND NOT fallback AND ts < :until AND feedback_type = 'actual_price'
          AND feedback_value > 0 AND feedback_value < 'Infinity'
        GROUP BY answers.visitor
    ), came AS (
        SELECT visitor, count(*) AS answers,
               count(*) FILTER (WHERE {_SOUND} AND NOT fallback AND milliseconds > :slow_over_ms) AS slow
        FROM answers GROUP BY visitor
    )
    SELECT answers, slow, stars, error FROM came LEFT JOIN rated USING (visitor) LEFT JOIN priced USING (visitor)
    """  # noqa: S608
)


def p99_milliseconds(connection: Connection, stretch: Stretch) -> float | None:
    """The 99th percentile of the answers' duration; None without an answer."""
    found = connection.execute(_P99, vars(stretch)).scalar()
    return None if found is None else float(found)


def guests(connection: Connection, stretch: Stretch, slow_over_ms: float) -> list[Guest]:
    """Every visitor of the stretch."""
    rows = connection.execute(_GUESTS, {**vars(stretch), "slow_over_ms": slow_over_ms}).mappings()
    return [Guest(**row) for row in rows]
