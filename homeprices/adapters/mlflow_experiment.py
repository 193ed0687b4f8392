"""The experiment of the pipeline in MLflow: opened by name, and restored when somebody deleted or renamed it.

`Call` is `MlflowClient.call`. `Say` gets a sentence for people about each restoration.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from homeprices.errors import TrackingRefused

ALREADY_EXISTS = "RESOURCE_ALREADY_EXISTS"
DOES_NOT_EXIST = "RESOURCE_DOES_NOT_EXIST"
DELETED = "deleted"
EXPERIMENT_TAG = "homeprices.experiment"
"""This tag identifies an experiment that somebody has renamed."""

Call = Callable[[str, str, dict[str, Any]], dict[str, Any]]
Say = Callable[[str], None]


def open_experiment(call: Call, name: str, say: Say) -> str:
    """Return the id of the active experiment of this name; restore it, or create it if there is none to restore."""
    return _named(call, name, say) or _renamed(call, name, say) or _created(call, name, say)


def is_active(call: Call, experiment_id: str) -> bool:
    """Return whether the experiment exists and is not deleted."""
    try:
        found = call("GET", "experiments/get", {"experiment_id": experiment_id})["experiment"]
    except TrackingRefused as refused:
        if refused.code != DOES_NOT_EXIST:
            raise
        return False
    return bool(found.get("lifecycle_stage") != DELETED)


def restore(call: Call, experiment_id: str, name: str, say: Say) -> None:
    """Restore a deleted experiment. MLflow also restores the runs that were deleted with it."""
    call("POST", "experiments/restore", {"experiment_id": experiment_id})
    say(f"The experiment {name} ({experiment_id}) was deleted in MLflow and has been restored.")


def _named(call: Call, name: str, say: Say) -> str | None:
    try:
        answer = call("GET", "experiments/get-by-name", {"experiment_name": name})
    except TrackingRefused as refused:
        if refused.code != DOES_NOT_EXIST:
            raise
        return None
    if "experiment" not in answer:
        raise TrackingRefused(f"the tracking server answers {str(answer)[:200]} for an experiment; it is not MLflow")
    found = answer["experiment"]
    experiment_id = str(found["experiment_id"])
    if found.get("lifecycle_stage") == DELETED:
        restore(call, experiment_id, name, say)
    if EXPERIMENT_TAG not in {tag["key"] for tag in found.get("tags", [])}:  # it is older than the tag
        tag = {"key": EXPERIMENT_TAG, "value": name}
        call("POST", "experiments/set-experiment-tag", {"experiment_id": experiment_id, **tag})
    return experiment_id


def _renamed(call: Call, name: str, say: Say) -> str | None:
    """Rename the experiment that had this name back, and return it; None if there is none."""
    wanted = {"filter": f"tags.`{EXPERIMENT_TAG}` = '{name}'", "view_type": "ALL", "max_results": 100}
    found = call("POST", "experiments/search", wanted).get("experiments", [])
    if not found:
        return None
    newest = max(found, key=lambda item: int(item.get("last_update_time", 0)))
    experiment_id = str(newest["experiment_id"])
    if newest.get("lifecycle_stage") == DELETED:
        restore(call, experiment_id, newest["name"], say)
    call("POST", "experiments/update", {"experiment_id": experiment_id, "new_name": name})
    say(f"The experiment {name} was renamed {newest['name']} in MLflow. It has its name again.")
    return experiment_id


def _created(call: Call, name: str, say: Say) -> str:
    tags = [{"key": EXPERIMENT_TAG, "value": name}]
    try:
        return str(call("POST", "experiments/create", {"name": name, "tags": tags})["experiment_id"])
    except TrackingRefused as refused:
        if refused.code != ALREADY_EXISTS:
            raise
        found = _named(call, name, say)  # another process was first
        if found is None:
            raise
        return found
