"""Actions of a person: a form becomes an order, and the order a run of the evaluation.

The evaluation carries it out and records it, as an order from Airflow's form. So this process needs no right to change
anything: its user in Airflow may start runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homeprices.adapters.airflow_client import AirflowClient
from homeprices.errors import InvalidInput
from homeprices.foreign_text import printable
from homeprices.names import EVALUATION_DAG
from homeprices.registry import versions
from homeprices.release import holds
from homeprices.release.experiment_record import MAX_SHARE
from homeprices.settings import Settings

ACTIONS = ("hold", "resume", "skip", "repeat", "promote", "roll back", "share")
OF_A_VERSION = ("hold", "skip", "repeat", "promote", "roll back")
LONGEST_REASON = 500


@dataclass(frozen=True)
class Order:
    """An action with its reason. `version` is the bundle that the person saw; `share` is in percent."""

    action: str
    reason: str
    version: str | None = None
    share: float | None = None

    def conf(self, actor: str) -> dict[str, Any]:
        """Return the parameters of the run."""
        told = {"version": self.version, "share": self.share}
        given = {name: value for name, value in told.items() if value is not None}
        return {"action": self.action, "reason": self.reason, "actor": f"{actor}, operations page", **given}


def order_of(form: Mapping[str, str]) -> Order:
    """Return the order in a form. Raises InvalidInput."""
    action, reason = form.get("action", ""), " ".join(form.get("reason", "").split())
    wrong: dict[str, str] = {}
    if action not in ACTIONS:
        wrong["action"] = f"must be one of {', '.join(ACTIONS)}"
    if not reason:
        wrong["reason"] = "is required: it is recorded with the action"
    elif len(reason) > LONGEST_REASON:
        wrong["reason"] = f"has {len(reason)} characters; at most {LONGEST_REASON} are allowed"
    version = form.get("of") or form.get("version") or None if action in OF_A_VERSION else None
    if version is not None:
        try:
            if version != holds.SHADOW:
                versions.bundle_name(version)
        except InvalidInput as error:
            wrong |= error.fields
    share = _share(form.get("share", ""), wrong) if action == "share" else None
    if wrong:
        raise InvalidInput(wrong)
    return Order(action, printable(reason, LONGEST_REASON), version, share)


def request_action(settings: Settings, order: Order, actor: str) -> str:
    """Start the run that carries an order out, and return its id. Raises Unavailable, NotFound, InvalidInput."""
    with AirflowClient(settings) as airflow:
        return airflow.trigger(EVALUATION_DAG, order.conf(actor))


def _share(text: str, wrong: dict[str, str]) -> float | None:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= MAX_SHARE:
        wrong["share"] = f"must be a number from 0 to {MAX_SHARE:g}, percent of the visitors"
        return None
    return share
