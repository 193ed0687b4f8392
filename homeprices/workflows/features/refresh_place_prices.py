"""The daily refresh of place prices: the table of a day, computed of the newest dataset and stored as a version."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from homeprices.adapters.object_store import Bucket
from homeprices.data.listing_dates import LISTED_ON, local_day
from homeprices.data.place_prices import LEAST_LISTINGS, history_of, table_as_of
from homeprices.errors import NotFound, NotReady
from homeprices.log import get_logger
from homeprices.pricing.market import PLACE_PRICE_DAYS, PlacePrices
from homeprices.registry import datasets, place_price_tables
from homeprices.registry.datasets import Dataset
from homeprices.registry.versions import utc_now

log = get_logger(__name__)


def table_of(bucket: Bucket, day: date, version: int | None = None) -> tuple[PlacePrices, Dataset]:
    """Return the place prices that were known on a day, and the dataset: the newest one, or that of the version.

    Raises NotFound when there is no dataset, InvalidInput for a version that does not exist, and NotReady when the
    listings have no dates, or too few are of the 90 days before.
    """
    dataset = datasets.find(bucket, version)
    return _table(datasets.clean(bucket, dataset).rows, day, dataset.name), dataset


def table_of_file(path: Path, day: date) -> PlacePrices:
    """Return the place prices that were known on a day, of a file of listings.

    Raises OSError, DatasetRefused, and NotReady as `table_of` does.
    """
    from homeprices.data import contract
    from homeprices.data.schema import MAX_BYTES

    with path.open("rb") as file:
        accepted = contract.accept(file.read(MAX_BYTES + 1), local_day(utc_now()))
    return _table(accepted.cleaned.rows, day, path.name)


def _table(rows: pd.DataFrame, day: date, source: str) -> PlacePrices:
    if LISTED_ON not in rows:
        raise NotReady(f"the listings of {source} have no column {LISTED_ON}, so they have no place prices")
    table = table_as_of(history_of(rows), day)
    if table is None:
        raise NotReady(
            f"{source} has fewer than {LEAST_LISTINGS} listings in the {PLACE_PRICE_DAYS} days before {day}, "
            "so there are no place prices of that day"
        )
    return table


def refresh(bucket: Bucket, day: date) -> dict[str, Any]:
    """Store the table of a day and return its version (None: there is none, and `reason` says why).

    Safe to repeat and to kill. Of a day before the newest table's, nothing is stored.
    """
    try:
        table, dataset = table_of(bucket, day)
    except (NotFound, NotReady) as error:
        return {"version": None, "as_of": day.isoformat(), "reason": str(error)}
    stored = place_price_tables.publish(bucket, table, dataset=dataset.name, dataset_sha256=dataset.sha256)
    removed = place_price_tables.prune(bucket)
    log.info("place_prices_stored", version=stored.name, as_of=stored.as_of.isoformat(), removed=removed)
    reason = f"{len(table.places):,} places of {dataset.name}"
    return {"version": stored.name, "as_of": stored.as_of.isoformat(), "reason": reason}


def refresh_run(run_after: datetime) -> dict[str, Any]:
    """`refresh` for the day of an Airflow run, in the bucket of this process's settings: a late retry has its day."""
    from homeprices.adapters.object_store import open_bucket
    from homeprices.settings import load_settings

    return refresh(open_bucket(load_settings()), local_day(run_after))
