"""Prepare a dataset for one training run: clean it, divide it, and decide about place prices."""

from __future__ import annotations

from typing import Any

from homeprices.adapters.object_store import Bucket
from homeprices.data import contract, preparation
from homeprices.log import get_logger
from homeprices.registry import datasets

log = get_logger(__name__)


def prepare_listings(bucket: Bucket, dataset: dict[str, Any], seed: int) -> preparation.PreparedDataset:
    """Return the prepared rows of a dataset, which is described as between tasks.

    Listings with dates are time-adjusted if that lowers the error on the hold-out. Raises DatasetRefused, which names
    what is wrong.
    """
    cleaned = datasets.clean(bucket, datasets.Dataset.model_validate(dataset))
    contract.require_training_rows(cleaned)
    prepared = preparation.prepare(cleaned)
    if not prepared.rule.startswith(preparation.BY_TIME):
        return prepared
    from homeprices.training.comparison import time_adjustment  # scikit-learn, for listings with dates only

    decided = time_adjustment.decide(prepared, seed)
    log.info("place_prices_decided", **decided.quality[time_adjustment.QUALITY])
    return decided
