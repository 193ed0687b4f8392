"""Prepare a dataset for one training run: clean it, divide it, and decide about place prices.

If models use place prices, the table of the day is stored, so that the first model does not wait for that of the night.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from homeprices.adapters.object_store import Bucket
from homeprices.data import contract, preparation
from homeprices.data.listing_dates import local_day
from homeprices.log import get_logger
from homeprices.registry import datasets
from homeprices.registry.versions import utc_now
from homeprices.workflows.features.refresh_place_prices import refresh

log = get_logger(__name__)


def prepare_listings(
    bucket: Bucket, dataset: dict[str, Any], seed: int, today: date | None = None
) -> preparation.PreparedDataset:
    """Return the prepared rows of a dataset, which is described as between tasks.

    Listings with dates are time-adjusted if that lowers the error on the hold-out. `today` is the day of the table that
    is stored then (default: this day). Raises DatasetRefused, which names what is wrong, StorageUnavailable.
    """
    cleaned = datasets.clean(bucket, datasets.Dataset.model_validate(dataset))
    contract.require_training_rows(cleaned)
    prepared = preparation.prepare(cleaned)
    if not prepared.rule.startswith(preparation.BY_TIME):
        return prepared
    from homeprices.training.comparison import time_adjustment  # scikit-learn, for listings with dates only

    decided = time_adjustment.decide(prepared, seed)
    log.info("place_prices_decided", **decided.quality[time_adjustment.QUALITY])
    if decided.time_adjusted:
        refresh(bucket, today or local_day(utc_now()))
    return decided
