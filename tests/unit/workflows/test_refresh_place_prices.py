"""The daily refresh, its back-fill by `homeprices features`, and the preparation of dated listings for a training."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from homeprices.adapters.object_store import MemoryBucket
from homeprices.cli import main
from homeprices.data.listing_dates import LISTED_ON
from homeprices.data.moving_prices import LAST_DAY, with_dates
from homeprices.data.preparation import BY_TIME, SALT, PreparedDataset
from homeprices.data.schema import to_csv
from homeprices.data.synthetic import make_listings
from homeprices.pricing.market import PlacePrices
from homeprices.registry import datasets, place_price_tables
from homeprices.resources import Resources
from homeprices.settings import Settings
from homeprices.training.comparison import time_adjustment
from homeprices.workflows import run_notes
from homeprices.workflows.features.prepare_listings import prepare_listings
from homeprices.workflows.features.refresh_place_prices import refresh
from tests.support.faulty_bucket import DyingBucket, Killed

TODAY = LAST_DAY - timedelta(days=30)


@pytest.fixture(scope="module")
def listings() -> pd.DataFrame:
    """Raw listings with dates."""
    return with_dates(make_listings(3_000, 6), 6, moving=True)


@pytest.fixture
def bucket(listings: pd.DataFrame) -> MemoryBucket:
    """A bucket with the listings that were known today."""
    found = MemoryBucket()
    store(found, listings[listings[LISTED_ON] < TODAY.isoformat()])
    return found


def store(bucket: MemoryBucket, listings: pd.DataFrame) -> None:
    body = to_csv(listings)
    datasets.store(bucket, body, "test", rows=len(listings), format="csv")


def table(bucket: MemoryBucket) -> PlacePrices:
    found = place_price_tables.newest(bucket)
    assert found is not None
    return found[1]


def test_a_refresh_stores_the_table_of_the_day_once(bucket: MemoryBucket) -> None:
    stored = refresh(bucket, TODAY)
    assert (stored["version"], stored["as_of"]) == ("V1", TODAY.isoformat())
    assert run_notes.place_prices_stored(stored).startswith(f"the place prices of {TODAY} are V1: ")
    assert refresh(bucket, TODAY) == stored
    assert refresh(bucket, TODAY + timedelta(days=1))["version"] == "V2"
    assert place_price_tables.versions(bucket) == [1, 2]


def test_a_back_fill_of_any_day_is_what_the_refresh_of_that_day_stored(
    bucket: MemoryBucket, listings: pd.DataFrame, tmp_path: Path
) -> None:
    refresh(bucket, TODAY)
    store(bucket, listings)  # later listings come
    out = tmp_path / "place_prices.json"
    command = ["features", "--as-of", TODAY.isoformat(), "--out", str(out)]
    assert main(command, Resources(Settings(), bucket)) == 0
    assert PlacePrices.model_validate_json(out.read_text()) == table(bucket)


def test_a_refresh_that_is_killed_at_any_step_gives_the_same_outcome(bucket: MemoryBucket) -> None:
    operations = 0
    while True:
        try:
            stored = refresh(DyingBucket(bucket, operations), TODAY)
            break
        except Killed:
            operations += 1
    assert operations > 5 and stored["version"] == "V1"
    assert place_price_tables.versions(bucket) == [1]


def test_old_versions_leave(bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    for back in range(4, -1, -1):
        refresh(bucket, TODAY - timedelta(days=back))
    assert place_price_tables.prune(bucket, kept=3) == [1, 2]


def test_without_dates_a_dataset_or_listings_there_is_no_table_and_the_reason_is_given() -> None:
    bucket = MemoryBucket()
    assert "there is no dataset yet" in refresh(bucket, TODAY)["reason"]
    store(bucket, make_listings(200, 1))
    found = refresh(bucket, TODAY)
    assert found["version"] is None and "train_V1 have no column listed_on" in found["reason"]
    assert run_notes.place_prices_stored(found).startswith("no place prices: ")
    store(bucket, with_dates(make_listings(200, 1), 1, moving=True))
    assert "fewer than 30 listings in the 90 days" in refresh(bucket, date(2020, 1, 1))["reason"]
    assert list(bucket.list(place_price_tables.PREFIX)) == []


def test_the_command_prints_a_table_and_refuses_what_is_wrong(
    bucket: MemoryBucket, listings: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    resources = Resources(Settings(), bucket)
    assert main(["features", "--as-of", TODAY.isoformat()], resources) == 0
    printed = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert list(printed.columns) == ["of", "name", "region", "rupees_per_sqft", "listings"]
    path = tmp_path / "listings.csv"
    path.write_bytes(to_csv(listings))
    assert main(["features", "--as-of", TODAY.isoformat(), "--listings", str(path)], resources) == 0
    assert pd.read_csv(io.StringIO(capsys.readouterr().out)).equals(printed)
    for arguments, problem in (
        (["--as-of", "2020-01-01"], "fewer than 30 listings"),
        (["--as-of", "2026-11-30", "--dataset", "9"], "there is no train_V9"),
        (["--as-of", "2026-11-30", "--dataset", "1", "--listings", str(path)], "give one of them"),
        (["--as-of", "2026-11-30", "--out", "a.txt"], "must end with .csv or .json"),
    ):
        assert main(["features", *arguments], resources) == 1
        assert problem in capsys.readouterr().err
    assert main(["features", "--as-of", "30/11/2026"], resources) == 2
    assert "30/11/2026" in capsys.readouterr().err


def test_a_training_divides_dated_listings_by_time_and_rejects_rows_after_the_import(listings: pd.DataFrame) -> None:
    bucket = MemoryBucket()
    late = listings.copy()
    late.loc[late.index[:5], LISTED_ON] = "2999-01-01"
    store(bucket, late)
    dataset = datasets.find(bucket, None).model_copy(update={"imported_at": datetime(2026, 11, 30, tzinfo=UTC)})
    prepared = prepare_listings(bucket, dataset.model_dump(mode="json"), 7)
    assert prepared.rule.startswith(BY_TIME) and prepared.rows[LISTED_ON].max() <= "2026-11-30"
    assert "sentence" in prepared.quality["place_prices"]
    store(bucket, make_listings(600, 2))
    undated = prepare_listings(bucket, datasets.find(bucket, None).model_dump(mode="json"), 7)
    assert undated.rule == SALT and "place_prices" not in undated.quality


@pytest.mark.parametrize("used", [True, False])
def test_a_training_stores_the_table_of_the_day_if_its_models_use_one(
    bucket: MemoryBucket, used: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decide(prepared: PreparedDataset, seed: int) -> PreparedDataset:
        return replace(prepared, quality=prepared.quality | {time_adjustment.QUALITY: {}}, time_adjusted=used)

    monkeypatch.setattr(time_adjustment, "decide", decide)
    prepare_listings(bucket, datasets.find(bucket, None).model_dump(mode="json"), 7, TODAY)
    assert place_price_tables.versions(bucket) == ([1] if used else [])
    if used:
        assert table(bucket).as_of == TODAY
