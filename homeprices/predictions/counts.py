"""Counts of what was answered, an hour and a day: written as predictions are stored, read for whole hours.

A window is read as the days that lie in it and the hours before and after those, so that a summary of a month reads
some thousand rows, whether a thousand homes were priced in it or ten million.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, text

from homeprices.predictions.distinct import EMPTY_SQL, estimate, sketch_sql
from homeprices.predictions.latency import bucket_sql, quantile

Unit = Literal["hour", "day"]


def hour_of(moment: datetime) -> datetime:
    """The beginning of the hour (UTC) of a moment."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def counting_sql(added: str) -> str:
    """Common table expressions that count the rows of the relation `added`: an item of a WITH list."""
    items = [
        f"{kind}_{unit} AS ({statement})"
        for unit in ("hour", "day")
        for kind, statement in (("traffic", _count_traffic(added, unit)), ("latency", _count_latency(added, unit)))
    ]
    return ",\n".join(items)


def _count_traffic(added: str, unit: str) -> str:
    return f"""
        INSERT INTO traffic_{unit}s AS counted ({unit}, variant, bundle, requests, fallbacks, estimate_sum,
                                                milliseconds_sum, visitors)
        SELECT date_trunc('{unit}', ts, 'UTC'), served_variant, bundle, count(*), count(*) FILTER (WHERE fallback),
               sum(estimate), sum(milliseconds), coalesce({sketch_sql("visitor")}, {EMPTY_SQL})
        FROM {added} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        ON CONFLICT ({unit}, variant, bundle) DO UPDATE
        SET requests = counted.requests + excluded.requests, fallbacks = counted.fallbacks + excluded.fallbacks,
            estimate_sum = counted.estimate_sum + excluded.estimate_sum,
            milliseconds_sum = counted.milliseconds_sum + excluded.milliseconds_sum,
            visitors = counted.visitors | excluded.visitors
    """  # noqa: S608 - made of this package's own words


def _count_latency(added: str, unit: str) -> str:
    return f"""
        INSERT INTO latency_{unit}s AS counted ({unit}, variant, bucket, requests)
        SELECT date_trunc('{unit}', ts, 'UTC'), served_variant, {bucket_sql("milliseconds")}, count(*)
        FROM {added} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        ON CONFLICT ({unit}, variant, bucket) DO UPDATE SET requests = counted.requests + excluded.requests
    """  # noqa: S608 - made of this package's own words


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
            "visitors": estimate(row["visitors"]),
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
