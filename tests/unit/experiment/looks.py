"""Evidence for tests: both variants of one experiment at one look."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from homeprices.experiment.evidence import (
    ClusteredProportion,
    Evidence,
    PairedPriceError,
    SampleMoments,
    Stratum,
    VariantSummary,
)

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


def variant(bundle: str, visitors: int, rated: int, stars: float, **more: Any) -> VariantSummary:
    """A variant whose visitors come once and rate once."""
    rating = {"ratings": rated, "rated_visitors": rated, "mean_rating": stars if rated else None}
    latency = {"mean_latency_ms": 5.0 if visitors else None, "latency_variance": 9.0}
    given = {"bundle": bundle, "requests": visitors, "recent_requests": visitors, "visitors": visitors}
    return VariantSummary.model_validate({**given, **rating, **latency, **more})


def stratum(
    assigned: tuple[int, int],
    rated: tuple[int, int],
    stars: tuple[float, float],
    *,
    variance: float = 1.3,
    epoch: int = 1,
    share: float = 20.0,
) -> Stratum:
    """One epoch."""
    samples = tuple(
        SampleMoments(n=n, mean=mean if n else 0.0, variance=variance if n > 1 else 0.0)
        for n, mean in zip(rated, stars, strict=True)
    )
    return Stratum(epoch=epoch, share=share, assigned=assigned, ratings=samples)


def look(
    stars: tuple[float, float] = (3.6, 3.6),
    *,
    rated: tuple[int, int] = (400, 100),
    assigned: tuple[int, int] = (4000, 1000),
    variance: float = 1.3,
    days: float = 3,
    **more: Any,
) -> Evidence:
    """Both variants in one epoch, mean stars of production and candidate given."""
    return Evidence.model_validate(
        {
            "experiment": "BO1-CO1",
            "production": variant("BO1", assigned[0], rated[0], stars[0]),
            "candidate": variant("CO1", assigned[1], rated[1], stars[1]),
            "started_at": BEGIN,
            "now": BEGIN + timedelta(days=days),
            "strata": (stratum(assigned, rated, stars, variance=variance),),
            "errors": happened(0, assigned[1]),
            "slow": happened(0, assigned[1]),
            "slow_over_ms": 100.0,
            **more,
        }
    )


def happened(hits: int, visitors: int) -> ClusteredProportion:
    """To so many of the visitors, who came once each."""
    return ClusteredProportion(
        visitors=visitors,
        hits=hits,
        trials=visitors,
        hits_squared=hits,
        trials_squared=visitors,
        hits_times_trials=hits,
    )


def paired(n: int, mean: float, variance: float = 0.01) -> PairedPriceError:
    """Prices of so many visitors, and how much farther from them the candidate is."""
    return PairedPriceError(
        difference=SampleMoments(n=n, mean=mean, variance=variance), production_error=0.2, candidate_error=0.2
    )
