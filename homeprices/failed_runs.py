"""A run of a pipeline that has failed: people are told, once a run, whoever says so first.

Airflow says it in the process of a task that failed for good, and again, elsewhere, of the run itself, which may also
have run out of time without any task that failed. Either may be unable to: a process that was killed says nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from homeprices.adapters.notifications import Notice
from homeprices.errors import HomePricesError
from homeprices.log import get_logger
from homeprices.release.telling import tell_once

if TYPE_CHECKING:
    from homeprices.resources import Parts

LONGEST_REASON = 500  # characters; the log has the rest

log = get_logger(__name__)


def tell_of_failed_run(
    parts: Parts, dag_id: str, run_id: str, *, task_id: str | None = None, reason: str = "", link: str | None = None
) -> None:
    """Tell people that a run has failed, in which task and why, with a link to it; only the first call for it does.

    With the bucket away, which may be why it failed, nobody knows who was first: told twice is better than never.
    """
    where = f" in its task {task_id}" if task_id else ""
    said = " ".join(reason.split())[:LONGEST_REASON] or "no reason was given"
    page = link or f"{parts.settings.airflow_url}/dags/{dag_id}/runs/{run_id}"
    notice = Notice(f"{dag_id} has failed", f"The run {run_id} has failed{where}: {said}", page)
    try:
        tell_once(parts, f"failed:{dag_id}:{run_id}", notice)
    except HomePricesError as error:
        log.warning("it is not known who else tells of a failed run", dag=dag_id, run=run_id, error=str(error))
        parts.notifier.send(notice)
