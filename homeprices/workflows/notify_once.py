"""A notice is told once, also when its step is killed and run again, or runs twice at the same time.

Who is first marks in the bucket that it is being told, and then that it was. A mark that says "being told" for longer
than telling takes was left by a process that died, and the notice is told again: twice is better than never.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta

from homeprices.adapters.notifications import Notification
from homeprices.errors import HomePricesError, ObjectNotFound, PreconditionFailed
from homeprices.log import get_logger
from homeprices.registry import versions
from homeprices.release.control_record import Clock
from homeprices.resources import Resources

SENDING_TAKES = timedelta(seconds=8)  # less than until the scheduler runs a step again (dags/dag_defaults.py)

log = get_logger(__name__)


def notify_once(resources: Resources, key: str, notice: Notification, *, clock: Clock = versions.utc_now) -> None:
    """Send the notice unless one with the same key was sent, or is being sent. A channel that fails changes nothing."""
    place = f"notices/{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
    if not _begin(resources, place, key, clock()):
        return
    taken = resources.notifier.send(notice)
    if failed := [name for name, took in taken.items() if not took]:
        log.error("notice not delivered", key=key, channels=failed, title=notice.title)
    resources.bucket.put(place, _mark(key, "told", clock()))


def _begin(resources: Resources, place: str, key: str, now: datetime) -> bool:
    """Whether it falls to us to tell it."""
    mark = _mark(key, "telling", now)
    try:
        resources.bucket.put(place, mark, if_absent=True)
        return True
    except PreconditionFailed:
        return _take_over(resources, place, mark, now)


def _take_over(resources: Resources, place: str, mark: bytes, now: datetime) -> bool:
    try:
        held = resources.bucket.get(place)
        standing = json.loads(held.body)
        if held.body == mark:  # our own, whose answer was lost
            return True
        if standing["state"] == "told" or now - datetime.fromisoformat(standing["at"]) < SENDING_TAKES:
            return False
        resources.bucket.put(place, mark, if_match=held.etag)
    except (PreconditionFailed, ObjectNotFound):
        return False
    return True


def _mark(key: str, state: str, at: datetime) -> bytes:
    return json.dumps({"key": key, "state": state, "at": at.isoformat()}).encode()


# A run of a pipeline that has failed: people are told, once a run, whoever says so first.
#
# Airflow says it in the process of a task that failed for good, and again, elsewhere, of the run itself, which may also
# have run out of time without any task that failed. Either may be unable to: a process that was killed says nothing.


LONGEST_REASON = 500  # characters; the log has the rest


def notify_failed_run(
    resources: Resources,
    dag_id: str,
    run_id: str,
    *,
    task_id: str | None = None,
    reason: str = "",
    link: str | None = None,
) -> None:
    """Tell people that a run has failed, in which task and why, with a link to it; only the first call for it does.

    With the bucket away, which may be why it failed, nobody knows who was first: told twice is better than never.
    """
    where = f" in its task {task_id}" if task_id else ""
    said = " ".join(reason.split())[:LONGEST_REASON] or "no reason was given"
    page = link or f"{resources.settings.airflow_url}/dags/{dag_id}/runs/{run_id}"
    notice = Notification(f"{dag_id} has failed", f"The run {run_id} has failed{where}: {said}", page)
    try:
        notify_once(resources, f"failed:{dag_id}:{run_id}", notice)
    except HomePricesError as error:
        log.warning("it is not known who else tells of a failed run", dag=dag_id, run=run_id, error=str(error))
        resources.notifier.send(notice)
