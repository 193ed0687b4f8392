"""What a bundle of the bucket says of homes that were priced before: both models on the same homes."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from homeprices.adapters.object_store import Bucket
from homeprices.errors import BundleRefused, InvalidInput
from homeprices.pricing.bundle import Bundle
from homeprices.pricing.home import Home
from homeprices.pricing.predictor import Predictor
from homeprices.registry import bundle_reader

HOMES_AT_ONCE = 1000


class Rescorer:
    """Prices logged inputs again. Raises StorageUnavailable and ObjectNotFound; a refused bundle prices nothing."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def __call__(self, version: str, inputs: Sequence[dict[str, Any]]) -> list[float | None]:
        """One price an input in lakh rupees, in order; None for what is no home to this model."""
        homes = [_home(values) for values in inputs]
        known = [home for home in homes if home is not None]
        try:
            found = iter(self._prices(version, known))
        except BundleRefused:
            return [None] * len(homes)
        return [None if home is None else next(found) for home in homes]

    def _prices(self, version: str, homes: list[Home]) -> list[float]:
        with tempfile.TemporaryDirectory() as temporary:
            predictor = Predictor(Bundle.open(bundle_reader.fetch(self._bucket, version, Path(temporary))))
            pieces = (homes[start : start + HOMES_AT_ONCE] for start in range(0, len(homes), HOMES_AT_ONCE))
            return [estimate.price for piece in pieces for estimate in predictor.estimate(piece)]


def _home(inputs: dict[str, Any]) -> Home | None:
    try:
        return Home.parse(inputs)
    except InvalidInput:
        return None
