"""Collection of a running experiment's evidence from the prediction log, with both models' prices of logged homes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from homeprices.adapters.object_store import Bucket
from homeprices.errors import BundleRefused, Conflict, InvalidInput
from homeprices.experiment import exposures
from homeprices.experiment.aggregation import ExperimentRows, RescoredPrice, aggregate
from homeprices.experiment.evidence import Evidence
from homeprices.pricing.bundle import Bundle
from homeprices.pricing.home import Home
from homeprices.pricing.predictor import Predictor
from homeprices.registry import bundle_reader

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from homeprices.experiment.policies import AnyPolicy
    from homeprices.release.control_record import ControlRecord


RECENT = timedelta(hours=24)

Score = Callable[[str, Sequence[dict[str, Any]]], list[float | None]]
"""A bundle's prices of logged inputs in lakh rupees, in order; None for an input that it cannot price."""


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
    Without `score`, actual prices are not compared. Raise Conflict if no experiment is running.
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
    )
    exposures.raise_statement_timeout(connection)
    p99 = exposures.p99_milliseconds(connection, window)
    if "production" in p99:
        window = replace(window, slow_over_ms=policy.slow_over(p99["production"]))
    log = ExperimentRows(
        visitors=exposures.visitors(connection, window),
        raters=exposures.raters(connection, window),
        scored=_scored(exposures.prices(connection, window), window, score),
        p99=p99,
        shares=shares,
        testers=testers,
        most_a_day=policy.most_visits_a_day,
        voices=policy.voices,
        robustness=policy.robustness,
        burst=policy.burst,
        began=record.started_at,
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
    )


def _scored(
    told: list[exposures.ActualPrice], window: exposures.ExperimentWindow, score: Score | None
) -> list[RescoredPrice]:
    """Return both models' prices of every home whose actual price is known, whichever variant served it."""
    if score is None or not told:
        return [RescoredPrice(price, None, None) for price in told]
    inputs = [price.inputs for price in told]
    both = score(window.production, inputs), score(window.candidate, inputs)
    return [RescoredPrice(*row) for row in zip(told, *both, strict=True)]


HOMES_AT_ONCE = 1000


class Rescorer:
    """Prices logged inputs with a bundle from the bucket.

    Raises StorageUnavailable and ObjectNotFound. A rejected bundle prices nothing.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def __call__(self, version: str, inputs: Sequence[dict[str, Any]]) -> list[float | None]:
        """Return a price in lakh rupees for each input, in order; None for an input that is not a valid home."""
        homes = [_home(values) for values in inputs]
        known = [home for home in homes if home is not None]
        try:
            found = iter(self._prices(version, known))
        except BundleRefused:
            return [None] * len(homes)
        return [None if home is None else next(found) for home in homes]

    def _prices(self, version: str, homes: list[Home]) -> list[float]:
        with tempfile.TemporaryDirectory() as temporary:
            predictor = Predictor(Bundle.open(bundle_reader.fetch(self._bucket, version, Path(temporary))))
            pieces = (homes[start : start + HOMES_AT_ONCE] for start in range(0, len(homes), HOMES_AT_ONCE))
            return [estimate.price for piece in pieces for estimate in predictor.estimate(piece)]


def _home(inputs: dict[str, Any]) -> Home | None:
    try:
        return Home.parse(inputs)
    except InvalidInput:
        return None
