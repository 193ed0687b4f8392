"""Do training, evaluation and drift check happen, and is what they need there?"""

from monitoring.grafana.experiment_dashboard import DECISIONS
from monitoring.grafana.panels import Dashboard, Prom, Row, Sql, bars, lines, stat

PROCESSES = Row(
    "Processes",
    (
        stat(
            "Since the last good end",
            "Training weekly, evaluation hourly, drift check daily. Holds when Airflow is gone.",
            Prom("time() - homeprices_process_last_success_timestamp_seconds", "{{process}}"),
            unit="s",
            width=12,
        ),
        stat(
            "Duration of the last good run",
            "By DAG.",
            Prom("homeprices_dag_last_success_duration_seconds", "{{dag}}"),
            unit="s",
            width=12,
        ),
        lines(
            "Runs that wait or run",
            "By DAG; each runs one at a time.",
            Prom("homeprices_dag_runs", "{{dag}} {{state}}"),
            width=8,
        ),
        lines(
            "Last run failed",
            "1: the last run that ended had failed.",
            Prom("homeprices_dag_last_run_failed", "{{dag}}"),
            width=8,
        ),
        lines(
            "Since the last good run",
            "By Airflow's account.",
            Prom("time() - homeprices_dag_last_success_timestamp_seconds", "{{dag}}"),
            unit="s",
            width=8,
        ),
    ),
)

OUTCOMES = Row(
    "What came of it",
    (
        bars(
            "Decisions",
            "By outcome, within the window of the page.",
            Sql(
                "SELECT outcome, count(*) AS decisions FROM ab_decisions WHERE $__timeFilter(ts) GROUP BY 1 ORDER BY 1"
            ),
            width=8,
        ),
        lines(
            "Published versions",
            "Number of the highest complete bundle.",
            Prom("homeprices_bundle_number", "{{variant}}"),
            width=8,
        ),
        lines(
            "Drift reports",
            "Estimates that each one looked at.",
            Sql(
                "SELECT extract(epoch from ts) AS time, variant AS metric, data_points FROM drift_reports\n"
                "WHERE $__timeFilter(ts) ORDER BY 1 LIMIT 1000"
            ),
            width=8,
        ),
    ),
)

DEPENDENCIES = Row(
    "What they need",
    (
        lines(
            "Dependencies", "1: answered the last look.", Prom("homeprices_dependency_up", "{{dependency}}"), width=6
        ),
        lines(
            "Duration of a look",
            "How long they took to answer.",
            Prom("homeprices_dependency_check_duration_seconds", "{{dependency}}"),
            unit="s",
            width=6,
        ),
        lines(
            "Since they were last seen",
            "Grows while they are away.",
            Prom("time() - homeprices_dependency_last_success_timestamp_seconds", "{{dependency}}"),
            unit="s",
            width=6,
        ),
        lines("Airflow's parts", "1: healthy.", Prom("homeprices_airflow_component_healthy", "{{component}}"), width=6),
    ),
)

DASHBOARD = Dashboard(
    "homeprices-pipeline",
    "Pipeline",
    "Last good end, duration and queue of training, evaluation and drift check; what they depend on.",
    (PROCESSES, OUTCOMES, DEPENDENCIES),
    (DECISIONS,),
    "now-7d",
)
