"""Collector of the database: the split of the visitors, the last evaluation, the newest drift reports.

Every query is bounded by an index, a limit, and the statement timeout of the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from homeprices.adapters.database import transaction
from homeprices.experiment.sample_ratio import recorded_split
from homeprices.names import VARIANTS
from monitoring.exporter.metric_table import Sample

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from homeprices.release.experiment_record import ControlRecord

# Maximum number of the epoch's newest exposures that are counted, because more would make the query slow.
MAX_VISITS = 200_000

# By assigned variant, including fallbacks: a visitor whom production answered instead still counts as the candidate's.
VISITORS = text(
    """
    SELECT assigned_variant, count(DISTINCT visitor) FROM (
        SELECT assigned_variant, visitor FROM prediction_logs
        WHERE ts >= :since AND epoch = :epoch AND assigned_variant IS NOT NULL AND visitor IS NOT NULL
              AND returning_visitor IS NOT FALSE
        ORDER BY ts DESC LIMIT :most
    ) AS newest
    GROUP BY assigned_variant
    """
)
# The evidence of the newest interim look, on which the decision was based.
SPLIT = text(
    """
    SELECT jsonb_build_object('strata', evidence -> 'strata'), policy_document, evidence -> 'left_out'
    FROM ab_decisions
    WHERE experiment = :experiment AND evidence ? 'strata' ORDER BY ts DESC LIMIT 1
    """
)
# A manual action is no evaluation.
LAST_EVALUATION = text("SELECT max(ts) FROM ab_decisions WHERE policy <> 'person'")
DRIFT = text(
    """
    SELECT variant, ts, data_points, summary FROM (VALUES ('production'), ('candidate')) AS variants (variant_name)
    CROSS JOIN LATERAL (
        SELECT variant, ts, data_points, summary FROM drift_reports
        WHERE variant = variant_name AND window_end - window_start <= interval '1 day'
        ORDER BY ts DESC LIMIT 1
    ) AS newest
    """
)


class DatabaseCollector:
    """Reads the homeprices database. `record` returns the newest control record of the bucket."""

    name = "database"

    def __init__(self, engine: Engine, record: Callable[[], ControlRecord], max_visits: int = MAX_VISITS) -> None:
        self._engine, self._record, self._max_visits = engine, record, max_visits

    def collect(self) -> list[Sample]:
        """Return the current samples. Raises DatabaseUnavailable."""
        with transaction(self._engine) as connection:
            return [*self._split(connection), *_evaluation(connection), *_drift(connection)]

    def _split(self, connection: Connection) -> Iterator[Sample]:
        """Return the visitors of the current epoch, and the SRM test and exclusions of the newest interim look."""
        record = self._record()
        if record.state != "running" or not record.epochs:
            return
        values = {"since": record.epochs[-1].since, "epoch": record.epoch, "most": self._max_visits}
        counts = {row[0]: int(row[1]) for row in connection.execute(VISITORS, values)}
        for variant in VARIANTS:
            yield Sample("homeprices_experiment_visitors", counts.get(variant, 0), {"variant": variant})
        newest = connection.execute(SPLIT, {"experiment": record.experiment}).one_or_none()
        if newest is not None:
            evidence, policy, left_out = newest
            if (split := recorded_split(evidence, policy)) is not None:
                yield Sample("homeprices_experiment_sample_ratio_p_value", split.p_value)
                yield Sample("homeprices_experiment_sample_ratio_mismatch", float(split.mismatch))
            for reason, count in (left_out or {}).items():
                yield Sample("homeprices_experiment_left_out", count, {"reason": reason})


def _evaluation(connection: Connection) -> Iterator[Sample]:
    at = connection.execute(LAST_EVALUATION).scalar_one()
    if at is not None:
        name = "homeprices_process_last_success_timestamp_seconds"
        yield Sample(name, at.timestamp(), {"process": "evaluation"})


def _drift(connection: Connection) -> Iterator[Sample]:
    newest = None
    for variant, ts, data_points, summary in connection.execute(DRIFT):
        newest = max(newest or ts, ts)
        labels = {"variant": variant}
        yield Sample("homeprices_drift_report_timestamp_seconds", ts.timestamp(), labels)
        yield Sample("homeprices_drift_data_points", data_points, labels)
        error = summary.get("error") or {}
        drifts = summary.get("overall_drift_detected") or error.get("drift")
        yield Sample("homeprices_drift_detected", float(bool(drifts)), labels)
        if error:
            yield Sample("homeprices_drift_error_detected", float(bool(error.get("drift"))), labels)
            yield Sample("homeprices_drift_error_evidence", float(error.get("e_value", 1.0)), labels)
            yield Sample("homeprices_drift_error_prices", float(error.get("prices", 0)), labels)
        for feature, result in _indicators(summary):
            of_feature = {**labels, "feature": feature}
            yield Sample(
                "homeprices_drift_feature_significant", float(bool(result.get("significant_drift"))), of_feature
            )
            if isinstance(result.get("drift_percentage"), int | float):
                yield Sample("homeprices_drift_feature_change_ratio", result["drift_percentage"] / 100, of_feature)
            if isinstance(result.get("p_value"), int | float):
                yield Sample("homeprices_drift_feature_p_value", result["p_value"], of_feature)
            for measure, value in (result.get("effect") or {}).items():
                if isinstance(value, int | float):
                    yield Sample("homeprices_drift_feature_effect", value, {**of_feature, "measure": measure})
    if newest is not None:
        yield Sample("homeprices_process_last_success_timestamp_seconds", newest.timestamp(), {"process": "drift"})


def _indicators(summary: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(str(k), v) for k, v in dict(summary.get("drift_indicators") or {}).items() if isinstance(v, dict)]
