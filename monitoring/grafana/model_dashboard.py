"""The Model dashboard: versions, age, the distribution of estimates, and drift by feature."""

from homeprices.words import ADDED, BAND, PRICE_UNIT
from monitoring.grafana.experiment_dashboard import DECISIONS
from monitoring.grafana.panels import Dashboard, Prom, Row, Sql, bars, lines, stat

VERSIONS = Row(
    "Versions",
    (
        stat(
            "Served",
            "Number of the bundle: 3 for BO3 or CO3.",
            Prom("max by (variant) (model_version_number)", "{{variant}}"),
        ),
        stat("Published", "Highest complete bundle in the bucket.", Prom("homeprices_bundle_number", "{{variant}}")),
        stat(
            "Age of the served model",
            "Since it was trained.",
            Prom("time() - max by (variant) (model_trained_timestamp_seconds > 0)", "{{variant}}"),
            unit="s",
        ),
        stat(
            "Age of the published model",
            "Since it was trained.",
            Prom("time() - homeprices_bundle_created_timestamp_seconds", "{{variant}}"),
            unit="s",
        ),
        lines(
            "Version by instance",
            "Replicas that differ for long are a fault.",
            Prom("model_version_number", "{{variant}} {{instance}}"),
        ),
        lines(
            "Regional bundles",
            "Places in which production serves each, by the regional record.",
            Prom("homeprices_regional_places", "{{version}}"),
        ),
        lines(
            "Stale or rejected",
            "Stale: loaded from the local copy, not confirmed by the bucket. Rejected: number of the version that failed its checks.",
            Prom("max by (variant) (model_stale)", "{{variant}} stale"),
            Prom("max by (variant) (model_rejected_version)", "{{variant}} rejected"),
        ),
        lines(
            "Polls for a newer model",
            "By outcome.",
            Prom(  # the former values are exported until the next release
                "sum by (variant, outcome) "
                '(rate(model_polls_total{outcome!~"same|swapped|refused|none"}[$__rate_interval]))',
                "{{variant}} {{outcome}}",
            ),
            unit="reqps",
        ),
        lines(
            "Hold-out metrics",
            "Of the newest bundle of each variant, from its manifest.",
            Prom('homeprices_bundle_metric{metric=~".*(ape|within).*"}', "{{variant}} {{metric}}"),
            width=24,
        ),
    ),
)

ANSWERS = Row(
    "Estimates",
    (
        bars(
            "Distribution of the estimates",
            f"Number of estimates in each band of {BAND} {PRICE_UNIT}, by served variant.",
            Sql(
                f"SELECT lpad((least(floor(estimate / {BAND}), 20) * {BAND})::text, {len(str(20 * BAND))}, '0') AS {ADDED},\n"
                "  count(*) FILTER (WHERE served_variant = 'production') AS production,\n"
                "  count(*) FILTER (WHERE served_variant = 'candidate') AS candidate\n"
                "FROM prediction_logs WHERE $__timeFilter(ts) GROUP BY 1 ORDER BY 1"
            ),
            width=12,
        ),
        lines(
            "Estimates over time",
            f"10th, 50th and 90th percentile, {PRICE_UNIT}.",
            Sql(
                "SELECT $__timeGroupAlias(ts, $__interval), served_variant AS metric,\n"
                "  percentile_cont(0.1) WITHIN GROUP (ORDER BY estimate) AS tenth,\n"
                "  percentile_cont(0.5) WITHIN GROUP (ORDER BY estimate) AS median,\n"
                "  percentile_cont(0.9) WITHIN GROUP (ORDER BY estimate) AS nine_tenths\n"
                "FROM prediction_logs WHERE $__timeFilter(ts) GROUP BY 1, 2 ORDER BY 1, 2"
            ),
            width=12,
        ),
    ),
)

DRIFT = Row(
    "Drift",
    (
        stat("Drift", "1: the newest report found drift.", Prom("homeprices_drift_detected", "{{variant}}"), width=8),
        stat(
            "Estimates compared", "In the newest report.", Prom("homeprices_drift_data_points", "{{variant}}"), width=8
        ),
        stat(
            "Age of the report",
            "Made daily.",
            Prom("time() - homeprices_drift_report_timestamp_seconds", "{{variant}}"),
            unit="s",
            width=8,
        ),
        lines(
            "Change of the mean by feature",
            "Against the reference in the bundle.",
            Prom("homeprices_drift_feature_change_ratio", "{{variant}} {{feature}}"),
            unit="percentunit",
            width=12,
        ),
        lines(
            "Features that drifted",
            "1: by the newest report.",
            Prom("homeprices_drift_feature_significant", "{{variant}} {{feature}}"),
            width=12,
        ),
        lines(
            "p-value of each feature",
            "Adjusted for all features; 0.05 or less is drift.",
            Prom("homeprices_drift_feature_p_value", "{{variant}} {{feature}}"),
            width=12,
        ),
        lines(
            "Effect size of each feature",
            "Population stability index beyond chance: 0 without a change.",
            Prom('homeprices_drift_feature_effect{measure="stability_index"}', "{{variant}} {{feature}}"),
            width=12,
        ),
        stat(
            "The error has grown",
            "1: shown by the actual prices that visitors reported.",
            Prom("homeprices_drift_error_detected", "{{variant}}"),
            width=8,
        ),
        stat(
            "e-value of a larger error",
            "From 100 on it counts as drift.",
            Prom("homeprices_drift_error_evidence", "{{variant}}"),
            width=8,
        ),
        stat(
            "Actual prices",
            "Number behind that e-value.",
            Prom("homeprices_drift_error_prices", "{{variant}}"),
            width=8,
        ),
    ),
)

DASHBOARD = Dashboard(
    "homeprices-model",
    "Model",
    "Version, age, distribution of the estimates, drift by feature.",
    (VERSIONS, ANSWERS, DRIFT),
    (DECISIONS,),
    "now-7d",
)
