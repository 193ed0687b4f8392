"""Defaults of all DAGs: assets, retry policy, notification of failed runs.

A task fails at once on invalid input (a broken dataset, a rejected model), because a retry would fail the same way. It
is retried while a dependency is unavailable.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, ExceptionRetryPolicy, RetryAction, RetryRule

from homeprices.names import CANDIDATE_WANTED_ASSET, DATASET_ASSET

DATASET = Asset(DATASET_ASSET, uri="homeprices://data/raw")
CANDIDATE_WANTED = Asset(CANDIDATE_WANTED_ASSET, uri="homeprices://candidate_wanted")

RETRIES = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception=["homeprices.errors.InvalidInput", "homeprices.errors.PublicationRefused"],
            action=RetryAction.FAIL,
            reason="the same input fails the same way",
        ),
        RetryRule(
            exception=["homeprices.errors.Unavailable", "homeprices.errors.NotReady"],
            action=RetryAction.RETRY,
            retry_delay=timedelta(seconds=20),
            reason="a dependency is unavailable",
        ),
    ]
)


def notify_failure(context: Any) -> None:
    """Notify people of a failed run. Airflow calls this for a task without retries left, and for the run itself."""
    from homeprices.resources import open_resources
    from homeprices.workflows.notify_once import notify_failed_run

    task = context.get("task_instance")
    notify_failed_run(
        open_resources(),
        context["dag"].dag_id,
        context["run_id"],
        task_id=getattr(task, "task_id", None),
        reason=str(context.get("exception") or context.get("reason") or ""),
        link=getattr(task, "log_url", None),
    )


TASK_DEFAULTS = {
    "retries": 3,
    "retry_delay": timedelta(seconds=10),
    "retry_policy": RETRIES,
    "on_failure_callback": notify_failure,
}
