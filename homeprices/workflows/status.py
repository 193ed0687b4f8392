"""Status of the running experiment and of releases, as text for people."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from homeprices.adapters.airflow_client import AirflowClient
from homeprices.adapters.database import transaction
from homeprices.errors import NotFound, Unavailable
from homeprices.experiment import decision_log, policies
from homeprices.experiment.collection import Rescorer, collect_evidence
from homeprices.experiment.evidence import Evidence
from homeprices.experiment.exposures import requests_a_day
from homeprices.experiment.policies.base import Decision
from homeprices.experiment.policies.ramp import progress_sentence, skipped_steps
from homeprices.experiment.policies.segments import harmed_segments, segment_effects
from homeprices.experiment.policies.sequential import SequentialPolicy
from homeprices.experiment.policies.year import promotion_error
from homeprices.experiment.sample_ratio import recorded_split
from homeprices.foreign_text import printable_lines
from homeprices.names import BUNDLE_KIND, DRIFT_DAG, EVALUATION_DAG, REGIONAL_KIND, TRAINING_DAG
from homeprices.predictions import drift_reports
from homeprices.predictions.identifiers import hashed_testers
from homeprices.registry import bundle_reader, regional_record, versions
from homeprices.registry.versions import kind_of
from homeprices.release import candidate_queue, control_record, experiment_record, holds, phases, replicas

if TYPE_CHECKING:
    from homeprices.adapters.object_store import Bucket
    from homeprices.experiment.decision_log import RecordedDecision
    from homeprices.resources import Resources
    from homeprices.settings import Settings

STANDS_STILL = {
    EVALUATION_DAG: "the experiment is neither decided nor rolled back",
    DRIFT_DAG: "drift is not checked",
    TRAINING_DAG: "no new candidate is trained",
}
"""What does not happen while a DAG is paused."""


LINE_LENGTH, NOTE_LENGTH = 600, 400
"""Most characters of a line of the status, and of its note on drift. The decision has the whole text."""

ROWS_READ = 20
"""Of the decision log: the actions of persons since the last look come before it."""

MORE = " … (/api/drift_report has the rest)"


def paused_lines(settings: Settings) -> list[str]:
    """Return a line for each DAG that somebody has paused in Airflow, or one that says that Airflow does not answer."""
    lines = []
    try:
        with AirflowClient(settings) as airflow:
            for dag, consequence in STANDS_STILL.items():
                if _is_paused(airflow, dag):
                    where = f"{settings.airflow_url}/dags/{dag}"
                    lines.append(f"paused       {dag}: {consequence} until somebody unpauses it at {where}")
    except Unavailable:
        return ["paused       unknown, because Airflow does not answer"]
    return lines


def _is_paused(airflow: AirflowClient, dag: str) -> bool:
    try:
        return airflow.is_paused(dag)
    except NotFound:
        return False


def release_status(resources: Resources) -> str:
    """Return what is in production and on trial, the last change with its actor, and what each replica serves."""
    bucket, settings = resources.bucket, resources.settings
    record = control_record.read(bucket)
    lines = [
        f"production   {bundle_reader.highest(bucket, BUNDLE_KIND['production']) or 'none'}",
        *(f"regional     {found}" for found in _regional(bucket)),
        f"candidate    {bundle_reader.highest(bucket, BUNDLE_KIND['candidate']) or 'none'}",
        *_waiting(bucket),
        f"experiment   {_trial(record)}",
    ]
    lines += [
        f"phase        {phase}: {models}" for phase, models in phases.models_in(bucket, versions.utc_now()).items()
    ]
    lines += [f"hold         {held}" for held in holds.every(bucket)]
    if record.updated_at:
        lines.append(f"last change  {record.updated_at:%Y-%m-%d %H:%M:%S} UTC by {record.updated_by}: {record.reason}")
    if folders := bundle_reader.ignored_folders(bucket):
        shown = ", ".join(folders[: bundle_reader.FOLDERS_NAMED])
        lines.append(f"ignored      {len(folders)} folders that are no bundles: {shown}")
    if record.experiment:
        lines += paused_lines(settings)
    urls = [*settings.replica_urls("production"), *settings.replica_urls("candidate")]
    return printable_lines("\n".join([*lines, *(f"replica      {replica}" for replica in replicas.probe(urls))]))


def _regional(bucket: Bucket) -> list[str]:
    """Return each regional bundle of production, with its places."""
    bundles = regional_record.read(bucket).in_production
    return [
        f"{bundle.version} since {bundle.since:%Y-%m-%d %H:%M} UTC in {_named_places(bundle.places)}"
        for bundle in bundles
    ]


def _waiting(bucket: Bucket) -> list[str]:
    """Return a line for each candidate that waits, with the reason."""
    return [f"waiting      {version}: {why}" for version, why in candidate_queue.why_waiting(bucket).items()]


def _trial(record: experiment_record.ControlRecord) -> str:
    if not record.experiment:
        return "none"
    where = f" {experiment_record.in_places(record.places)}" if record.places else ""
    return f"{record.experiment} {record.state}, {record.share:g} % of the visitors{where}, epoch {record.epoch}"


def experiment_status(resources: Resources, clock: Callable[[], datetime] = versions.utc_now) -> str:
    """Return the evidence so far, what the policy would decide now, and how long the experiment may still take.

    Records no decision.
    """
    running = control_record.read(resources.bucket)
    if running.experiment is None:
        production = running.production or bundle_reader.highest(resources.bucket, BUNDLE_KIND["production"])
        beside = "".join(f"; {found}" for found in _regional(resources.bucket))
        baking = _bake(resources, clock())
        first = f"No experiment is running; {production or 'nothing'} is in production{baking}{beside}."
        return printable_lines("\n".join([first, *_waiting(resources.bucket)]), most=LINE_LENGTH)
    policy = policies.load(resources.settings.policy)
    with transaction(resources.engine) as connection:
        evidence = collect_evidence(
            connection,
            running,
            clock(),
            policy,
            score=Rescorer(resources.bucket),
            testers=hashed_testers(resources.settings),
            drift=drift_reports.drift_notes(connection, (str(running.production), str(running.candidate)), clock()),
        )
        newest = decision_log.latest(connection, evidence.candidate.bundle, limit=ROWS_READ)
        a_day = requests_a_day(connection, clock()) if policy.ramp else 0.0
    lines = [
        f"experiment   {running.experiment} {running.state}, {running.share:g} % of the visitors, day "
        f"{evidence.age / timedelta(days=1):.1f} of at most {policy.longest / timedelta(days=1):g} ({policy.name})",
        *([f"places       {_named_places(running.places)}"] if running.places else []),
        *_phase(policy, running, evidence, a_day),
        *_variants(evidence),
        f"left out     {_excluded(evidence)}",
        *_split(policy, evidence, newest),
        f"level        {promotion_error(policies.document_of(policy), evidence.level) or 'no error rate'}",
        f"drift        {textwrap.shorten(evidence.drift or 'none that is known', NOTE_LENGTH, placeholder=MORE)}",
        f"now          {_outcome(policy.decide(evidence))}",
        *_segments(policy, evidence),
        f"still        {time_left(policy, evidence)}",
        *_waiting(resources.bucket),
        *paused_lines(resources.settings),
    ]
    lines += [f"hold         {held}" for held in holds.every(resources.bucket)]
    if newest:
        lines.append(f"last look    {newest[0].ts:%Y-%m-%d %H:%M} UTC: {newest[0].outcome} (decision {newest[0].id})")
    return printable_lines("\n".join(lines), most=LINE_LENGTH)


def time_left(policy: policies.AnyPolicy, evidence: Evidence) -> str:
    """Return how long the experiment may still take at most, and what is missing at the current rate of ratings."""
    if isinstance(policy, SequentialPolicy):
        return evidence.time_left(policy.longest, policy.minimum.rated_visitors, policy.expected_visitors)
    return evidence.time_left(policy.longest, None, None)


def _phase(
    policy: policies.AnyPolicy, running: experiment_record.ControlRecord, evidence: Evidence, a_day: float
) -> list[str]:
    """Return the phase with the progress of its step, and which steps were skipped."""
    phase = running.phase or "trial"
    if policy.ramp is None:
        return [f"phase        {phase}"]
    progress = f", {progress_sentence(policy.ramp, evidence.ramp, evidence.now)}" if evidence.ramp else ""
    shares = [epoch.share for epoch in running.epochs]
    skipped = skipped_steps(policy.ramp, shares, a_day, policy.longest)
    return [f"phase        {phase}{progress}", *([f"skipped      {skipped}"] if skipped else [])]


def _named_places(places: tuple[str, ...]) -> str:
    """Return some places in one line."""
    return f"{len(places)}: {textwrap.shorten(', '.join(places), NOTE_LENGTH, placeholder=' …')}"


def _bake(resources: Resources, now: datetime) -> str:
    """Return the bake windows of production as a part of a sentence; empty without one."""
    bakes = phases.bake(resources.bucket, now)
    return "".join(
        f", phase bake{f' of {version}' if kind_of(version) == REGIONAL_KIND else ''} until {until:%Y-%m-%d %H:%M} UTC"
        for version, until in bakes.items()
    )


def _variants(evidence: Evidence) -> list[str]:
    lines = []
    for name, shown in (("production", evidence.production), ("candidate", evidence.candidate)):
        stars = (
            "no rating" if shown.mean_rating is None else f"{shown.mean_rating:.2f} stars of {shown.ratings} ratings"
        )
        latency = "no answer" if shown.mean_latency_ms is None else f"{shown.mean_latency_ms:.1f} ms"
        lines.append(
            f"{name:12} {shown.bundle}: {shown.requests} requests of {shown.visitors} visitors, {shown.errors} failed, "
            f"{latency}, {stars} by {shown.rated_visitors} visitors, {shown.prices} prices"
        )
    return lines


def _split(policy: policies.AnyPolicy, evidence: Evidence, rows: list[RecordedDecision]) -> list[str]:
    """Return the SRM test of the last look, as metric, alert and decision report have it, and of the evidence now."""
    tests = [recorded_split(row.evidence, row.policy_document) for row in rows if row.experiment == evidence.experiment]
    at_look = next((f"split        {test}" for test in tests if test is not None), "split        no look yet")
    return [at_look, f"split now    {recorded_split(evidence.model_dump(), policies.document_of(policy))}"]


def _segments(policy: policies.AnyPolicy, evidence: Evidence) -> list[str]:
    """Return a line that names the harmed segments, and how many are judged so far; none without a rule."""
    if policy.segments is None:
        return []
    effects = segment_effects(evidence, policy.segments)
    judged = sum(effect.p is not None for effect in effects)
    harmed = harmed_segments(effects)
    found = f"{evidence.candidate.bundle} is worse in {harmed}" if harmed else "none is harmed"
    return [f"segments     {found}; {judged} of {len(effects)} have enough rated visitors"]


def _excluded(evidence: Evidence) -> str:
    counts = [f"{count} {name.replace('_', ' ')}" for name, count in evidence.left_out.items() if count]
    return ", ".join(counts) or "nothing"


def _outcome(decision: Decision) -> str:
    return f"{decision.outcome}: {decision.reason}"
