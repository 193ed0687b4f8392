"""Post-promotion analysis: revert a newly promoted production automatically if it does harm.

Only promotions by an evaluation are analyzed. No automatic actor undoes a manual promotion, hold or revert.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from homeprices.adapters.database import raise_statement_timeout, transaction
from homeprices.adapters.notifications import Notification
from homeprices.experiment import decision_log, decision_report
from homeprices.experiment.evidence import ClusteredProportion, SampleMoments, clustered_proportion, sample_moments
from homeprices.experiment.exposures import STATEMENT_TIMEOUT_SECONDS
from homeprices.experiment.policies import document_of, load
from homeprices.experiment.policies.post_promotion import BEFORE, Baseline, PostPromotionEvidence, PostPromotionRule
from homeprices.experiment.production_visitors import (
    ProductionVisitor,
    TimeWindow,
    production_p99,
    production_visitors,
    spellings_of,
)
from homeprices.log import get_logger
from homeprices.names import BUNDLE_KIND, REGIONAL_KIND
from homeprices.registry import bundle_reader, mlflow_mirror, regional_record, versions
from homeprices.release import holds, phases, promotion, replicas, traffic_counts
from homeprices.workflows.notify_once import notify_once

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from homeprices.adapters.object_store import Bucket
    from homeprices.experiment.decision_log import RecordedDecision
    from homeprices.experiment.policies import AnyPolicy
    from homeprices.resources import Resources

ACTOR = "watch"
PERSON = "person"

log = get_logger(__name__)


class PostPromotionAnalysis:
    """The analysis of the current production, and of each regional bundle beside it."""

    def __init__(
        self, resources: Resources, policy: AnyPolicy, clock: Callable[[], datetime] = versions.utc_now
    ) -> None:
        self._resources, self._policy, self._clock = resources, policy, clock

    def run(self) -> str:
        """Analyze production and revert what does harm; return the result, a sentence for each bundle."""
        bucket = self._resources.bucket
        general = bundle_reader.highest(bucket, BUNDLE_KIND["production"])
        if general is None:
            return "There is no production yet."
        record = regional_record.read(bucket)
        ended = [bundle.version for bundle in record.bundles if bundle.ended_by == ACTOR]
        with transaction(self._resources.engine) as connection:
            ended = [version for version in ended if self._unfinished(connection, version)]
        results = {version: self._analyze(version) for version in (general, *record.versions, *ended)}
        for version, (_, until) in results.items():
            phases.record_bake(bucket, version, until)
        return " ".join(result for result, _ in results.values())

    def _analyze(self, production: str) -> tuple[str, datetime | None]:
        """Return the result for a bundle, and when its bake window ends; None if it is not watched."""
        if (held := holds.hold_on(self._resources.bucket, production)) is not None:
            return str(held), phases.bake(self._resources.bucket, self._clock()).get(production)
        with transaction(self._resources.engine) as connection:
            begun = self._unfinished(connection, production)
            origin = decision_log.promotion_to(connection, production)
            since = origin and decision_log.bake_start(connection, origin)
        if begun is not None:
            return self._revert(begun), None
        if origin is None:
            return f"{production} is not watched: no promotion on record led to it.", None
        if isinstance(since, decision_log.RecordedDecision):
            return f"{production} is not watched: {since.actor} has skipped its bake window ({since.reason}).", None
        origin = replace(origin, ts=since or origin.ts)
        if (reason := self._not_analyzed(production, origin)) is not None:
            return reason, None
        until = origin.ts + self._policy.bake.longest
        with transaction(self._resources.engine) as connection:
            raise_statement_timeout(connection, STATEMENT_TIMEOUT_SECONDS)
            bucket = self._resources.bucket
            evidence = collect_evidence(connection, bucket, self._policy.bake, origin, production, self._clock())
        verdict = self._policy.bake.evaluate(evidence)
        if verdict.outcome == "continue":
            return verdict.reason, until
        with transaction(self._resources.engine) as connection:
            decided = decision_log.record_revert(
                connection,
                f"bake:{production}",
                evidence,
                verdict,
                ACTOR,
                policy=self._policy.name,
                policy_document=document_of(self._policy),
                software={"git_revision": self._resources.settings.git_revision},
            )
        return self._revert(decided), None

    def _not_analyzed(self, production: str, origin: RecordedDecision) -> str | None:
        """Return why this production is not analyzed, or None."""
        if origin.actor.startswith(PERSON):
            return f"{production} is not watched: {origin.actor} has promoted it."
        if self._clock() - origin.ts > self._policy.bake.longest:
            return f"{production} has passed its bake window."
        return None

    def _unfinished(self, connection: Connection, analyzed: str) -> RecordedDecision | None:
        """Return a recorded revert that was not finished, or None."""
        if versions.kind_of(analyzed) == REGIONAL_KIND:
            decided = decision_log.find(connection, f"bake:{analyzed}")
            return decided if decided is not None and decided.result_version is None else None
        production = bundle_reader.highest(self._resources.bucket, BUNDLE_KIND["production"])
        for version in reversed(bundle_reader.published(self._resources.bucket, BUNDLE_KIND["production"])):
            decided = decision_log.find(connection, f"bake:{version}")
            if decided is not None and decided.result_version is None:
                return decided if version == production or self._is_return(production, decided) else None
        return None

    def _is_return(self, production: str | None, decided: RecordedDecision) -> bool:
        """Return whether production already is the bundle that the decision restores."""
        if production is None:
            return False
        return bundle_reader.read_manifest(self._resources.bucket, production).promoted_from == decided.candidate

    def _revert(self, decided: RecordedDecision) -> str:
        """Publish the previous bundle as the next production, wait until it is served, record and notify.

        A regional bundle leaves its places to the previous one.
        """
        resources = self._resources
        regional = versions.kind_of(decided.production) == REGIONAL_KIND
        wait = partial(replicas.wait_for_version, resources.settings, "production", gone=regional)
        act, which = (promotion.take_back, decided.production) if regional else (promotion.revert, decided.candidate)
        version = act(resources.bucket, which, wait, ACTOR, decided.reason, clock=self._clock)
        mlflow_mirror.try_sync_registered_model(resources, new=version)
        page = decision_report.publish(resources, decided.key)
        again = "its places get what they had before" if regional else f"{decided.candidate} is in production again"
        title = f"{decided.production} is taken back: {again}{'' if regional else f', as {version}'}"
        # Notify before recording the result: if this process dies in between, the next run does both, and sends once.
        notify_once(resources, decided.key, Notification(title, decided.reason, page))
        with transaction(resources.engine) as connection:
            decision_log.record_result(connection, decided.key, version)
        decision_report.publish(resources, decided.key)  # the report now shows the result
        return f"{title}. {decided.reason}"


def bake_end(resources: Resources, connection: Connection, version: str) -> datetime | None:
    """Return when the bake window of a production bundle ends; None if it is not watched."""
    origin = decision_log.promotion_to(connection, version)
    since = origin and decision_log.bake_start(connection, origin)
    if origin is None or origin.actor.startswith(PERSON) or not isinstance(since, datetime):
        return None
    return since + load(resources.settings.policy).bake.longest


def collect_evidence(
    connection: Connection,
    bucket: Bucket,
    bake: PostPromotionRule,
    origin: RecordedDecision,
    production: str,
    now: datetime,
) -> PostPromotionEvidence:
    """Return the evidence of the new production, compared with the same hours a week (or else a day) earlier.

    Visitors of a regional bundle are compared with those of its places. Failures are those of all of production,
    because routers do not count them by place.
    """
    entry = regional_record.read(bucket).find(production)
    places = None if entry is None else entry.places
    baseline, before = _baseline(connection, bake, origin.ts, now, places)
    p99 = None if before is None else production_p99(connection, before)
    slow_over = bake.slow_over(p99)
    new = production_visitors(connection, TimeWindow(origin.ts, now, production), slow_over)
    old = [] if before is None else production_visitors(connection, before, slow_over)
    return PostPromotionEvidence(
        production=production,
        previous=origin.production,
        promoted_at=origin.ts,
        now=now,
        baseline=baseline,
        slow=clustered_proportion((visitor.slow, visitor.answers) for visitor in new),
        slow_over_ms=slow_over,
        ratings=_ratings(new),
        ratings_before=_ratings(old),
        price_errors=_errors(new),
        price_errors_before=_errors(old),
        failures=_failures(bucket, TimeWindow(origin.ts, now)),
        failures_before=ClusteredProportion() if before is None else _failures(bucket, before),
    )


def _baseline(
    connection: Connection,
    bake: PostPromotionRule,
    since: datetime,
    now: datetime,
    places: tuple[str, ...] | None,
) -> tuple[Baseline, TimeWindow | None]:
    names: tuple[Baseline, Baseline] = ("week", "day")
    for name in names:
        window = TimeWindow(since - BEFORE[name], now - BEFORE[name])
        if places is not None:  # those of a regional bundle are compared with themselves
            window = replace(window, spellings=spellings_of(connection, places, window))
        if len(production_visitors(connection, window, bake.slow_at_least_ms)) >= bake.visitors:
            return name, window
    return "none", None


def _failures(bucket: Bucket, window: TimeWindow) -> ClusteredProportion:
    """Return production's failed requests as the routers count them: the prediction log has no failures."""
    counts = traffic_counts.production(bucket, window.since, window.until)
    return clustered_proportion((failed, requests) for requests, failed in counts)


def _ratings(rows: list[ProductionVisitor]) -> SampleMoments:
    return sample_moments(row.stars for row in rows if row.stars is not None)


def _errors(rows: list[ProductionVisitor]) -> SampleMoments:
    return sample_moments(row.error for row in rows if row.error is not None)
