"""Queries that operators, the exporter and the shadow comparison make of the prediction log.

Each is bounded by a window or a limit.

Traffic and latency come from the hourly and daily rollups, not from the log: a window is the whole days in it and the
hours before and after those. So a summary of a month reads some thousand rows, whether it covers a thousand predictions
or ten million.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, desc, select, text

from homeprices.predictions.feedback import LARGEST_ID, SOUND_FEEDBACK
from homeprices.predictions.sketches import distinct_count, quantile
from homeprices.predictions.tables import ab_decisions, drift_reports, prediction_logs, user_feedback
from homeprices.pricing.inputs import LOCATION, NUMBERS, TEXTS

LogType = Literal["predictions", "feedback", "decisions", "drift"]

_LOGS = {
    "predictions": (prediction_logs, prediction_logs.c.ts),
    "feedback": (user_feedback, user_feedback.c.ts),
    "decisions": (ab_decisions, ab_decisions.c.ts),
    "drift": (drift_reports, drift_reports.c.ts),
}


def logs(connection: Connection, kind: LogType, limit: int) -> list[dict[str, Any]]:
    """The newest rows of a log, newest first. Visitors are keyed hashes."""
    table, ts = _LOGS[kind]
    rows = connection.execute(select(table).order_by(desc(ts)).limit(limit)).mappings()
    return [dict(row) for row in rows]


# Unverified feedback counts, but is excluded from the mean rating.
_FEEDBACK = text(
    """
    SELECT served_variant AS variant, feedback_type, count(*) AS count,
           avg(feedback_value) FILTER (WHERE verified) AS mean_verified
    FROM user_feedback WHERE ts >= :since AND ts < :until AND served_variant IS NOT NULL GROUP BY 1, 2
    """
)


def metrics(connection: Connection, *, since: datetime, until: datetime) -> dict[str, dict[str, Any]]:
    """Traffic and feedback of a window by the variant that answered; estimates in lakh rupees, latency in ms.

    The window begins with the hour of `since`. `visitors` is exact to about 3 %, p95, p99, smallest and largest
    milliseconds to 5 %: they come from counts, so that the answer takes the same time whatever has been stored.
    """
    window = {"since": hour_of(since), "until": until}
    found: dict[str, dict[str, Any]] = {
        variant: {**traffic, "feedback": {}, "mean_rating": None}
        for variant, traffic in traffic(connection, **window).items()
    }
    for row in connection.execute(_FEEDBACK, window).mappings():
        entry = found.setdefault(row["variant"], {"requests": 0, "feedback": {}, "mean_rating": None})
        entry["feedback"][row["feedback_type"]] = row["count"]
        if row["feedback_type"] == "rating":
            entry["mean_rating"] = row["mean_verified"]
    return found


def hour_of(moment: datetime) -> datetime:
    """The beginning of the hour (UTC) of a moment."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _counted(kind: str, columns: str) -> str:
    return f"""
        SELECT {columns} FROM {kind}_hours WHERE hour >= :since AND hour < :first_day
        UNION ALL SELECT {columns} FROM {kind}_days WHERE day >= :first_day AND day < :end_of_days
        UNION ALL SELECT {columns} FROM {kind}_hours WHERE hour >= :end_of_days AND hour < :until
    """  # noqa: S608 (made of constants)


_TRAFFIC = text(
    f"""
    SELECT variant, sum(requests)::bigint AS requests, sum(fallbacks)::bigint AS fallbacks,
           bit_or(visitors)::text AS visitors, sum(estimate_sum) / sum(requests) AS mean_estimate,
           sum(milliseconds_sum) / sum(requests) AS mean_milliseconds, array_agg(DISTINCT bundle) AS bundles
    FROM ({_counted("traffic", "variant, bundle, requests, fallbacks, estimate_sum, milliseconds_sum, visitors")})
    AS counted GROUP BY 1
    """  # noqa: S608 (made of constants)
)
_LATENCY = text(
    f"""
    SELECT variant, bucket, sum(requests)::bigint AS requests
    FROM ({_counted("latency", "variant, bucket, requests")}) AS counted GROUP BY 1, 2
    """  # noqa: S608 (made of constants)
)


def traffic(connection: Connection, *, since: datetime, until: datetime) -> dict[str, dict[str, Any]]:
    """The traffic of each variant in the hours that begin in the window."""
    first_day, end_of_days = _whole_days(since, until)
    window = {"since": since, "first_day": first_day, "end_of_days": end_of_days, "until": until}
    buckets: dict[str, dict[int, int]] = {}
    for variant, bucket, requests in connection.execute(_LATENCY, window):
        buckets.setdefault(variant, {})[bucket] = requests
    found = {}
    for row in connection.execute(_TRAFFIC, window).mappings():
        counts = buckets[row["variant"]]
        found[row["variant"]] = {
            "requests": row["requests"],
            "fallbacks": row["fallbacks"],
            "visitors": distinct_count(row["visitors"]),
            "mean_estimate": row["mean_estimate"],
            "mean_milliseconds": row["mean_milliseconds"],
            "p95_milliseconds": quantile(counts, 0.95),
            "p99_milliseconds": quantile(counts, 0.99),
            "min_milliseconds": quantile(counts, 0.0),
            "max_milliseconds": quantile(counts, 1.0),
            "bundles": row["bundles"],
        }
    return found


def _whole_days(since: datetime, until: datetime) -> tuple[datetime, datetime]:
    """The beginning of the first whole day (UTC) in a window, and the end of the last; its end twice without any."""
    day_of_since = hour_of(since).replace(hour=0)
    first = day_of_since if day_of_since == since else day_of_since + timedelta(days=1)
    end = hour_of(until).replace(hour=0)
    return (first, end) if first < end else (until, until)


# Whoever has access to the database can insert rows by hand. Evaluation and drift leave out those that no service can
# have written, and count them. The tables' constraints cannot hold these conditions, because older rows are kept.

VISITOR_CHARACTERS = 200
LARGEST_PRICE = 1e9
LONGEST_MILLISECONDS = 1e9  # eleven days; the square of a larger number may overflow
LARGEST_NUMBER = 1e12

SOUND_VISIT = f"""(
    prediction_logs.id BETWEEN 1 AND {LARGEST_ID} AND jsonb_typeof(inputs) = 'object'
    AND (prediction_logs.visitor IS NULL OR length(prediction_logs.visitor) BETWEEN 1 AND {VISITOR_CHARACTERS})
    AND estimate > 0 AND estimate < {LARGEST_PRICE} AND interval_low > 0 AND interval_low <= interval_high
    AND interval_high < {LARGEST_PRICE}
)"""
"""SQL condition on a row of `prediction_logs`, never null. The upper bounds also refuse NaN, which sorts above them."""


def _sound_member(name: str) -> str:
    kind = f"jsonb_typeof(inputs -> '{name}')"
    if name in TEXTS:
        return f"coalesce({kind}, 'null') IN ('string', 'null')"
    return (
        f"CASE coalesce({kind}, 'null') WHEN 'null' THEN true "
        f"WHEN 'number' THEN abs((inputs ->> '{name}')::numeric) <= {LARGEST_NUMBER:.0f} ELSE false END"
    )


SOUND_HOME = f"({SOUND_VISIT} AND {' AND '.join(_sound_member(name) for name in (*NUMBERS, *TEXTS))})"
"""SQL condition on a row of `prediction_logs`: also its inputs have the types of a home's, or are absent."""


LONGEST_INPUTS = 2_000
"""Characters of the longest inputs, as JSON, that `homes_asked` returns; a service logs at most a third of that."""

HOMES_OF_A_VISITOR = 3
"""No visitor counts with more different homes, so that no single client stops a candidate."""

_LOOKED_THROUGH = 4  # times as many homes as are wanted, because some belong to visitors who have enough

# Only visitors whose cookie came with the request, through the router: as in drift, batches and clients without cookies
# could be any number of homes. The limit inside bounds the work, whatever the traffic.
_HOMES_ASKED = text(
    f"""
    WITH newest AS (
        SELECT visitor, inputs, ts, id FROM prediction_logs
        WHERE ts >= :since AND ts < :until AND served_variant = 'production' AND visitor IS NOT NULL
          AND returning_visitor IS NOT FALSE AND assigned_variant IS NOT NULL AND {SOUND_HOME}
          AND length(inputs::text) <= {LONGEST_INPUTS}
          AND (CAST(:spellings AS text[]) IS NULL OR inputs ->> '{LOCATION}' = ANY(:spellings))
        ORDER BY ts DESC LIMIT :most * {_LOOKED_THROUGH}
    ), ranked AS (
        SELECT inputs, max(ts) AS ts,
               row_number() OVER (PARTITION BY visitor ORDER BY max(ts) DESC, max(id) DESC) AS place
        FROM newest GROUP BY visitor, inputs
    )
    SELECT inputs::text FROM ranked WHERE place <= {HOMES_OF_A_VISITOR} ORDER BY ts DESC LIMIT :most
    """  # noqa: S608 (made of constants)
)
_KNOWN_PRICES = text(
    f"""
    SELECT prediction_logs.visitor, prediction_logs.served_variant AS variant, fallback, inputs, estimate,
           feedback_value AS price, user_feedback.ts
    FROM user_feedback JOIN prediction_logs ON prediction_logs.id = prediction_id
    WHERE feedback_type = 'actual_price' AND verified AND user_feedback.ts >= :since AND user_feedback.ts < :until
      AND prediction_logs.visitor IS NOT NULL AND prediction_logs.returning_visitor IS NOT FALSE
      AND assigned_variant IS NOT NULL AND {SOUND_VISIT} AND {SOUND_FEEDBACK}
      AND length(inputs::text) <= {LONGEST_INPUTS}
    ORDER BY user_feedback.ts DESC LIMIT :most
    """  # noqa: S608
)


def homes_asked(
    connection: Connection, *, since: datetime, until: datetime, most: int, spellings: list[str] | None = None
) -> list[str]:
    """The newest homes that visitors asked production for, newest first: the logged inputs as texts of JSON.

    The same home of the same visitor counts once. With `spellings`, only homes whose location is one of these texts.

    Texts, because a hundred thousand of them take a fifth of the memory of as many objects.
    """
    rows = connection.execute(_HOMES_ASKED, {"since": since, "until": until, "most": most, "spellings": spellings})
    return [row.inputs for row in rows]


def known_prices(connection: Connection, *, since: datetime, until: datetime, most: int) -> list[dict[str, Any]]:
    """The newest actual prices that visitors reported for an estimate of either variant, with the logged inputs."""
    rows = connection.execute(_KNOWN_PRICES, {"since": since, "until": until, "most": most})
    return [dict(row) for row in rows.mappings()]
