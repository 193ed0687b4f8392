"""The Pipeline dashboard: training, evaluation and drift check, and the dependencies they need."""

from monitoring.grafana.experiment_dashboard import DECISIONS
from monitoring.grafana.panels import Dashboard, Prom, Row, Sql, bars, lines, stat

PROCESSES = Row(
    "Processes",
    (
        stat(
            "Since the last success",
            "Training weekly, evaluation hourly, drift check daily. Also measured while Airflow is down.",
            Prom("time() - homeprices_process_last_success_timestamp_seconds", "{{process}}"),
            unit="s",
            width=12,
        ),
        stat(
            "Duration of the last successful run",
            "By DAG.",
            Prom("homeprices_dag_last_success_duration_seconds", "{{dag}}"),
            unit="s",
            width=12,
        ),
        lines(
            "Runs queued or running",
            "By DAG; each has one active run at a time.",
            Prom("homeprices_dag_runs", "{{dag}} {{state}}"),
            width=6,
        ),
        lines(
            "Last run failed",
            "1: the last finished run failed.",
            Prom("homeprices_dag_last_run_failed", "{{dag}}"),
            width=6,
        ),
        lines(
            "Paused in Airflow",
            "1: somebody has paused the DAG; Airflow starts no run of it.",
            Prom("homeprices_dag_paused", "{{dag}}"),
            width=6,
        ),
        lines(
            "Since the last successful run",
            "As reported by Airflow.",
            Prom("time() - homeprices_dag_last_success_timestamp_seconds", "{{dag}}"),
            unit="s",
            width=6,
        ),
    ),
)

OUTCOMES = Row(
    "Outcomes",
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
            "Estimates in each report.",
            Sql(
                "SELECT extract(epoch from ts) AS time, variant AS metric, data_points FROM drift_reports\n"
                "WHERE $__timeFilter(ts) ORDER BY 1 LIMIT 1000"
            ),
            width=8,
        ),
    ),
)

DEPENDENCIES = Row(
    "Dependencies",
    (
        lines(
            "Dependencies", "1: answered the last poll.", Prom("homeprices_dependency_up", "{{dependency}}"), width=6
        ),
        lines(
            "Duration of a poll",
            "Time to answer.",
            Prom("homeprices_dependency_check_duration_seconds", "{{dependency}}"),
            unit="s",
            width=6,
        ),
        lines(
            "Since the last successful poll",
            "Grows while a dependency is down.",
            Prom("time() - homeprices_dependency_last_success_timestamp_seconds", "{{dependency}}"),
            unit="s",
            width=6,
        ),
        lines(
            "Airflow's components",
            "1: healthy.",
            Prom("homeprices_airflow_component_healthy", "{{component}}"),
            width=6,
        ),
    ),
)

DASHBOARD = Dashboard(
    "homeprices-pipeline",
    "Pipeline",
    "Last success, duration and queue of training, evaluation and drift check; their dependencies.",
    (PROCESSES, OUTCOMES, DEPENDENCIES),
    (DECISIONS,),
    "now-7d",
)
