"""The load's homes and ratings."""

from __future__ import annotations

from pathlib import Path

import pytest

from homeprices.adapters.object_store import MemoryBucket
from homeprices.data.schema import to_csv
from homeprices.data.synthetic import make_listings
from homeprices.pricing.home import Home
from homeprices.registry import datasets
from tests.load.listings import Listing, find_raw, listings_of


@pytest.mark.parametrize(
    ("estimate", "stars"), [(100, 5), (108, 5), (92, 5), (109, 4), (80, 3), (130, 2), (150, 1), (20, 1)]
)
def test_stars_follow_the_distance_from_the_listings_price(estimate: float, stars: int) -> None:
    assert Listing({}, 100.0).stars(estimate) == stars


@pytest.mark.parametrize(("estimate", "verdict"), [(109, "accurate"), (112, "too_high"), (88, "too_low")])
def test_the_verdict_has_a_direction(estimate: float, verdict: str) -> None:
    assert Listing({}, 100.0).verdict(estimate) == verdict


def test_a_closer_model_earns_better_ratings() -> None:
    listings = listings_of(make_listings(500, seed=3))

    def mean_stars(factor: float) -> float:
        return sum(listing.stars(listing.price * factor) for listing in listings) / len(listings)

    assert mean_stars(1.1) > mean_stars(1.25) > mean_stars(1.5)


def test_every_home_is_one_that_the_api_takes() -> None:
    listings = listings_of(make_listings(800, seed=4))
    assert len(listings) > 500
    for listing in listings:
        Home.parse(listing.home)
        assert listing.price > 0


def test_an_area_that_the_api_refuses_is_left_out() -> None:
    raw = make_listings(60, seed=4)
    raw["total_sqft"] = "15 Acres"
    assert listings_of(raw) == []


def test_the_newest_dataset_of_the_bucket_is_preferred_to_made_up_homes() -> None:
    bucket = MemoryBucket()
    assert find_raw(None, bucket)[1] == "synthetic listings"
    datasets.import_csv(bucket, to_csv(make_listings(300, seed=5)), "a test")
    raw, name = find_raw(None, bucket)
    assert (len(raw), name) == (300, "data/raw/train_V1.csv")


def test_a_file_is_preferred_to_the_bucket(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_bytes(to_csv(make_listings(120, seed=6)))
    raw, name = find_raw(file, MemoryBucket())
    assert (len(raw), name) == (120, str(file))
