"""What a person does with candidates that no visitor meets yet: withdraw, skip and repeat the comparison in shadow.

The actions have the words of those on a running experiment (`manual_actions`), and the same record of who and why.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from homeprices.adapters.notifications import Notification
from homeprices.errors import Conflict
from homeprices.names import BUNDLE_KIND
from homeprices.registry import bundle_reader
from homeprices.release import candidate_queue, holds, promotion
from homeprices.workflows.candidates import selection
from homeprices.workflows.manual_actions import ActionReport, ManualAction, note
from homeprices.workflows.notify_once import notify_once

if TYPE_CHECKING:
    from homeprices.resources import Resources


def withdraw(resources: Resources, candidate: str, actor: str, reason: str) -> ActionReport:
    """Archive a candidate that waits. No new one is asked for, because the trial of another goes on."""
    report = ActionReport([f"{candidate} is withdrawn, and waits no longer."])
    production = bundle_reader.highest(resources.bucket, BUNDLE_KIND["production"]) or "none"
    promotion.withdraw(resources.bucket, candidate, actor, reason)
    key = f"person:rollback:{candidate}"
    ManualAction(resources, "rollback", key, production, candidate, actor, reason).record(report)
    notify_once(resources, key, Notification(report.done[0], reason))
    return report


def skip_shadow(resources: Resources, version: str, actor: str, reason: str) -> ActionReport:
    """Let a candidate that waits, or the next one that comes, skip the comparison in shadow."""
    run = None if version == holds.SHADOW else selection.run_of(resources.bucket, version)
    skip = holds.skip_shadow(resources.bucket, run, actor, reason)
    who = "The next candidate" if version == holds.SHADOW else version
    report = ActionReport([f"{who} skips the comparison in shadow. The one on the hold-out is made."])
    note(resources, report, "skip", f"person:skip:{version}:{skip.at.isoformat()}", version, actor, reason)
    return report


def repeat_shadow(resources: Resources, version: str, actor: str, reason: str) -> ActionReport:
    """Compare a candidate that waits, or each, with production again. One that is stopped leaves the queue.

    Raises Conflict when none waits, and Unavailable.
    """
    waiting = candidate_queue.waiting(resources.bucket)
    chosen = waiting if version == holds.SHADOW else [version]
    if not chosen:
        raise Conflict("no candidate waits; to compare a draft again, clear the task shadow_candidate of its run")
    for one in chosen:
        holds.end_skip(resources.bucket, selection.run_of(resources.bucket, one))
    passed = {contender.version for contender in selection.compare_again(resources, chosen, actor)}
    report = ActionReport()
    for one in chosen:
        left = f"leaves the queue: {promotion.reason_of(resources.bucket, one)}"
        report.done.append(f"{one} was compared again, and {'waits' if one in passed else left}.")
    key = f"person:repeat:{version}:{hashlib.sha256(f'{actor}:{reason}'.encode()).hexdigest()[:16]}"
    note(resources, report, "repeat", key, version, actor, reason)
    return report
