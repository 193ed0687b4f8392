"""Compare the traffic of each variant with its bundle's reference, once a day.

Reports are stored before anything acts on them. A notification is sent when a drift alert fires and when it resolves.
An alert requests retraining at most once. A day without traffic is reported as such and does not fail the run.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import CronTriggerTimetable, dag, get_current_context, task
from dag_defaults import CANDIDATE_WANTED, TASK_DEFAULTS, annotate, notify_failure, told

from homeprices.names import DRIFT_DAG
from homeprices.workflows import run_notes


def workflow() -> Any:
    """Return the steps of this drift check."""
    from homeprices.workflows.monitor_drift import open_monitor

    return open_monitor(get_current_context()["run_id"])


@dag(
    dag_id=DRIFT_DAG,
    schedule=CronTriggerTimetable("30 2 * * *", timezone="Asia/Kolkata"),
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=1),
    default_args=TASK_DEFAULTS,
    on_failure_callback=notify_failure,
    doc_md=__doc__,
    tags=["drift"],
)
def drift_monitoring_dag() -> None:
    @task
    def compare() -> dict[str, str]:
        """Compare and store the last day and the last week of each variant."""
        return told(workflow().compare(), run_notes.drift_compared)

    @task
    def write_report(_: dict[str, str]) -> dict[str, str]:
        """Write an HTML report for each variant into the bucket."""
        return told(workflow().write_report(), run_notes.reports_written)

    @task
    def log_report(pages: dict[str, str]) -> str | None:
        """Log the reports and p-values in MLflow."""
        return told(workflow().log_report(pages), "logged: {}".format)

    @task
    def notify(pages: dict[str, str]) -> dict[str, Any]:
        """Notify people of alerts that fire or resolve; return whether one requests retraining."""
        alerts = told(workflow().notify(pages), run_notes.alerts_told)
        annotate(run_notes.alerts_told(alerts))
        return alerts

    @task.branch
    def branch_on_drift(alerts: dict[str, Any]) -> str:
        """Choose the next task: request retraining, or not."""
        return "request_retraining" if alerts["retrain"] else "no_retraining"

    @task(outlets=[CANDIDATE_WANTED])
    def request_retraining(alerts: dict[str, Any]) -> str:
        """Request a new candidate, which starts the training DAG."""
        return told(workflow().request_retraining(alerts), "a new candidate is requested: {}".format)

    @task
    def no_retraining(alerts: dict[str, Any]) -> str:
        """Return the reason why no retraining is requested."""
        return told(str(alerts["reason"]), str)

    @task(trigger_rule="none_failed_min_one_success")
    def record_heartbeat(alerts: dict[str, Any]) -> str:
        """Record the success of this check."""
        return told(workflow().record_heartbeat(alerts), "the check is recorded: {}".format)

    pages = write_report(compare())
    log_report(pages)
    alerts = notify(pages)
    outcomes = [request_retraining(alerts), no_retraining(alerts)]
    branch_on_drift(alerts) >> outcomes
    outcomes >> record_heartbeat(alerts)


drift_monitoring_dag()
