"""What the rest of the project asks of the prediction log. Every function takes a connection and a bounded window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, desc, select, text

from homeprices.names import Variant
from homeprices.predictions.sketches import distinct_count, quantile
from homeprices.predictions.tables import ab_decisions, drift_reports, prediction_logs, user_feedback

LogType = Literal["predictions", "feedback", "decisions", "drift"]

_LOGS = {
    "predictions": (prediction_logs, prediction_logs.c.ts),
    "feedback": (user_feedback, user_feedback.c.ts),
    "decisions": (ab_decisions, ab_decisions.c.ts),
    "drift": (drift_reports, drift_reports.c.ts),
}


@dataclass(frozen=True)
class ArmSummary:
    """What one arm has shown, by the arm that was assigned; latency in milliseconds, of its own answers only.

    `requests` includes `errors`, which are the requests that another arm had to answer. `ratings` are stars of the
    visitors who were given the estimate by this very arm, the last one each of an estimate.
    """

    requests: int = 0
    errors: int = 0
    visitors: int = 0
    ratings: int = 0
    mean_rating: float | None = None
    mean_milliseconds: float | None = None


# A visitor who was assigned to both arms was moved by a change of share, and is left out of both. A candidate's
# request that production answered carries production's bundle.
_ARMS = text(
    """
    WITH exposures AS (
        SELECT id, visitor, assigned_variant, fallback, milliseconds,
               min(assigned_variant) OVER theirs <> max(assigned_variant) OVER theirs AS moved
        FROM prediction_logs
        WHERE ts >= :since AND ts < :until
          AND visitor IS NOT NULL AND assigned_variant IS NOT NULL AND epoch IS NOT NULL
          AND (CAST(:epochs AS integer[]) IS NULL OR epoch = ANY(:epochs))
          AND (
            (assigned_variant = 'production' AND bundle = :production)
            OR (assigned_variant = 'candidate' AND bundle = CASE WHEN fallback THEN :production ELSE :candidate END)
          )
        WINDOW theirs AS (PARTITION BY visitor)
    ), stars AS (
        SELECT exposures.assigned_variant, feedback_value
        FROM exposures JOIN user_feedback ON prediction_id = exposures.id
        WHERE NOT moved AND NOT fallback AND verified AND feedback_type = 'rating' AND ts < :until
    ), ratings AS (
        SELECT assigned_variant, count(*) AS ratings, avg(feedback_value) AS mean_rating FROM stars GROUP BY 1
    )
    SELECT assigned_variant,
           count(*) AS requests,
           count(*) FILTER (WHERE fallback) AS errors,
           count(DISTINCT visitor) AS visitors,
           coalesce(max(ratings.ratings), 0) AS ratings,
           max(ratings.mean_rating) AS mean_rating,
           avg(milliseconds) FILTER (WHERE NOT fallback) AS mean_milliseconds
    FROM exposures LEFT JOIN ratings USING (assigned_variant)
    WHERE NOT moved
    GROUP BY assigned_variant
    """
)


def arm_summaries(
    connection: Connection,
    *,
    production: str,
    candidate: str,
    since: datetime,
    until: datetime,
    epochs: list[int] | None = None,
) -> dict[Variant, ArmSummary]:
    """Both arms of the experiment of `candidate` beside `production`, from `since` up to, not including, `until`.

    `epochs` keeps to these epochs of the control record; by default every visit that the router assigned counts.
    """
    values = {"production": production, "candidate": candidate, "since": since, "until": until, "epochs": epochs}
    found = {row["assigned_variant"]: row for row in connection.execute(_ARMS, values).mappings()}
    arms: tuple[Variant, ...] = ("production", "candidate")
    return {arm: _summary(found[arm]) if arm in found else ArmSummary() for arm in arms}


def _summary(row: Mapping[Any, Any]) -> ArmSummary:
    return ArmSummary(**{name: value for name, value in row.items() if name != "assigned_variant"})


def logs(connection: Connection, kind: LogType, limit: int) -> list[dict[str, Any]]:
    """The newest rows of a log, newest first. Visitors are keyed hashes."""
    table, ts = _LOGS[kind]
    rows = connection.execute(select(table).order_by(desc(ts)).limit(limit)).mappings()
    return [dict(row) for row in rows]


# The unverified are counted, and have no say in the mean.
_OPINIONS = text(
    """
    SELECT served_variant AS variant, feedback_type, count(*) AS count,
           avg(feedback_value) FILTER (WHERE verified) AS mean_verified
    FROM user_feedback WHERE ts >= :since AND ts < :until AND served_variant IS NOT NULL GROUP BY 1, 2
    """
)


def metrics(connection: Connection, *, since: datetime, until: datetime) -> dict[str, dict[str, Any]]:
    """Traffic and feedback of a window by the variant that answered; estimates in lakh rupees, latency in ms.

    The window begins with the hour of `since`. `visitors` is exact to about 3 %, `p95_milliseconds` to 5 %: both come
    from counts, so that the answer takes the same time whatever has been stored.
    """
    window = {"since": hour_of(since), "until": until}
    found: dict[str, dict[str, Any]] = {
        variant: {**traffic, "feedback": {}, "mean_rating": None}
        for variant, traffic in traffic(connection, **window).items()
    }
    for row in connection.execute(_OPINIONS, window).mappings():
        entry = found.setdefault(row["variant"], {"requests": 0, "feedback": {}, "mean_rating": None})
        entry["feedback"][row["feedback_type"]] = row["count"]
        if row["feedback_type"] == "rating":
            entry["mean_rating"] = row["mean_verified"]
    return found


# Counts of what was answered, an hour and a day: written as predictions are stored, read for whole hours.
#
# A window is read as the days that lie in it and the hours before and after those, so that a summary of a month reads
# some thousand rows, whether a thousand homes were priced in it or ten million.


Unit = Literal["hour", "day"]


def hour_of(moment: datetime) -> datetime:
    """The beginning of the hour (UTC) of a moment."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _counted(kind: str, columns: str) -> str:
    return f"""
        SELECT {columns} FROM {kind}_hours WHERE hour >= :since AND hour < :first_day
        UNION ALL SELECT {columns} FROM {kind}_days WHERE day >= :first_day AND day < :end_of_days
        UNION ALL SELECT {columns} FROM {kind}_hours WHERE hour >= :end_of_days AND hour < :until
    """  # noqa: S608 - made of this package's own words


_TRAFFIC = text(
    f"""
    SELECT variant, sum(requests)::bigint AS requests, sum(fallbacks)::bigint AS fallbacks,
           bit_or(visitors)::text AS visitors, sum(estimate_sum) / sum(requests) AS mean_estimate,
           sum(milliseconds_sum) / sum(requests) AS mean_milliseconds, array_agg(DISTINCT bundle) AS bundles
    FROM ({_counted("traffic", "variant, bundle, requests, fallbacks, estimate_sum, milliseconds_sum, visitors")})
    AS counted GROUP BY 1
    """  # noqa: S608 - made of this package's own words
)
_LATENCY = text(
    f"""
    SELECT variant, bucket, sum(requests)::bigint AS requests
    FROM ({_counted("latency", "variant, bucket, requests")}) AS counted GROUP BY 1, 2
    """  # noqa: S608 - made of this package's own words
)


def traffic(connection: Connection, *, since: datetime, until: datetime) -> dict[str, dict[str, Any]]:
    """What each variant has answered in the hours that begin in the window."""
    first_day, end_of_days = _whole_days(since, until)
    window = {"since": since, "first_day": first_day, "end_of_days": end_of_days, "until": until}
    buckets: dict[str, dict[int, int]] = {}
    for variant, bucket, requests in connection.execute(_LATENCY, window):
        buckets.setdefault(variant, {})[bucket] = requests
    found = {}
    for row in connection.execute(_TRAFFIC, window).mappings():
        found[row["variant"]] = {
            "requests": row["requests"],
            "fallbacks": row["fallbacks"],
            "visitors": distinct_count(row["visitors"]),
            "mean_estimate": row["mean_estimate"],
            "mean_milliseconds": row["mean_milliseconds"],
            "p95_milliseconds": quantile(buckets[row["variant"]], 0.95),
            "bundles": row["bundles"],
        }
    return found


def _whole_days(since: datetime, until: datetime) -> tuple[datetime, datetime]:
    """The beginning of the first whole day (UTC) in a window, and the end of the last; its end twice without any."""
    day_of_since = hour_of(since).replace(hour=0)
    first = day_of_since if day_of_since == since else day_of_since + timedelta(days=1)
    end = hour_of(until).replace(hour=0)
    return (first, end) if first < end else (until, until)
