"""Collection of a running experiment's evidence from the prediction log, with both models' prices of logged homes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from homeprices.adapters.database import raise_statement_timeout
from homeprices.adapters.object_store import Bucket
from homeprices.errors import BundleRefused, Conflict, InvalidInput
from homeprices.experiment import exposures
from homeprices.experiment.aggregation import ExperimentRows, RescoredPrice, aggregate
from homeprices.experiment.evidence import Evidence, RampProgress
from homeprices.names import BUNDLE_KIND
from homeprices.pricing.home import Home
from homeprices.pricing.predictor import Estimate, PriceModel
from homeprices.registry.production_models import open_model, open_production
from homeprices.registry.versions import kind_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from homeprices.experiment.policies import AnyPolicy
    from homeprices.experiment.policies.segments import SegmentRule
    from homeprices.release.experiment_record import ControlRecord


RECENT = timedelta(hours=24)

Score = Callable[[str, Sequence[dict[str, Any]]], list[Estimate | None]]
"""A bundle's estimates of logged inputs, in order; None for an input that it cannot price."""


def collect_evidence(
    connection: Connection,
    record: ControlRecord,
    now: datetime,
    policy: AnyPolicy,
    *,
    score: Score | None = None,
    testers: Collection[str] = (),
    stopped: str | None = None,
    drift: str | None = None,
) -> Evidence:
    """Return the evidence of the experiment in the control record up to `now`.

    Count exposures of its epochs in which the candidate had a share. `testers` are pseudonyms of visitors to exclude.
    Without `score`, actual prices are not compared, and no segment is by price or known place. Raise Conflict if no
    experiment is running.
    """
    if not (record.production and record.candidate and record.experiment and record.started_at):
        raise Conflict("no experiment is running, so there is no evidence to gather")
    shares = {epoch.epoch: epoch.share for epoch in record.epochs if epoch.share > 0}
    window = exposures.ExperimentWindow(
        production=record.production,
        candidate=record.candidate,
        epochs=tuple(shares),
        since=record.started_at,
        until=now,
        recent=max(record.started_at, now - RECENT),
        regional=record.regional,
    )
    raise_statement_timeout(connection, exposures.STATEMENT_TIMEOUT_SECONDS)
    p99 = exposures.p99_milliseconds(connection, window)
    if "production" in p99:
        window = replace(window, slow_over_ms=policy.slow_over(p99["production"]))
    rule = policy.segments
    told = exposures.prices(connection, window)
    homes = exposures.first_homes(connection, window) if rule is not None else {}
    scored, of_homes = _scored(told, list(homes.values()), window, score)
    log = ExperimentRows(
        visitors=exposures.visitors(connection, window),
        raters=exposures.raters(connection, window),
        scored=scored,
        p99=p99,
        shares=shares,
        testers=testers,
        most_a_day=policy.most_visits_a_day,
        voices=policy.voices,
        robustness=policy.robustness,
        burst=policy.burst,
        began=record.started_at,
        segments={} if rule is None else _segments(rule, homes, of_homes),
    )
    found = aggregate(log, (record.production, record.candidate))
    return Evidence(
        experiment=record.experiment,
        production=found.variants[0],
        candidate=found.variants[1],
        started_at=record.started_at,
        now=now,
        strata=found.strata,
        errors=found.errors,
        slow=found.slow,
        slow_over_ms=window.slow_over_ms,
        paired=found.paired,
        left_out={**found.left_out, **exposures.left_out(connection, window)},
        stopped=stopped,
        drift=drift,
        without=found.without,
        level=record.level,
        segments=found.segments,
        ramp=ramp_progress(connection, record, window) if policy.ramp else None,
        places=record.places,
        regional=record.regional,
    )


def ramp_progress(
    connection: Connection, record: ControlRecord, window: exposures.ExperimentWindow
) -> RampProgress | None:
    """Return the present step of the ramp; None in the trial, and while the candidate is stopped."""
    if record.phase != "ramp" or record.state != "running":
        return None
    step = record.epochs[-1]
    return RampProgress(
        epoch=step.epoch,
        share=step.share,
        since=step.since,
        exposures=exposures.candidate_exposures(connection, replace(window, epochs=(step.epoch,))),
        a_day=exposures.requests_a_day(connection, window.until),
    )


def _scored(
    told: list[exposures.ActualPrice],
    homes: list[dict[str, Any]],
    window: exposures.ExperimentWindow,
    score: Score | None,
) -> tuple[list[RescoredPrice], list[Estimate | None]]:
    """Return both models' prices of every home whose actual price is known, whichever variant served it, and
    production's estimates of other homes: in one call, because a call downloads the bundle.
    """
    if score is None or not (told or homes):
        return [RescoredPrice(price, None, None) for price in told], [None] * len(homes)
    inputs = [price.inputs for price in told]
    production = score(window.production, [*inputs, *homes])
    candidate = score(window.candidate, inputs) if told else []
    scored = [
        RescoredPrice(price, *(None if estimate is None else estimate.price for estimate in both))
        for price, *both in zip(told, production[: len(told)], candidate, strict=True)
    ]
    return scored, production[len(told) :]


def _segments(
    rule: SegmentRule, homes: dict[str, dict[str, Any]], estimates: list[Estimate | None]
) -> dict[str, set[str]]:
    """Return the visitors of each segment, by their first home and production's estimate of it."""
    found: dict[str, set[str]] = {name: set() for name in rule.names}
    for (visitor, inputs), estimate in zip(homes.items(), estimates, strict=True):
        known, price = (None, None) if estimate is None else (estimate.location_known, estimate.price)
        for name in rule.segments_of(inputs, known, price):
            found[name].add(visitor)
    return found


HOMES_AT_ONCE = 1000


class Rescorer:
    """Prices logged inputs with a bundle from the bucket; for a production bundle, with the regional ones beside it.

    Raises StorageUnavailable and ObjectNotFound. A rejected bundle prices nothing.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def __call__(self, version: str, inputs: Sequence[dict[str, Any]]) -> list[Estimate | None]:
        """Return an estimate for each input, in order; None for an input that is not a valid home."""
        homes = [logged_home(values) for values in inputs]
        known = [home for home in homes if home is not None]
        try:
            found = iter(self._estimates(version, known))
        except BundleRefused:
            return [None] * len(homes)
        return [None if home is None else next(found) for home in homes]

    def _estimates(self, version: str, homes: list[Home]) -> list[Estimate]:
        with tempfile.TemporaryDirectory() as temporary:
            predictor = self._open(version, Path(temporary))
            pieces = (homes[start : start + HOMES_AT_ONCE] for start in range(0, len(homes), HOMES_AT_ONCE))
            return [estimate for piece in pieces for estimate in predictor.estimate(piece)]

    def _open(self, version: str, folder: Path) -> PriceModel:
        if kind_of(version) == BUNDLE_KIND["production"]:
            return open_production(self._bucket, version, folder)
        return open_model(self._bucket, version, folder)


def logged_home(inputs: dict[str, Any]) -> Home | None:
    """Return the home in logged inputs; None if they are none, for example those of an earlier version."""
    try:
        return Home.parse(inputs)
    except InvalidInput:
        return None
