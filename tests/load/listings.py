"""The homes that simulated visitors ask about, and how they rate an estimate when they know the price."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from homeprices.adapters.object_store import Bucket
from homeprices.data.cleaning import clean
from homeprices.data.preparation import to_priced_homes
from homeprices.data.schema import read_listings
from homeprices.data.synthetic import make_listings
from homeprices.registry import datasets

# Each of these relative errors that is exceeded costs a star. They follow the errors of usual models (a median of 15 to
# 30 %), so that a better model moves many ratings, not only those of the few homes with large errors.
STAR_LIMITS = (0.08, 0.16, 0.28, 0.45)
ACCURATE_LIMIT = 0.10


@dataclass(frozen=True)
class Listing:
    """A home as the API accepts it, and its price in lakh rupees."""

    home: dict[str, Any]
    price: float

    def stars(self, estimate: float) -> int:
        """5 to 1, by how far the estimate is from the price."""
        error = self.error(estimate)
        return 5 - sum(error > limit for limit in STAR_LIMITS)

    def verdict(self, estimate: float) -> str:
        """accurate, too_high or too_low."""
        if self.error(estimate) <= ACCURATE_LIMIT:
            return "accurate"
        return "too_high" if estimate > self.price else "too_low"

    def error(self, estimate: float) -> float:
        """The estimate's distance from the price, as a share of the price."""
        return abs(estimate - self.price) / self.price


def listings_of(raw: pd.DataFrame) -> list[Listing]:
    """The clean listings of a raw table that the API accepts as homes, with every input that they give."""
    homes, prices = to_priced_homes(clean(raw).rows)
    return [
        Listing(home.model_dump(exclude_none=True), price) for home, price in zip(homes, prices.tolist(), strict=True)
    ]


def find_raw(path: Path | None, bucket: Bucket | None) -> tuple[pd.DataFrame, str]:
    """The raw table of a file, else the bucket's newest dataset, else synthetic listings; and its name."""
    if path is not None:
        return read_listings(path.read_bytes()), str(path)
    newest = datasets.latest(bucket) if bucket is not None else None
    if bucket is not None and newest is not None:
        return datasets.read(bucket, newest), newest.key
    return make_listings(), "synthetic listings"
