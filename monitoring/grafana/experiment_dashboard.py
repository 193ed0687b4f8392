"""Which model do visitors prefer, and may the numbers be trusted?"""

from monitoring.grafana.panels import Annotation, Dashboard, Prom, Row, Sql, lines, stat, table

# Ratings that count: of the visitor who was given the estimate, by the arm that gave it.
RATINGS = """
FROM prediction_logs JOIN user_feedback ON prediction_id = prediction_logs.id
WHERE $__timeFilter(prediction_logs.ts) AND assigned_variant IS NOT NULL AND NOT fallback
  AND verified AND feedback_type = 'rating'
""".strip()

# 95 % interval of a mean; of a single rating there is none.
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
            "Always valid. Below 0.001 no decision of this experiment can be trusted.",
            Prom("homeprices_experiment_sample_ratio_p_value", "p"),
            width=4,
            decimals=4,
        ),
        stat(
            "Running for",
            "Since the experiment began.",
            Prom("time() - homeprices_experiment_started_timestamp_seconds", "age"),
            unit="s",
            width=6,
        ),
        stat("Epoch", "Obeyed by the router.", Prom("router_experiment_epoch", "epoch"), width=6),
        lines(
            "Share of the visitors, planned and seen",
            "Of the running epoch, by the arm that the visitor was assigned to.",
            Prom("homeprices_experiment_planned_share", "{{variant}} planned"),
            Prom("experiment:visitors:share", "{{variant}} seen"),
            unit="percentunit",
            width=12,
        ),
        lines(
            "Visitors of this epoch", "By assigned arm.", Prom("homeprices_experiment_visitors", "{{variant}}"), width=6
        ),
        lines(
            "Share at the router",
            "What Nginx obeys.",
            Prom("router_candidate_share_percent", "candidate"),
            unit="percent",
            width=6,
        ),
    ),
)

VERDICT = Row(
    "What do visitors say?",
    (
        table(
            "Ratings by arm, with their 95 % interval",
            "Stars from 1 to 5 within the window of the page.",
            Sql(
                "SELECT assigned_variant AS arm, bundle, count(*) AS ratings, round(avg(feedback_value)::numeric, 3) AS mean,\n"
                f"  round((avg(feedback_value) - {INTERVAL})::numeric, 3) AS low,\n"
                f"  round((avg(feedback_value) + {INTERVAL})::numeric, 3) AS high\n"
                f"{RATINGS}\nGROUP BY 1, 2 ORDER BY 1, 2"
            ),
        ),
        lines(
            "Rating by arm, with its 95 % interval",
            "Mean of the ratings that came in each stretch of time.",
            Sql(
                f"SELECT $__timeGroupAlias(prediction_logs.ts, $__interval), assigned_variant AS metric, avg(feedback_value) AS mean,\n"
                f"  avg(feedback_value) - {INTERVAL} AS low, avg(feedback_value) + {INTERVAL} AS high\n"
                f"{RATINGS}\nGROUP BY 1, 2 ORDER BY 1, 2"
            ),
            width=12,
        ),
        table(
            "Decisions",
            "Newest first, with the reason that is on record.",
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
            "Fallbacks, 10 minutes. 5 % raise an alert.",
            Prom("candidate:fallbacks:ratio_rate10m", "share"),
            unit="percentunit",
        ),
        lines(
            "Fallbacks",
            "As the router and as production count them.",
            Prom("rate(router_fallbacks_total[$__rate_interval])", "router"),
            Prom('sum(rate(prediction_fallbacks_total{variant="production"}[$__rate_interval]))', "production"),
            unit="reqps",
        ),
        lines(
            "Circuit breaker",
            "1 while it keeps the share at zero; and how often it has tripped.",
            Prom("router_breaker_open", "open"),
            Prom("router_breaker_trips_total", "trips"),
        ),
        lines(
            "Duration by arm, 99 %",
            "At the router, by assigned arm, fallbacks included.",
            Prom(
                "histogram_quantile(0.99, sum by (assigned_variant, le) (rate(router_prediction_duration_seconds_bucket[$__rate_interval])))",
                "{{assigned_variant}}",
            ),
            unit="s",
        ),
        lines(
            "Estimate by arm",
            "Median, lakh rupees.",
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
    "Assignment against plan, ratings of both arms with their intervals, guardrails, decisions.",
    (SPLIT, VERDICT, GUARDRAILS),
    (DECISIONS,),
    "now-7d",
)
