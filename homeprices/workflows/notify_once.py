"""Send each notification once, even if the step is retried or runs twice concurrently.

The sender creates a marker in the bucket before sending and updates it afterwards. A marker that stays in state
`telling` for longer than eight seconds belongs to a dead process; the notification is then sent again. Duplicates are
preferred to losses. A failed run is reported once, by the first of Airflow's callbacks that succeeds.
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

SENDING_TAKES = timedelta(seconds=8)  # shorter than the scheduler's delay before a retry (dags/dag_defaults.py)

MAX_REASON_LENGTH = 500  # characters; the log has the rest

log = get_logger(__name__)


def notify_once(resources: Resources, key: str, notification: Notification, *, clock: Clock = versions.utc_now) -> None:
    """Send the notification unless one with this key was sent or is being sent. A failed channel is logged."""
    marker_key = f"notices/{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
    if not _claim(resources, marker_key, key, clock()):
        return
    delivered = resources.notifier.send(notification)
    if failed := [channel for channel, accepted in delivered.items() if not accepted]:
        log.error("notification_failed", key=key, channels=failed, title=notification.title)
    resources.bucket.put(marker_key, _marker(key, "told", clock()))


def _claim(resources: Resources, marker_key: str, key: str, now: datetime) -> bool:
    """Return whether this process is the sender."""
    marker = _marker(key, "telling", now)
    try:
        resources.bucket.put(marker_key, marker, if_absent=True)
        return True
    except PreconditionFailed:
        return _take_over(resources, marker_key, marker, now)


def _take_over(resources: Resources, marker_key: str, marker: bytes, now: datetime) -> bool:
    try:
        stored = resources.bucket.get(marker_key)
        state = json.loads(stored.body)
        if stored.body == marker:  # this process wrote it, and the answer of the bucket was lost
            return True
        if state["state"] == "told" or now - datetime.fromisoformat(state["at"]) < SENDING_TAKES:
            return False
        resources.bucket.put(marker_key, marker, if_match=stored.etag)
    except (PreconditionFailed, ObjectNotFound):
        return False
    return True


def _marker(key: str, state: str, at: datetime) -> bytes:
    return json.dumps({"key": key, "state": state, "at": at.isoformat()}).encode()


def notify_failed_run(
    resources: Resources,
    dag_id: str,
    run_id: str,
    *,
    task_id: str | None = None,
    reason: str = "",
    link: str | None = None,
) -> None:
    """Notify people once that a run has failed, with the task, the reason and a link.

    Airflow calls back for a task without retries left and for the run itself; a killed process makes no call, and a run
    that times out has no failed task. So both callbacks notify, and the first one wins. If the bucket is unavailable,
    which may be why the run failed, each callback notifies.
    """
    where = f" in its task {task_id}" if task_id else ""
    cause = " ".join(reason.split())[:MAX_REASON_LENGTH] or "no reason was given"
    page = link or f"{resources.settings.airflow_url}/dags/{dag_id}/runs/{run_id}"
    notification = Notification(f"{dag_id} has failed", f"The run {run_id} has failed{where}: {cause}", page)
    try:
        notify_once(resources, f"failed:{dag_id}:{run_id}", notification)
    except HomePricesError as error:
        log.warning("notification_marker_unavailable", dag=dag_id, run=run_id, error=str(error))
        resources.notifier.send(notification)
