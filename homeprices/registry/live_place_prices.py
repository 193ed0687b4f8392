"""The place prices of one serving process: the newest sound table of the bucket, swapped while the models serve.

Only models that use place prices cause any reading. If the newest table is damaged, differs too much from a model's
own, or the bucket is away, each model keeps the levels that it has. A copy in the cache serves a start without the
bucket.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from weakref import WeakKeyDictionary

from pydantic import BaseModel, ConfigDict

from homeprices.adapters.object_store import Bucket
from homeprices.errors import BundleRefused, HomePricesError, ObjectNotFound, Unavailable
from homeprices.files import write_atomic
from homeprices.log import get_logger
from homeprices.pricing.market import PlacePrices
from homeprices.pricing.predictor import Predictor
from homeprices.registry import place_price_tables
from homeprices.registry.place_price_tables import TableManifest

COPY = "place_prices.json"
RETRY_SECONDS = 60.0  # after a table was refused: the fault may be in the copy
EARLIER_TRIED = 3
"""Of a process that has no table yet, when the newest one is damaged."""

log = get_logger(__name__)


class _Copy(BaseModel):
    """A table as it is kept in the cache: the text of the file, so that its digest can be checked again."""

    model_config = ConfigDict(frozen=True)

    manifest: TableManifest
    table: str


class LivePlacePrices:
    """The table of place prices that the models of a process use. One thread polls."""

    def __init__(self, bucket: Bucket, cache: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._bucket, self._cache, self._clock = bucket, cache, clock
        self._manifest: TableManifest | None = None
        self._table: PlacePrices | None = None
        self._refused: tuple[int, float] | None = None
        self._applied: WeakKeyDictionary[Predictor, str | None] = WeakKeyDictionary()

    @property
    def version(self) -> str | None:
        """The version of the table, such as `V3`; None before the first one."""
        return self._manifest.name if self._manifest else None

    @property
    def refused(self) -> str | None:
        """The newest version of the bucket, if it was refused."""
        return f"V{self._refused[0]}" if self._refused else None

    def follow(self, models: Iterable[Predictor], *, poll: bool = True) -> None:
        """Give each model that uses place prices the newest table. Without such a model, do nothing. Raises nothing.

        Without `poll` the bucket is not asked.
        """
        using = [model for model in models if model.base_place_prices is not None]
        if not using:
            return
        if poll:
            try:
                self._poll()
            except (Unavailable, OSError) as error:
                log.warning("place_prices_unavailable", using=self.version, reason=str(error))
        for model in using:
            self._apply(model)

    def take_from_cache(self) -> None:
        """Use the table in the cache, while the bucket does not answer."""
        try:
            copy = place_price_tables.parse(_Copy, (self._cache / COPY).read_bytes(), COPY)
            table = place_price_tables.verified(copy.manifest, copy.table.encode())
        except FileNotFoundError:
            return
        except (HomePricesError, OSError) as error:
            log.error("cached_place_prices_rejected", reason=str(error))
            return
        if self._table is None:
            self._manifest, self._table = copy.manifest, table

    def _poll(self) -> None:
        numbers = place_price_tables.versions(self._bucket)
        if not numbers or (self._manifest and self._manifest.version == numbers[-1]):
            self._refused = None
            return
        if self._refused and self._refused[0] == numbers[-1] and self._clock() < self._refused[1]:
            return
        if self._take(numbers[-1]):
            self._refused = None
            return
        self._refused = numbers[-1], self._clock() + RETRY_SECONDS
        if self._table is None:
            any(self._take(number) for number in reversed(numbers[-1 - EARLIER_TRIED : -1]))

    def _take(self, number: int) -> bool:
        """Use a table of the bucket, keep a copy of it, and return whether it is sound."""
        try:
            manifest, body = place_price_tables.read(self._bucket, number)
            table = place_price_tables.verified(manifest, body)
        except (BundleRefused, ObjectNotFound) as error:
            log.error("place_prices_rejected", version=f"V{number}", using=self.version, reason=str(error))
            return False
        before, self._manifest, self._table = self.version, manifest, table
        log.info("place_prices_reloaded", version=manifest.name, as_of=manifest.as_of.isoformat(), before=before)
        try:
            self._cache.mkdir(parents=True, exist_ok=True)
            copy = _Copy(manifest=manifest, table=body.decode())
            write_atomic(self._cache / COPY, copy.model_dump_json())
        except OSError as error:  # a full disk: the next table tries again
            log.warning("place_prices_copy_failed", version=manifest.name, reason=str(error))
        return True

    def _apply(self, model: Predictor) -> None:
        if self._table is None or self._applied.get(model) == self.version:
            return
        self._applied[model] = self.version  # a table that the model refuses is offered, and logged, once
        try:
            model.use_place_prices(self._table)
        except BundleRefused as error:
            log.error("place_prices_refused_by_model", model=model.version, version=self.version, reason=str(error))
