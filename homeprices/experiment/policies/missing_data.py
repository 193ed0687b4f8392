"""Missing data: a variant without logged requests of the last day, although the site had traffic."""

from __future__ import annotations

from datetime import timedelta

from homeprices.experiment.evidence import Evidence
from homeprices.names import VARIANTS

SILENT_BELOW = 20
"""Minimum expected requests per day for the missing-data check: zero by chance has probability e^-20, about 2e-9."""


def missing_data(evidence: Evidence) -> str | None:
    """Return which variant had no request for a day; None if a quiet site explains it."""
    variants, days = (evidence.production, evidence.candidate), evidence.age / timedelta(days=1)
    if not any(variant.requests for variant in variants):
        return "Data is missing: neither arm has a request in the log."
    share = next((stratum.share / 100 for stratum in reversed(evidence.strata) if 0 < stratum.share < 100), None)
    for place, (name, variant) in enumerate(zip(VARIANTS, variants, strict=True)):
        by_other = (
            0.0 if share is None else variants[1 - place].recent_requests * ((1 - share) / share) ** (1 - 2 * place)
        )
        if variant.recent_requests == 0 and max(by_other, variant.requests / days) >= SILENT_BELOW:
            return f"Data is missing: {name} ({variant.bundle}) has no request of the last 24 h in the log."
    return None
