"""Where the running experiment stands, in lines for people."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from homeprices.adapters.database import transaction
from homeprices.experiment import collection as evidence_of
from homeprices.experiment import decision_log, policies
from homeprices.experiment.collection import Rescorer
from homeprices.experiment.evidence import Evidence
from homeprices.experiment.policies.base import Decision
from homeprices.experiment.policies.sequential import SequentialPolicy
from homeprices.names import BUNDLE_KIND
from homeprices.predictions import drift_reports
from homeprices.predictions.identifiers import hashed_testers
from homeprices.registry import bundle_reader, versions
from homeprices.release import control_record, holds

if TYPE_CHECKING:
    from homeprices.resources import Resources


def status(resources: Resources, clock: Callable[[], datetime] = versions.utc_now) -> str:
    """What both arms have shown, what the policy would decide now, and how long it may still take. Decides nothing."""
    running = control_record.read(resources.bucket)
    if running.experiment is None:
        production = running.production or bundle_reader.highest(resources.bucket, BUNDLE_KIND["production"])
        return f"No experiment is running; {production or 'nothing'} is in production."
    policy = policies.load(resources.settings.policy)
    with transaction(resources.engine) as connection:
        found = evidence_of.collect_evidence(
            connection,
            running,
            clock(),
            policy,
            score=Rescorer(resources.bucket),
            testers=hashed_testers(resources.settings),
            drift=drift_reports.drift_notes(connection, (str(running.production), str(running.candidate)), clock()),
        )
        newest = decision_log.latest(connection, found.candidate.bundle)
    lines = [
        f"experiment   {running.experiment} {running.state}, {running.share:g} % of the visitors, day "
        f"{found.age / timedelta(days=1):.1f} of at most {policy.longest / timedelta(days=1):g} ({policy.name})",
        *_arms(found),
        f"left out     {_left_out(found)}",
        f"drift        {found.drift or 'none that is known'}",
        f"now          {_finding(policy.decide(found))}",
        f"still        {still(policy, found)}",
    ]
    if (held := holds.read(resources.bucket)) is not None:
        lines.append(f"hold         {held}")
    if newest:
        lines.append(f"last look    {newest[0].ts:%Y-%m-%d %H:%M} UTC: {newest[0].outcome} (decision {newest[0].id})")
    return "\n".join(lines)


def still(policy: policies.AnyPolicy, evidence: Evidence) -> str:
    """How long it may still take: at most until the time is up, and what is missing at the pace so far."""
    left = max(policy.longest - evidence.age, timedelta(0))
    text = f"at most {left / timedelta(days=1):.1f} days"
    days = evidence.age / timedelta(days=1)
    if not isinstance(policy, SequentialPolicy) or days <= 0:
        return text
    smaller = min(sum(stratum.ratings[arm].n for stratum in evidence.strata) for arm in (0, 1))
    missing = policy.minimum.rated_visitors - smaller
    if missing > 0:
        pace = f", which takes {missing / smaller * days:.1f} days at the pace so far" if smaller else ""
        return f"{text}; {missing} rated visitors are missing in the smaller arm{pace}"
    rated = evidence.production.rated_visitors + evidence.candidate.rated_visitors
    if rated < policy.expected_visitors:
        more = (policy.expected_visitors - rated) / rated * days
        return f"{text}; the bounds are tightest in {more:.1f} days, at {policy.expected_visitors:g} rated visitors"
    return f"{text}; the bounds are as tight as they get and shrink with every rating"


def _arms(evidence: Evidence) -> list[str]:
    lines = []
    for name, arm in (("production", evidence.production), ("candidate", evidence.candidate)):
        stars = "no rating" if arm.mean_rating is None else f"{arm.mean_rating:.2f} stars of {arm.ratings} ratings"
        latency = "no answer" if arm.mean_latency_ms is None else f"{arm.mean_latency_ms:.1f} ms"
        lines.append(
            f"{name:12} {arm.bundle}: {arm.requests} requests of {arm.visitors} visitors, {arm.errors} failed, "
            f"{latency}, {stars} by {arm.rated_visitors} visitors, {arm.prices} prices"
        )
    return lines


def _left_out(evidence: Evidence) -> str:
    counts = [f"{count} {name.replace('_', ' ')}" for name, count in evidence.left_out.items() if count]
    return ", ".join(counts) or "nothing"


def _finding(decision: Decision) -> str:
    return f"{decision.outcome}: {decision.reason}"
