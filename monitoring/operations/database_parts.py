"""What the database says: the newest look at the experiment, the last decisions, drift, and traffic.

Every query is bounded by an index, a limit, and the statement timeout of the engine. Decisions are read with a query
of their own, because the decision log needs SciPy, which the exporter's image does not have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import text

from homeprices.adapters.database import snapshot, transaction
from homeprices.experiment.evidence import Evidence, VariantSummary
from homeprices.experiment.sample_ratio import recorded_split
from homeprices.foreign_text import LONG, printable
from homeprices.names import VARIANTS
from homeprices.predictions import drift_reports, log_queries
from homeprices.registry import versions
from monitoring.operations.parts import Data

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

DECISIONS_SHOWN = 10
PERSON = "person"
"""The policy of a manual action, which has no report."""
DAY_HOURS = 24

_DECISIONS = text(
    """
    SELECT id, ts, experiment, candidate, outcome, reason, actor, result_version, policy FROM ab_decisions
    ORDER BY id DESC LIMIT :most
    """
)
# The revert of a regional bundle publishes nothing. Its result is the general bundle, which was published before.
_PUBLISHED = text(
    """
    SELECT result_version, id, ts, policy FROM ab_decisions WHERE result_version <> candidate
    ORDER BY id DESC LIMIT :most
    """
)
_LOOK = text(
    """
    SELECT id, ts, experiment, outcome, reason, policy, evidence, policy_document FROM ab_decisions
    WHERE evidence ? 'strata' ORDER BY id DESC LIMIT 1
    """
)
# How the experiment has ended since: a person decides without a look.
_END = text(
    """
    SELECT id, ts, outcome, reason, actor FROM ab_decisions
    WHERE experiment = :experiment AND id > :look AND policy = :person AND outcome IN ('promote', 'rollback')
    ORDER BY id DESC LIMIT 1
    """
)
_LOOKS = text(
    """
    SELECT count(*), coalesce(bool_or(statistics ? 'two_sided_lower'), false),
        coalesce(bool_or(evidence #>> '{candidate,mean_rating}' IS NOT NULL
                         OR evidence #>> '{production,mean_rating}' IS NOT NULL), false)
    FROM ab_decisions WHERE experiment = :experiment AND evidence ? 'strata'
    """
)
_DURATION: TypeAdapter[timedelta] = TypeAdapter(timedelta)


class DatabaseParts:
    """Reads the homeprices database with the right to select."""

    def __init__(self, engine: Engine, clock: Callable[[], datetime] = versions.utc_now) -> None:
        self._engine, self._clock = engine, clock

    def experiment(self) -> Data:
        """Return the newest look at an experiment, which may have ended since."""
        with transaction(self._engine) as connection:
            row = connection.execute(_LOOK).mappings().one_or_none()
            if row is None:
                return {"look": None}
            looks, effect, rating = connection.execute(_LOOKS, {"experiment": row["experiment"]}).one()
            values = {"experiment": row["experiment"], "look": row["id"], "person": PERSON}
            ended = connection.execute(_END, values).mappings().one_or_none()
        look: Data = {
            "decision": row["id"],
            "at": row["ts"].isoformat(),
            "experiment": printable(row["experiment"]),
            "outcome": printable(row["outcome"]),
            "reason": printable(row["reason"], LONG),
            "policy": printable(row["policy"]),
            "looks": looks,
            "chart": "effect" if effect else "rating" if rating else None,  # not every policy estimates the effect
            "ended": None if ended is None else _decision(dict(ended)),
        }
        try:
            evidence = Evidence.model_validate(row["evidence"])
            look |= _evidence(evidence) | {"still": _still(evidence, row["policy_document"] or {})}
            look["split"] = str(recorded_split(row["evidence"], row["policy_document"]))
        except (ValidationError, KeyError, TypeError, AttributeError) as error:
            look["problem"] = printable(f"the evidence of decision {row['id']} cannot be read: {error}", LONG)
        return {"look": look}

    def decisions(self) -> Data:
        """Return the last decisions, newest first, and the decision that published each of the last versions."""
        with transaction(self._engine) as connection:
            rows = [dict(row) for row in connection.execute(_DECISIONS, {"most": DECISIONS_SHOWN}).mappings()]
            published = connection.execute(_PUBLISHED, {"most": DECISIONS_SHOWN}).all()
        last = [
            {
                **_decision(row),
                **{name: printable(row[name]) for name in ("experiment", "candidate")},
                "result_version": row["result_version"] and printable(row["result_version"]),
                "has_page": row["policy"] != PERSON,
            }
            for row in rows
        ]
        by_version = {
            version: {"decision": number, "at": ts.isoformat(), "has_page": policy != PERSON}
            for version, number, ts, policy in published
        }
        return {"last": last, "published": by_version}

    def drift(self) -> Data:
        """Return the newest report of the last day on each variant."""
        with transaction(self._engine) as connection:
            return {variant: _drift(drift_reports.newest(connection, variant, DAY_HOURS)) for variant in VARIANTS}

    def log(self) -> Data:
        """Return the traffic and feedback of the last 24 hours by the variant that answered."""
        now = self._clock()
        with snapshot(self._engine) as connection:
            found = log_queries.metrics(connection, since=now - timedelta(hours=DAY_HOURS), until=now)
            newest = _newest(connection)
        return {
            "hours": DAY_HOURS,
            "newest_prediction_at": newest,
            "variants": {v: _traffic(m) for v, m in sorted(found.items(), reverse=True)},
        }


def _decision(row: Mapping[str, Any]) -> Data:
    return {
        "decision": row["id"],
        "at": row["ts"].isoformat(),
        "outcome": printable(row["outcome"]),
        "actor": printable(row["actor"]),
        "reason": printable(row["reason"], LONG),
    }


def _evidence(evidence: Evidence) -> Data:
    variants = {"production": evidence.production, "candidate": evidence.candidate}
    return {
        "started_at": evidence.started_at.isoformat(),
        "day": round(evidence.age / timedelta(days=1), 2),
        "variants": {name: _summary(summary) for name, summary in variants.items()},
        "left_out": {printable(name): count for name, count in evidence.left_out.items() if count},
        "drift": None if evidence.drift is None else printable(evidence.drift, LONG),
    }


def _summary(summary: VariantSummary) -> Data:
    names = ("bundle", "requests", "visitors", "errors", "mean_latency_ms", "ratings", "mean_rating", "rated_visitors")
    return {name: getattr(summary, name) for name in (*names, "prices")}


def _still(evidence: Evidence, policy: dict[str, Any]) -> str:
    least = (policy.get("minimum") or {}).get("rated_visitors")
    longest = _DURATION.validate_python(policy["longest"])
    return evidence.time_left(longest, least, policy.get("expected_visitors") if least else None)


def _drift(report: drift_reports.Report | None) -> Data | None:
    if report is None:
        return None
    error = report.summary.get("error") or {}
    return {
        "at": (report.ts or report.window_end).isoformat(),
        "bundle": report.bundle,
        "homes": report.data_points,
        "detected": bool(report.summary.get("overall_drift_detected") or error.get("drift")),
        "sentence": printable(
            str(error.get("sentence") if error.get("drift") else report.summary.get("sentence")), LONG
        ),
    }


def _newest(connection: Connection) -> str | None:
    newest = connection.execute(text("SELECT max(ts) FROM prediction_logs")).scalar_one()
    return None if newest is None else newest.isoformat()


def _traffic(metrics: dict[str, Any]) -> Data:
    names = ("requests", "fallbacks", "visitors", "p95_milliseconds", "mean_rating")
    return {**{name: metrics.get(name) for name in names}, "feedback": metrics.get("feedback") or {}}
