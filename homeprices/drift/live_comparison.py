"""One variant's traffic of the prediction log, compared with the reference of its bundle."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from homeprices.settings import Variant

MOST_VISITS = 1_000_000
MOST_PRICES = 50_000


# The newest home of each visitor: twenty homes of one visitor are not independent, and no test would know that.
_VISITS = text(
    """
    SELECT inputs, estimate, interval_low, interval_high FROM (
        SELECT DISTINCT ON (coalesce(visitor, id::text)) inputs, estimate, interval_low, interval_high, ts
        FROM prediction_logs
        WHERE bundle = :bundle AND served_variant = :variant AND ts >= :since AND ts < :until
        ORDER BY coalesce(visitor, id::text), ts DESC
    ) AS visitors
    ORDER BY ts DESC LIMIT :most
    """
)


def visits(
    connection: Connection,
    variant: Variant,
    bundle: str,
    *,
    since: datetime,
    until: datetime,
    most: int = MOST_VISITS,
) -> list[dict[str, Any]]:
    """The newest home of each visitor whom this bundle answered: its inputs, with `estimate`, `low` and `high`."""
    values = {"variant": variant, "bundle": bundle, "since": since, "until": until, "most": most}
    return [
        {**row.inputs, "estimate": row.estimate, "low": row.interval_low, "high": row.interval_high}
        for row in connection.execute(_VISITS, values)
    ]


# In the order in which they came, because the test of the error is sequential; of each visitor the first one only.
_PRICES = text(
    """
    SELECT actual, estimate, interval_low, interval_high FROM (
        SELECT DISTINCT ON (coalesce(user_feedback.visitor, prediction_id::text))
               feedback_value AS actual, estimate, interval_low, interval_high, user_feedback.ts, user_feedback.id
        FROM user_feedback JOIN prediction_logs ON prediction_logs.id = prediction_id
        WHERE feedback_type = 'actual_price' AND verified AND bundle = :bundle AND user_feedback.ts < :until
        ORDER BY coalesce(user_feedback.visitor, prediction_id::text), user_feedback.ts, user_feedback.id
    ) AS first
    ORDER BY ts, id LIMIT :most
    """
)


def actual_prices(
    connection: Connection, bundle: str, *, until: datetime, most: int = MOST_PRICES
) -> list[tuple[float, float, float, float]]:
    """(actual price, estimate, low, high) in lakh rupees, in the order in which visitors told the prices."""
    rows = connection.execute(_PRICES, {"bundle": bundle, "until": until, "most": most})
    return [(row.actual, row.estimate, row.interval_low, row.interval_high) for row in rows]
