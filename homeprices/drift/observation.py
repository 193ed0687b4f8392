"""One look at an arm: its visitors against the bundle that answered them, its error, and where a drift is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from homeprices.drift import live_comparison
from homeprices.drift.comparison import compare
from homeprices.drift.error import Holdout, error_drift
from homeprices.drift.sample import baseline_of_bundle, sample_of_visits
from homeprices.drift.subgroups import between_arms, by_segment
from homeprices.predictions import drift_reports
from homeprices.pricing.features import Locations
from homeprices.pricing.manifest import INTERVAL_LOG_WIDTH

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from homeprices.pricing.bundle import Bundle
    from homeprices.settings import Variant

BEFORE = timedelta(days=7)
"""What the segments of a window are compared with: the same segments in the week before it."""


@dataclass(frozen=True)
class Observation:
    """What was seen of an arm in a window; `summary` is what is stored and answered."""

    variant: Variant
    bundle: str
    since: datetime
    until: datetime
    summary: dict[str, Any]

    def report(self, run: str) -> drift_reports.Report:
        """The observation as it is stored, under the run that made it."""
        return drift_reports.Report(
            variant=self.variant,
            bundle=self.bundle,
            window_start=self.since,
            window_end=self.until,
            data_points=int(self.summary["data_points"]),
            summary={**self.summary, "run": run},
        )


def observe(
    connection: Connection, variant: Variant, bundle: Bundle, until: datetime, hours: int, production: str | None = None
) -> Observation:
    """The arm's visitors of the last `hours` before `until`. A candidate is also compared with `production`'s."""
    since = until - timedelta(hours=hours)
    visits = live_comparison.visits(connection, variant, bundle.version, since=since, until=until)
    prices = live_comparison.actual_prices(connection, bundle.version, until=until)
    before = live_comparison.visits(connection, variant, bundle.version, since=since - BEFORE, until=since)
    summary = compare(baseline_of_bundle(bundle.reference()), sample_of_visits(visits)).summary()
    summary["error"] = _error(bundle, prices, visits)
    summary["segments"] = by_segment(before, visits, Locations(bundle.columns.locations))
    if production is not None:
        beside = live_comparison.visits(connection, "production", production, since=since, until=until)
        summary["arms"] = between_arms(beside, visits)
    return Observation(variant, bundle.version, since, until, summary)


def _error(bundle: Bundle, prices: list[tuple[float, float, float, float]], visits: list[dict[str, Any]]) -> Any:
    """What prices or intervals say of the error; None for a bundle that does not say how large it was."""
    metrics, interval = bundle.manifest.metrics, bundle.columns.interval
    if "median_ape" not in metrics:
        return None
    middle = math.log(interval.upper_factor / interval.lower_factor)  # of a bundle from before the metric was there
    holdout = Holdout(
        median_ape=metrics["median_ape"],
        coverage=metrics.get("interval_coverage", interval.coverage),
        log_width=metrics.get(INTERVAL_LOG_WIDTH, middle),
    )
    widths = [math.log(visit["high"] / visit["low"]) for visit in visits if 0 < visit["low"] <= visit["high"]]
    return error_drift(prices, holdout, widths).model_dump()
