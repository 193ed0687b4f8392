"""Where the load's homes come from, and how satisfied a visitor is who knows what his home costs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from homeprices.adapters.object_store import Bucket
from homeprices.data.cleaning import clean
from homeprices.data.schema import read_listings
from homeprices.data.synthetic import make_listings
from homeprices.errors import InvalidInput
from homeprices.pricing.home import Home
from homeprices.registry import datasets

# Above these relative errors a visitor takes off a star. They follow the errors of usual models (a median of 15 to
# 30 %), so that a better model moves many ratings, and not only those of the few homes that it gets wrong by far.
STAR_LIMITS = (0.08, 0.16, 0.28, 0.45)
ACCURATE_LIMIT = 0.10
OPTIONAL = ("area_type", "balcony", "availability", "society")


@dataclass(frozen=True)
class Listing:
    """A home as the API takes it, and what it costs in lakh rupees."""

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
    """The clean listings of a raw table that are homes such as the API takes, with all that it takes of them."""
    listings = (_listing(row) for row in clean(raw).rows.to_dict("records"))
    return [listing for listing in listings if _is_taken(listing.home)]


def find_raw(path: Path | None, bucket: Bucket | None) -> tuple[pd.DataFrame, str]:
    """The raw table of a file, else the bucket's newest dataset, else synthetic listings; and its name."""
    if path is not None:
        return read_listings(path.read_bytes()), str(path)
    newest = datasets.latest(bucket) if bucket is not None else None
    if bucket is not None and newest is not None:
        return datasets.read(bucket, newest), newest.key
    return make_listings(), "synthetic listings"


def _is_taken(home: dict[str, Any]) -> bool:
    """False of the few whose area is that of a field or of a typing error."""
    try:
        Home.parse(home)
    except InvalidInput:
        return False
    return True


def _listing(row: dict[Any, Any]) -> Listing:
    home = {
        "total_sqft": float(row["total_sqft"]),
        "location": str(row["location"])[:100],
        "bhk": int(row["bhk"]),
        "bath": int(row["bath"]),
    }
    said = {name: row[name] for name in OPTIONAL if row[name] and not pd.isna(row[name])}
    if "balcony" in said:
        said["balcony"] = int(said["balcony"])
    return Listing({**home, **said}, float(row["price"]))
