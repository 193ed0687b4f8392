"""A thousand homes have one price at the level of the day: in the service, in a batch job and in a notebook."""

from __future__ import annotations

import io
import random
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from homeprices.adapters.object_store import MemoryBucket
from homeprices.pricing.frame_model import FrameModel
from homeprices.pricing.home import Home
from homeprices.pricing.market import PlacePrices
from homeprices.registry import place_price_tables
from homeprices.registry.production_models import open_model
from homeprices.workflows.score_batch import BatchRun
from tests.support.bundles import LOCATION_LEVELS, make_bundle, make_place_prices
from tests.support.factories import NOW

HOMES = 1_000
TRAINED_ON, TODAY = date(2026, 1, 1), date(2026, 6, 1)


@pytest.fixture
def table() -> PlacePrices:
    """The place prices of today: every known place has changed by another factor, and so has the city."""
    levels = {name.lower().replace(" ", ""): 1.1 + number / 10 for number, name in enumerate(LOCATION_LEVELS)}
    return make_place_prices(TODAY, city=0.8, **levels)


@pytest.fixture
def asked() -> pd.DataFrame:
    """Homes of places in several spellings, known and unknown."""
    rng = random.Random(6)
    names = [*LOCATION_LEVELS, *(name.upper() for name in LOCATION_LEVELS), "  Atlantis "]
    homes = [(rng.randint(400, 5_000), rng.choice(names), rng.randint(1, 5), rng.randint(1, 4)) for _ in range(HOMES)]
    return pd.DataFrame(homes, columns=["total_sqft", "location", "bhk", "bath"])


def test_service_batch_and_notebook_price_at_the_levels_of_the_day(
    table: PlacePrices, asked: pd.DataFrame, tmp_path: Path
) -> None:
    bucket = MemoryBucket()
    folder = make_bundle(tmp_path / "bundle", "BO1", place_prices=make_place_prices(TRAINED_ON))
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            bucket.put(f"models/price_check_BO1/{path.relative_to(folder).as_posix()}", path.read_bytes())
    place_price_tables.publish(bucket, table, dataset="train_V1", dataset_sha256="a" * 64)

    serving = open_model(bucket, "BO1", tmp_path / "service")
    assert serving.place_prices_as_of == TODAY
    rows = zip(*(asked[name].tolist() for name in asked), strict=True)
    homes = [Home.parse(dict(zip(map(str, asked), row, strict=True))) for row in rows]
    served = [one.price for one in serving.estimate(homes)]

    bucket.put("in/homes.csv", asked.to_csv(index=False).encode())
    run = BatchRun(bucket, "job")
    for number in run.plan("in/", "production", NOW):
        run.score(number)
    [key] = [entry.key for entry in bucket.list("batch/job/partitions/") if entry.key.endswith(".parquet")]
    batch = pq.read_table(io.BytesIO(bucket.get(key).body))["estimated_price"].to_pylist()

    (tmp_path / "table.json").write_text(table.model_dump_json())
    notebook = FrameModel(folder, tmp_path / "table.json").predict(asked)["estimated_price"].tolist()

    assert batch == pytest.approx(served, rel=1e-6)
    assert notebook == pytest.approx(served, abs=0.01)
    unchanged = FrameModel(folder).predict(asked)["estimated_price"]
    assert len({round(now / then, 2) for now, then in zip(served, unchanged, strict=True)}) > 2
