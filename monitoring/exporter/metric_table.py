"""The table of the exporter's metrics, and the samples that must match it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

BUNDLE_LABELS = ("variant", "kind")  # `kind` (BO, CO) is removed in the next release

# name: (labels, help). All are gauges: of the last poll, with times in seconds since 1970.
METRICS: dict[str, tuple[tuple[str, ...], str]] = {
    "homeprices_dependency_up": (("dependency",), "1 when the dependency answered the last poll, else 0"),
    "homeprices_dependency_check_duration_seconds": (("dependency",), "Duration of the last check"),
    "homeprices_dependency_last_success_timestamp_seconds": (("dependency",), "The last successful check"),
    "homeprices_bundle_number": (BUNDLE_LABELS, "Number of the highest complete bundle: 3 for BO3"),
    "homeprices_bundle_created_timestamp_seconds": (BUNDLE_LABELS, "When that bundle's model was trained"),
    "homeprices_bundle_metric": ((*BUNDLE_LABELS, "metric"), "That bundle's hold-out metrics, from its manifest"),
    "homeprices_regional_places": (("version",), "Places in which production serves this regional bundle; none: 0"),
    "homeprices_process_last_success_timestamp_seconds": (("process",), "Last successful end of a recurring process"),
    "homeprices_experiment_running": ((), "1 while a candidate has a share of the visitors"),
    "homeprices_experiment_phase": (("phase",), "1 while a model is in that phase, else 0"),
    "homeprices_experiment_stopped": ((), "1 while an experiment's share is held at zero"),
    "homeprices_experiment_started_timestamp_seconds": ((), "When the experiment began; absent without one"),
    "homeprices_experiment_planned_share": (("variant",), "Share of the visitors by the control record, 0 to 1"),
    "homeprices_experiment_visitors": (
        ("variant",),
        "Visitors of this epoch by assigned variant, among its newest visits",
    ),
    "homeprices_experiment_sample_ratio_p_value": ((), "Always-valid p-value of the planned split, at the newest look"),
    "homeprices_experiment_sample_ratio_mismatch": (
        (),
        "1 when the newest look's policy finds the split not as planned",
    ),
    "homeprices_experiment_left_out": (("reason",), "What does not count in the experiment, at the newest look"),
    "homeprices_drift_report_timestamp_seconds": (("variant",), "When the newest drift report was made"),
    "homeprices_drift_data_points": (("variant",), "Estimates in the newest drift report"),
    "homeprices_drift_detected": (
        ("variant",),
        "1 when the newest drift report found drift, of inputs or of the error",
    ),
    "homeprices_drift_error_detected": (("variant",), "1 when actual prices show that the error has grown"),
    "homeprices_drift_error_evidence": (("variant",), "e-value of a larger error; 100 or more counts as drift"),
    "homeprices_drift_error_prices": (("variant",), "Number of actual prices behind that e-value"),
    "homeprices_drift_feature_p_value": (("variant", "feature"), "p-value of that report, adjusted for all features"),
    "homeprices_drift_feature_effect": (("variant", "feature", "measure"), "Effect size of the feature's change"),
    "homeprices_drift_feature_significant": (("variant", "feature"), "1 when the feature drifted by that report"),
    "homeprices_drift_feature_change_ratio": (("variant", "feature"), "Change of the mean against the reference"),
    "homeprices_airflow_component_healthy": (("component",), "1 when Airflow reports this component as healthy"),
    "homeprices_dag_runs": (("dag", "state"), "Runs of the DAG that are queued or running"),
    "homeprices_dag_paused": (("dag",), "1 while somebody has paused the DAG in Airflow"),
    "homeprices_dag_last_run_failed": (("dag",), "1 when the last finished run failed"),
    "homeprices_dag_last_success_timestamp_seconds": (("dag",), "End of the last successful run"),
    "homeprices_dag_last_success_duration_seconds": (("dag",), "Duration of the last successful run"),
    "homeprices_notifications_failed": (("channel",), "Notifications that could not be delivered, so far"),
    "homeprices_spool_limit_bytes": ((), "Limit of a service's spool, from the settings"),
    "homeprices_disk_free_bytes": (("place",), "Free space where the services keep their state"),
    "homeprices_disk_size_bytes": (("place",), "Size of that file system"),
}
# Removed in the next release: the former names, exported in addition to the present ones.
FORMER_NAMES = {
    "homeprices_dependency_check_duration_seconds": "homeprices_dependency_look_seconds",
    "homeprices_dependency_last_success_timestamp_seconds": "homeprices_dependency_seen_timestamp_seconds",
    "homeprices_notifications_failed": "homeprices_notices_undelivered",
}
METRICS |= {former: METRICS[name] for name, former in FORMER_NAMES.items()}


@dataclass(frozen=True)
class Sample:
    """One value. `labels` are those of this name in the table."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


def families(samples: Iterable[Sample]) -> Iterator[Metric]:
    """Group samples into metric families by name. Raises KeyError for a name or label that is not in the table."""
    by_name: dict[str, GaugeMetricFamily] = {}
    for sample in samples:
        labels, text = METRICS[sample.name]
        for name in filter(None, (sample.name, FORMER_NAMES.get(sample.name))):
            family = by_name.setdefault(name, GaugeMetricFamily(name, text, labels=labels))
            family.add_metric([sample.labels[label] for label in labels], sample.value)
    yield from by_name.values()
