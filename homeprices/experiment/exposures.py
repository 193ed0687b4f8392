"""Exposures: one row for each visitor of an experiment, and one for each actual price, from the prediction log.

An exposure belongs to the experiment if the router assigned it in one of its epochs and its variant's bundle answered.
A fallback, a request of the candidate that production answered, carries production's bundle. A request without the
visitor's cookie is no exposure, because a client that keeps no cookies is a new visitor at every request.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, TextClause, text

from homeprices.adapters.database import raise_statement_timeout
from homeprices.names import VARIANTS, Variant
from homeprices.predictions.feedback import RATED_SQL, RATING_SQL, SOUND_FEEDBACK
from homeprices.predictions.log_queries import LONGEST_MILLISECONDS, SOUND_VISIT

MOST_PRICES = 20_000  # the newest; both models are run on each of them
# The hourly evaluation may take longer than a request: the statement timeout of the settings is for requests of
# visitors.
STATEMENT_TIMEOUT_SECONDS = 120
PACE_DAYS = 7  # days of the log that state how many requests come in a day
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class ExperimentWindow:
    """The experiment of `candidate` against `production` in its epochs, from `since` (inclusive) to `until`
    (exclusive).

    `recent` is the start of the last 24 hours; an answer that takes longer than `slow_over_ms` is slow. `regional` are
    the bundles that production serves in some places.
    """

    production: str
    candidate: str
    epochs: tuple[int, ...]
    since: datetime
    until: datetime
    recent: datetime
    slow_over_ms: float | None = None
    regional: tuple[str, ...] = ()

    @property
    def in_production(self) -> list[str]:
        """The versions that production serves."""
        return [self.production, *self.regional]


@dataclass(frozen=True)
class VisitorExposures:
    """Exposures of one visitor. `epoch`, `variant` and `network` are of the first one, at the time `first`.

    `network` is a keyed hash, None where the log knew none. `moved`: the visitor saw both variants. `exposures`
    includes `errors`, which another variant answered; `milliseconds` sums the variant's own answers.
    """

    visitor: str
    epoch: int
    variant: Variant
    moved: bool
    exposures: int
    recent: int
    busiest_day: int
    errors: int
    slow: int
    milliseconds: float
    milliseconds_squared: float
    network: str | None = None
    first: datetime = LONG_AGO


@dataclass(frozen=True)
class VisitorRatings:
    """The ratings of one visitor, one per estimate. Stars take precedence over quick feedback (accurate 5, too high or
    low 2).

    `first` is the time of the oldest one.
    """

    visitor: str
    ratings: int
    stars: float
    accurate: int
    too_high: int
    too_low: int
    of_fallbacks: int
    first: datetime = LONG_AGO


@dataclass(frozen=True)
class ActualPrice:
    """An actual price that a visitor reported for an estimate, both in lakh rupees, with the inputs."""

    visitor: str
    variant: Variant
    fallback: bool
    inputs: dict[str, Any]
    estimate: float
    price: float
    ts: datetime = LONG_AGO


# Valid numbers only: PostgreSQL sorts NaN above infinity.
_SOUND = f"NOT fallback AND milliseconds >= 0 AND milliseconds < {LONGEST_MILLISECONDS}"
_OF_ITS_VARIANT = """(
      (assigned_variant = 'production' AND bundle = ANY(:in_production))
      OR (assigned_variant = 'candidate' AND fallback AND bundle = ANY(:in_production))
      OR (assigned_variant = 'candidate' AND NOT fallback AND bundle = :candidate)
    )"""
_VISITS = f"""
    prediction_logs.ts >= :since AND prediction_logs.ts < :until AND prediction_logs.visitor IS NOT NULL
    AND prediction_logs.returning_visitor IS NOT FALSE
    AND assigned_variant IS NOT NULL AND epoch = ANY(:epochs) AND {_OF_ITS_VARIANT} AND {SOUND_VISIT}
"""
# Epochs never decrease, so the smallest is the first, and within one a visitor is in one variant.
_VISITORS = text(
    f"""
    WITH days AS (
        SELECT visitor, (ts AT TIME ZONE 'UTC')::date AS day, epoch, assigned_variant,
               count(*) AS exposures,
               count(*) FILTER (WHERE ts >= :recent) AS recent,
               count(*) FILTER (WHERE fallback) AS errors,
               count(*) FILTER (WHERE {_SOUND} AND milliseconds > :slow_over_ms) AS slow,
               sum(milliseconds) FILTER (WHERE {_SOUND}) AS milliseconds,
               sum(milliseconds * milliseconds) FILTER (WHERE {_SOUND}) AS milliseconds_squared,
               min(ts) AS first, (array_agg(network ORDER BY ts, id))[1] AS network
        FROM prediction_logs WHERE {_VISITS} GROUP BY 1, 2, 3, 4
    )
    SELECT visitor, min(epoch * 2 + (assigned_variant = 'candidate')::int) AS assignment,
           min(assigned_variant) <> max(assigned_variant) AS moved,
           sum(exposures)::bigint AS exposures, sum(recent)::bigint AS recent, max(exposures) AS busiest_day,
           sum(errors)::bigint AS errors, sum(slow)::bigint AS slow,
           coalesce(sum(milliseconds), 0) AS milliseconds,
           coalesce(sum(milliseconds_squared), 0) AS milliseconds_squared,
           min(first) AS first, (array_agg(network ORDER BY first))[1] AS network
    FROM days GROUP BY visitor
    """  # noqa: S608 (made of this module's own constants)
)
_RATERS = text(
    f"""
    WITH opinions AS (
        SELECT DISTINCT ON (prediction_logs.id)
               prediction_logs.visitor, fallback, feedback_type,
               {RATING_SQL} AS stars, user_feedback.ts AS said
        FROM prediction_logs JOIN user_feedback ON prediction_id = prediction_logs.id
        WHERE {_VISITS} AND verified AND user_feedback.ts < :until
          AND {RATED_SQL} AND {SOUND_FEEDBACK}
        ORDER BY prediction_logs.id, feedback_type = 'rating' DESC, user_feedback.ts DESC, user_feedback.id DESC
    )
    SELECT visitor,
           count(*) FILTER (WHERE NOT fallback) AS ratings,
           coalesce(sum(stars) FILTER (WHERE NOT fallback), 0) AS stars,
           count(*) FILTER (WHERE NOT fallback AND feedback_type = 'accurate') AS accurate,
           count(*) FILTER (WHERE NOT fallback AND feedback_type = 'too_high') AS too_high,
           count(*) FILTER (WHERE NOT fallback AND feedback_type = 'too_low') AS too_low,
           count(*) FILTER (WHERE fallback) AS of_fallbacks,
           min(said) AS first
    FROM opinions GROUP BY visitor
    """  # noqa: S608
)
# The rows that `_RATERS` reads, so that each of its visitors has a home.
_FIRST_HOMES = text(
    f"""
    WITH raters AS (
        SELECT DISTINCT prediction_logs.visitor FROM prediction_logs JOIN user_feedback
            ON prediction_id = prediction_logs.id
        WHERE {_VISITS} AND verified AND user_feedback.ts < :until AND {RATED_SQL} AND {SOUND_FEEDBACK}
    )
    SELECT DISTINCT ON (visitor) visitor, inputs FROM prediction_logs JOIN raters USING (visitor)
    WHERE {_VISITS} ORDER BY visitor, ts, id
    """  # noqa: S608
)
_PRICES = text(
    f"""
    SELECT prediction_logs.visitor, assigned_variant AS variant, fallback, inputs, estimate, feedback_value AS price,
           user_feedback.ts
    FROM prediction_logs JOIN user_feedback ON prediction_id = prediction_logs.id
    WHERE {_VISITS} AND verified AND feedback_type = 'actual_price' AND user_feedback.ts < :until
      AND {SOUND_FEEDBACK}
    ORDER BY prediction_logs.id DESC LIMIT {MOST_PRICES}
    """  # noqa: S608
)
_P99 = text(
    f"""
    SELECT assigned_variant AS variant, percentile_cont(0.99) WITHIN GROUP (ORDER BY milliseconds) AS milliseconds
    FROM prediction_logs WHERE {_VISITS} AND {_SOUND} GROUP BY 1
    """  # noqa: S608
)
_LEFT_OUT = text(
    f"""
    WITH requests AS (
        SELECT *, returning_visitor IS NOT FALSE AND assigned_variant IS NOT NULL AS counts, {SOUND_VISIT} AS sound
        FROM prediction_logs WHERE ts >= :since AND ts < :until AND epoch = ANY(:epochs)
    )
    SELECT count(*) FILTER (WHERE returning_visitor IS FALSE) AS no_cookie,
           (SELECT count(*) FROM requests JOIN user_feedback ON prediction_id = requests.id
            WHERE requests.returning_visitor IS FALSE) AS feedback_no_cookie,
           count(*) FILTER (WHERE counts AND visitor IS NULL) AS anonymous,
           count(*) FILTER (WHERE counts AND visitor IS NOT NULL AND NOT {_OF_ITS_VARIANT}) AS other_bundle,
           count(*) FILTER (WHERE counts AND visitor IS NOT NULL AND {_OF_ITS_VARIANT} AND NOT sound) AS malformed
    FROM requests
    """  # noqa: S608
)
_UNCOUNTED = text(
    f"""
    SELECT count(*) FILTER (WHERE NOT verified) AS of_another_visitor,
           count(*) FILTER (WHERE verified AND user_feedback.ts >= :until) AS late,
           count(*) FILTER (WHERE verified AND user_feedback.ts < :until AND NOT {SOUND_FEEDBACK}) AS malformed_feedback
    FROM prediction_logs JOIN user_feedback ON prediction_id = prediction_logs.id WHERE {_VISITS}
    """  # noqa: S608
)

_OF_CANDIDATE = text(
    f"SELECT count(*) AS exposures FROM prediction_logs WHERE {_VISITS} AND assigned_variant = 'candidate'"  # noqa: S608
)
_REQUESTS = text(
    f"""
    SELECT count(*) FROM prediction_logs
    WHERE ts >= :since AND ts < :until AND visitor IS NOT NULL AND returning_visitor IS NOT FALSE AND {SOUND_VISIT}
    """  # noqa: S608
)


def visitors(connection: Connection, window: ExperimentWindow) -> list[VisitorExposures]:
    """Return every visitor of the experiment."""
    rows = _rows(connection, _VISITORS, window)
    return [
        VisitorExposures(epoch=row["assignment"] // 2, variant=VARIANTS[row.pop("assignment") % 2], **row)
        for row in rows
    ]


def raters(connection: Connection, window: ExperimentWindow) -> list[VisitorRatings]:
    """Return the ratings of every visitor with verified feedback."""
    return [VisitorRatings(**row) for row in _rows(connection, _RATERS, window)]


def first_homes(connection: Connection, window: ExperimentWindow) -> dict[str, dict[str, Any]]:
    """Return the inputs of the first exposure of every visitor with a rating, whichever variant answered it."""
    return {row["visitor"]: row["inputs"] for row in _rows(connection, _FIRST_HOMES, window)}


def prices(connection: Connection, window: ExperimentWindow) -> list[ActualPrice]:
    """Return the newest actual prices from verified feedback."""
    return [ActualPrice(**row) for row in _rows(connection, _PRICES, window)]


def requests_a_day(connection: Connection, until: datetime) -> float:
    """Return the requests a day that can be exposures, of either variant, in the days before `until`."""
    raise_statement_timeout(connection, STATEMENT_TIMEOUT_SECONDS)
    values = {"since": until - timedelta(days=PACE_DAYS), "until": until}
    return float(connection.execute(_REQUESTS, values).scalar_one()) / PACE_DAYS


def candidate_exposures(connection: Connection, window: ExperimentWindow) -> int:
    """Return the candidate's exposures in the window, of all visitors."""
    [row] = _rows(connection, _OF_CANDIDATE, window)
    return int(row["exposures"])


def p99_milliseconds(connection: Connection, window: ExperimentWindow) -> dict[str, float]:
    """Return the 99th percentile latency in ms by variant, without a variant that has answered no request."""
    return {row["variant"]: row["milliseconds"] for row in _rows(connection, _P99, window)}


def left_out(connection: Connection, window: ExperimentWindow) -> dict[str, int]:
    """Return the excluded exposures and feedback of the window, by reason."""
    [visits], [opinions] = _rows(connection, _LEFT_OUT, window), _rows(connection, _UNCOUNTED, window)
    return {**visits, **opinions}


def _rows(connection: Connection, statement: TextClause, window: ExperimentWindow) -> list[dict[str, Any]]:
    values = {
        **vars(window),
        "in_production": window.in_production,
        "epochs": list(window.epochs),
        "slow_over_ms": window.slow_over_ms if window.slow_over_ms is not None else "Infinity",
    }
    return [dict(row) for row in connection.execute(statement, values).mappings()]
