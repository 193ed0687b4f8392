"""One variant's traffic of the prediction log, compared with the reference of its bundle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, text

from homeprices.drift import live_comparison
from homeprices.drift.detector import compare, compare_segments, compare_variants
from homeprices.drift.error_drift import Holdout, error_drift
from homeprices.drift.samples import baseline_of_bundle, sample_of_visits
from homeprices.names import Variant
from homeprices.predictions import drift_reports
from homeprices.predictions.feedback import SOUND_FEEDBACK
from homeprices.predictions.log_queries import SOUND_HOME, SOUND_VISIT
from homeprices.pricing.features import Locations
from homeprices.pricing.manifest import INTERVAL_LOG_WIDTH

if TYPE_CHECKING:
    from homeprices.pricing.bundle import Bundle


MOST_VISITS = 1_000_000
MOST_PRICES = 50_000


# Only visitors whose cookie came with the request, because a client without cookies would count as a new visitor at
# every request. Batches, and requests that did not pass the router, have no assigned variant: one caller could send ten
# thousand of them and cause a retraining.
_COUNTS = "visitor IS NOT NULL AND returning_visitor IS NOT FALSE AND assigned_variant IS NOT NULL"
_IN_WINDOW = "bundle = ANY(:bundles) AND served_variant = :variant AND ts >= :since AND ts < :until"
# One home for each visitor: twenty homes of one visitor are not independent, and the tests assume independence.
_VISITS = text(
    f"""
    SELECT inputs, estimate, interval_low, interval_high FROM (
        SELECT DISTINCT ON (visitor) inputs, estimate, interval_low, interval_high, ts
        FROM prediction_logs WHERE {_IN_WINDOW} AND {_COUNTS} AND {SOUND_HOME}
        ORDER BY visitor, ts DESC
    ) AS visitors
    ORDER BY ts DESC LIMIT :most
    """  # noqa: S608 (made of constants)
)
_LEFT_OUT = text(
    f"""
    SELECT count(*) FILTER (WHERE NOT {SOUND_HOME}) AS malformed,
           count(*) FILTER (WHERE {SOUND_HOME} AND returning_visitor IS FALSE) AS no_cookie,
           count(*) FILTER (WHERE {SOUND_HOME} AND returning_visitor IS NOT FALSE) AS unassigned
    FROM prediction_logs WHERE {_IN_WINDOW} AND NOT ({_COUNTS} AND {SOUND_HOME})
    """  # noqa: S608
)


def visits(
    connection: Connection,
    variant: Variant,
    bundle: str,
    *,
    since: datetime,
    until: datetime,
    most: int = MOST_VISITS,
    regional: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Return the newest home of each visitor that this bundle served: its inputs, `estimate`, `low` and `high`.

    `regional` are the bundles that served some places instead, whose visitors belong to the same production.

    Requests without the visitor's cookie, batches, requests that did not pass the router, and rows that no service can
    have written are left out; `left_out` counts them.
    """
    values = {"variant": variant, "bundles": [bundle, *regional], "since": since, "until": until, "most": most}
    return [
        {**row.inputs, "estimate": row.estimate, "low": row.interval_low, "high": row.interval_high}
        for row in connection.execute(_VISITS, values)
    ]


def left_out(
    connection: Connection,
    variant: Variant,
    bundle: str,
    *,
    since: datetime,
    until: datetime,
    regional: Sequence[str] = (),
) -> dict[str, int]:
    """Return the number of predictions that `visits` excludes from the window, by reason, if there are any."""
    values = {"variant": variant, "bundles": [bundle, *regional], "since": since, "until": until}
    counts = connection.execute(_LEFT_OUT, values).mappings().one()
    return {reason: count for reason, count in counts.items() if count}


# In order of arrival, because the test of the error is sequential; only the first price of each visitor.
_PRICES = text(
    f"""
    SELECT actual, estimate, interval_low, interval_high FROM (
        SELECT DISTINCT ON (user_feedback.visitor)
               feedback_value AS actual, estimate, interval_low, interval_high, user_feedback.ts, user_feedback.id
        FROM user_feedback JOIN prediction_logs ON prediction_logs.id = prediction_id
        WHERE feedback_type = 'actual_price' AND verified AND bundle = :bundle AND user_feedback.ts < :until
          AND user_feedback.visitor IS NOT NULL AND assigned_variant IS NOT NULL
          AND prediction_logs.returning_visitor IS NOT FALSE AND {SOUND_VISIT} AND {SOUND_FEEDBACK}
        ORDER BY user_feedback.visitor, user_feedback.ts, user_feedback.id
    ) AS first
    ORDER BY ts, id LIMIT :most
    """  # noqa: S608
)


def actual_prices(
    connection: Connection, bundle: str, *, until: datetime, most: int = MOST_PRICES
) -> list[tuple[float, float, float, float]]:
    """Return (actual price, estimate, low, high) in lakh rupees, in order of arrival."""
    rows = connection.execute(_PRICES, {"bundle": bundle, "until": until, "most": most})
    return [(row.actual, row.estimate, row.interval_low, row.interval_high) for row in rows]


BEFORE = timedelta(days=7)
"""Segments of a window are compared with the same segments in this time before it."""


@dataclass(frozen=True)
class Observation:
    """The comparison of a variant in a window; `summary` is stored and returned by the API."""

    variant: Variant
    bundle: str
    since: datetime
    until: datetime
    summary: dict[str, Any]

    def report(self, run: str) -> drift_reports.Report:
        """Return the report to store under `run`."""
        return drift_reports.Report(
            variant=self.variant,
            bundle=self.bundle,
            window_start=self.since,
            window_end=self.until,
            data_points=int(self.summary["data_points"]),
            summary={**self.summary, "run": run},
        )


def observe(
    connection: Connection,
    variant: Variant,
    bundle: Bundle,
    until: datetime,
    hours: int,
    production: str | None = None,
    regional: Sequence[str] = (),
) -> Observation:
    """Compare the variant's visitors of the last `hours` before `until`; a candidate's also with `production`'s.

    `regional` are the regional bundles of production. Their visitors are compared with what the general bundle has
    learned, which is the whole city; the error is that of the general bundle alone.
    """
    since = until - timedelta(hours=hours)
    served = regional if variant == "production" else ()
    visits = live_comparison.visits(connection, variant, bundle.version, since=since, until=until, regional=served)
    prices = live_comparison.actual_prices(connection, bundle.version, until=until)
    earlier = since - BEFORE
    before = live_comparison.visits(connection, variant, bundle.version, since=earlier, until=since, regional=served)
    summary = compare(baseline_of_bundle(bundle.reference()), sample_of_visits(visits)).summary()
    left_out = live_comparison.left_out(connection, variant, bundle.version, since=since, until=until, regional=served)
    if left_out:
        summary["left_out"] = left_out
    summary["error"] = _error(bundle, prices, visits)
    summary["segments"] = compare_segments(before, visits, Locations(bundle.columns.locations))
    if production is not None:
        beside = live_comparison.visits(
            connection, "production", production, since=since, until=until, regional=regional
        )
        summary["arms"] = compare_variants(beside, visits)
    return Observation(variant, bundle.version, since, until, summary)


def _error(bundle: Bundle, prices: list[tuple[float, float, float, float]], visits: list[dict[str, Any]]) -> Any:
    """Return the error drift; None for a bundle without its hold-out error."""
    metrics, interval = bundle.manifest.metrics, bundle.columns.interval
    if "median_ape" not in metrics:
        return None
    middle = math.log(interval.upper_factor / interval.lower_factor)  # a bundle that is older than this metric
    holdout = Holdout(
        median_ape=metrics["median_ape"],
        coverage=metrics.get("interval_coverage", interval.coverage),
        log_width=metrics.get(INTERVAL_LOG_WIDTH, middle),
    )
    widths = [math.log(visit["high"] / visit["low"]) for visit in visits if 0 < visit["low"] <= visit["high"]]
    return error_drift(prices, holdout, widths).model_dump()
