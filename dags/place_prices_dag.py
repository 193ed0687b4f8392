"""Store the place prices of the day, once a day and after each new dataset, for models that use them.

The task computes the table of the newest dataset, if its listings have dates, and writes it as the next version under
`features/place_prices/`. The services read it like a model. The table is that of the run's day, so a task that is
killed, or repeated later, gives the same outcome.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, dag, get_current_context, task
from dag_defaults import DATASET, TASK_DEFAULTS, annotate, notify_failure, told

from homeprices.names import PLACE_PRICES_DAG
from homeprices.workflows import run_notes


@dag(
    dag_id=PLACE_PRICES_DAG,
    schedule=AssetOrTimeSchedule(timetable=CronTriggerTimetable("15 0 * * *", timezone="Asia/Kolkata"), assets=DATASET),
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=1),
    default_args=TASK_DEFAULTS,
    on_failure_callback=notify_failure,
    doc_md=__doc__,
    tags=["features"],
)
def place_prices_dag() -> None:
    @task
    def refresh() -> dict[str, Any]:
        """Store the table of the run's day; return its version, or why there is none."""
        from homeprices.workflows.features.refresh_place_prices import refresh_run

        stored = told(refresh_run(get_current_context()["dag_run"].run_after), run_notes.place_prices_stored)
        annotate(run_notes.place_prices_stored(stored))
        return stored

    refresh()


place_prices_dag()
