"""Compare every day what visitors ask for with what the model has learned from.

The numbers are stored before anything follows from them. People are told when a drift begins and when it ends, not
every day between; a drift asks for a new model at most once. A day without traffic says so, and is no failure.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import CronTriggerTimetable, dag, get_current_context, task
from dag_defaults import CANDIDATE_WANTED, TASK_DEFAULTS, tell_of_failure

from homeprices.names import DRIFT_DAG


def this_watch() -> Any:
    """The steps of the drift check that this task belongs to."""
    from homeprices.workflows.monitor_drift import open_monitor

    return open_monitor(get_current_context()["run_id"])


@dag(
    dag_id=DRIFT_DAG,
    schedule=CronTriggerTimetable("30 2 * * *", timezone="Asia/Kolkata"),
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=1),
    default_args=TASK_DEFAULTS,
    on_failure_callback=tell_of_failure,
    doc_md=__doc__,
    tags=["drift"],
)
def drift_monitoring_dag() -> None:
    @task
    def compare() -> dict[str, str]:
        """The visitors of a day and of a week, of each arm, against its bundle's reference; stored."""
        return this_watch().compare()

    @task
    def write_report(_: dict[str, str]) -> dict[str, str]:
        """A page for each arm, in the bucket."""
        return this_watch().write_report()

    @task
    def log_report(pages: dict[str, str]) -> str | None:
        """The same pages and the p-values in MLflow."""
        return this_watch().log_report(pages)

    @task
    def tell(pages: dict[str, str]) -> dict[str, Any]:
        """A notice when a drift begins or ends, and whether it asks for a new model."""
        return this_watch().notify(pages)

    @task.branch
    def what_follows(told: dict[str, Any]) -> str:
        """The task that follows."""
        return "ask_for_retraining" if told["retrain"] else "go_on"

    @task(outlets=[CANDIDATE_WANTED])
    def ask_for_retraining(told: dict[str, Any]) -> str:
        """Asks for a new model, which starts the training pipeline."""
        return this_watch().request_retraining(told)

    @task
    def go_on(told: dict[str, Any]) -> str:
        """Why no new model is asked for."""
        return str(told["reason"])

    @task(trigger_rule="none_failed_min_one_success")
    def finish(told: dict[str, Any]) -> str:
        """Notes that the check has come to its end."""
        return this_watch().record_heartbeat(told)

    pages = write_report(compare())
    log_report(pages)
    told = tell(pages)
    asked, calm = ask_for_retraining(told), go_on(told)
    what_follows(told) >> [asked, calm]
    [asked, calm] >> finish(told)


drift_monitoring_dag()
