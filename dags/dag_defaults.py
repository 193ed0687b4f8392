"""Defaults of all DAGs: assets, retry policy, notification of failed runs.

A task fails at once on invalid input (a broken dataset, a rejected model), because a retry would fail the same way. It
is retried while a dependency is unavailable.
"""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from airflow.sdk import Asset, ExceptionRetryPolicy, RetryAction, RetryRule, get_current_context

from homeprices.foreign_text import printable
from homeprices.names import CANDIDATE_WANTED_ASSET, DATASET_ASSET, TRAINING_DAG
from homeprices.workflows import run_notes

T = TypeVar("T")

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


LONGEST_NOTE = 1000  # characters that Airflow stores


def told(result: T, sentence_of: Callable[[T], str]) -> T:
    """Write a sentence about the result into the task's log; return the result."""
    logging.getLogger("homeprices.task").info(printable(sentence_of(result), LONGEST_NOTE))
    return result


def annotate(note: str, context: Any = None) -> None:
    """Set the note of this run, which Airflow's list of runs shows. A run without its note goes on."""
    context = context or get_current_context()
    run_notes.try_set_note(context["dag"].dag_id, context["run_id"], printable(note, LONGEST_NOTE))


def notify_failure(context: Any) -> None:
    """Notify people of a failed run. Airflow calls this for a task without retries left, and for the run itself."""
    from homeprices.resources import open_resources
    from homeprices.workflows.notify_once import notify_failed_run

    task = context.get("task_instance")
    task_id = getattr(task, "task_id", None)
    reason = str(context.get("exception") or context.get("reason") or "")
    notify_failed_run(
        open_resources(),
        context["dag"].dag_id,
        context["run_id"],
        task_id=task_id,
        reason=reason,
        link=getattr(task, "log_url", None),
    )
    if task_id:
        failure = printable(f"{task_id} failed: {reason}", LONGEST_NOTE)
        annotate(failure, context)
        if context["dag"].dag_id == TRAINING_DAG:
            run_notes.try_fail_tracked_run(context["run_id"], failure)


TASK_DEFAULTS = {
    "retries": 3,
    "retry_delay": timedelta(seconds=10),
    "retry_policy": RETRIES,
    "on_failure_callback": notify_failure,
}
