"""The Experiment dashboard: the split of visitors, ratings by variant, guardrails, decisions."""

from homeprices.words import PRICE_UNIT
from monitoring.grafana.panels import Annotation, Dashboard, Prom, Row, Sql, lines, stat, table

# Verified ratings by assigned variant, without fallbacks.
RATINGS = """
FROM prediction_logs JOIN user_feedback ON prediction_id = prediction_logs.id
WHERE $__timeFilter(prediction_logs.ts) AND assigned_variant IS NOT NULL AND NOT fallback
  AND verified AND feedback_type = 'rating'
""".strip()

# Half width of the 95 % interval of a mean; null for a single rating.
INTERVAL = "1.96 * stddev_samp(feedback_value) / sqrt(count(*))"

DECISIONS = Annotation(
    "Decisions",
    "SELECT extract(epoch from ts) AS time, outcome || ' ' || candidate || coalesce(' as ' || result_version, '') || ': ' || reason AS text,"
    " outcome AS tags FROM ab_decisions WHERE $__timeFilter(ts) AND outcome <> 'continue' ORDER BY ts LIMIT 500",
)

SPLIT = Row(
    "Are visitors split as planned?",
    (
        stat("Running", "1 while a candidate has a share.", Prom("homeprices_experiment_running", "running"), width=4),
        stat(
            "Stopped", "1 while the share is held at zero.", Prom("homeprices_experiment_stopped", "stopped"), width=4
        ),
        stat(
            "Sample ratio, p-value",
            "Always valid, of the newest look. The experiment is invalid below the policy's error rate (0.01).",
            Prom("homeprices_experiment_sample_ratio_p_value", "p"),
            width=4,
            decimals=4,
        ),
        stat(
            "Running for",
            "Since the experiment began.",
            Prom("time() - homeprices_experiment_started_timestamp_seconds", "age"),
            unit="s",
            width=4,
        ),
        stat(
            "Phase",
            "1 while a model is in that phase, on its way from shadow to production.",
            Prom("homeprices_experiment_phase", "{{phase}}"),
            width=4,
        ),
        stat("Epoch", "Applied by the router.", Prom("router_experiment_epoch", "epoch"), width=4),
        lines(
            "Share of the visitors, planned and observed",
            "In the current epoch, by assigned variant.",
            Prom("homeprices_experiment_planned_share", "{{variant}} planned"),
            Prom("experiment:visitors:share", "{{variant}} observed"),
            unit="percentunit",
            width=12,
        ),
        lines(
            "Visitors of this epoch",
            "By assigned variant.",
            Prom("homeprices_experiment_visitors", "{{variant}}"),
            width=6,
        ),
        lines(
            "Left out, by reason",
            "What does not count in the experiment, at the newest look.",
            Prom("homeprices_experiment_left_out", "{{reason}}"),
            width=6,
        ),
        lines(
            "Share at the router",
            "Share in Nginx's current configuration.",
            Prom("router_candidate_share_percent", "candidate"),
            unit="percent",
            width=6,
        ),
    ),
)

VERDICT = Row(
    "Ratings and decisions",
    (
        table(
            "Ratings by variant, with their 95 % interval",
            "Stars from 1 to 5 within the window of the page.",
            Sql(
                "SELECT assigned_variant AS variant, bundle, count(*) AS ratings, round(avg(feedback_value)::numeric, 3) AS mean,\n"
                f"  round((avg(feedback_value) - {INTERVAL})::numeric, 3) AS low,\n"
                f"  round((avg(feedback_value) + {INTERVAL})::numeric, 3) AS high\n"
                f"{RATINGS}\nGROUP BY 1, 2 ORDER BY 1, 2"
            ),
        ),
        lines(
            "Rating by variant, with its 95 % interval",
            "Mean of the ratings in each interval.",
            Sql(
                f"SELECT $__timeGroupAlias(prediction_logs.ts, $__interval), assigned_variant AS metric, avg(feedback_value) AS mean,\n"
                f"  avg(feedback_value) - {INTERVAL} AS low, avg(feedback_value) + {INTERVAL} AS high\n"
                f"{RATINGS}\nGROUP BY 1, 2 ORDER BY 1, 2"
            ),
            width=12,
        ),
        table(
            "Decisions",
            "Newest first, with the recorded reason.",
            Sql(
                "SELECT ts AS time, experiment, outcome, reason, result_version, policy, actor FROM ab_decisions\n"
                "WHERE $__timeFilter(ts) ORDER BY ts DESC LIMIT 100"
            ),
            width=24,
        ),
    ),
)

GUARDRAILS = Row(
    "Guardrails",
    (
        lines(
            "Candidate's visitors answered by production",
            "Fallbacks, 10 minutes. Above 5 % an alert fires.",
            Prom("candidate:fallbacks:ratio_rate10m", "share"),
            unit="percentunit",
        ),
        lines(
            "Fallbacks",
            "As counted by the router and by production.",
            Prom("rate(router_fallbacks_total[$__rate_interval])", "router"),
            Prom('sum(rate(prediction_fallbacks_total{variant="production"}[$__rate_interval]))', "production"),
            unit="reqps",
        ),
        lines(
            "Circuit breaker",
            "1 while it holds the share at zero, and the number of trips.",
            Prom("router_breaker_open", "open"),
            Prom("router_breaker_trips_total", "trips"),
        ),
        lines(
            "Duration by variant, 99 %",
            "At the router, by assigned variant, including fallbacks.",
            Prom(
                "histogram_quantile(0.99, sum by (assigned_variant, le) (rate(router_prediction_duration_seconds_bucket[$__rate_interval])))",
                "{{assigned_variant}}",
            ),
            unit="s",
        ),
        lines(
            "Estimate by variant",
            f"Median, {PRICE_UNIT}.",
            Sql(
                "SELECT $__timeGroupAlias(ts, $__interval), assigned_variant AS metric,\n"
                "  percentile_cont(0.5) WITHIN GROUP (ORDER BY estimate) AS median\n"
                "FROM prediction_logs WHERE $__timeFilter(ts) AND assigned_variant IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2"
            ),
            width=16,
        ),
    ),
)

DASHBOARD = Dashboard(
    "homeprices-experiment",
    "Experiment",
    "Assignment against plan, ratings of both variants with their intervals, guardrails, decisions.",
    (SPLIT, VERDICT, GUARDRAILS),
    (DECISIONS,),
    "now-7d",
)
