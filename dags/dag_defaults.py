"""What the DAGs share: the assets that start them, how a failed task is tried again, and who hears of a failed run.

A fault of the input (a broken dataset, a model that fails its checks) is the same at the next try, so it fails at once;
a dependency that is away is worth waiting for.
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
            reason="a dependency is away",
        ),
    ]
)


def tell_of_failure(context: Any) -> None:
    """Tells people that a run has failed. Called of a task that failed for good, and of the run itself."""
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
    "on_failure_callback": tell_of_failure,
}
