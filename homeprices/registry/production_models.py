"""The models of production: the general one, and the regional ones that are chosen by the place of a home."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from homeprices.adapters.object_store import Bucket
from homeprices.errors import BundleFault, BundleRefused, HomePricesError, ObjectNotFound
from homeprices.files import write_atomic
from homeprices.log import get_logger
from homeprices.names import REGIONAL_KIND
from homeprices.pricing.bundle import Bundle
from homeprices.pricing.features import key_of
from homeprices.pricing.home import Home
from homeprices.pricing.predictor import Estimate, Predictor
from homeprices.registry import bundle_reader, regional_record
from homeprices.registry.live_place_prices import LivePlacePrices
from homeprices.registry.regional_record import RegionalRecord

RECORD_COPY = "regions.json"
RETRY_SECONDS = 60.0  # after a bundle was refused: the fault may be in the copy

log = get_logger(__name__)


@dataclass(frozen=True)
class ProductionModels:
    """The general model, and the regional model of each place (its key) that has one. It prices like a `Predictor`."""

    general: Predictor
    by_place: Mapping[str, Predictor] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """The version of the general model."""
        return self.general.version

    def model_for(self, home: Home) -> Predictor:
        """Return the model that prices a home."""
        return self.by_place.get(key_of(home.location), self.general) if self.by_place else self.general

    def _grouped(self, homes: Sequence[Home]) -> list[tuple[Predictor, list[int]]]:
        """Return each model that prices one of the homes, with the positions of its homes."""
        groups: dict[int, tuple[Predictor, list[int]]] = {}
        for position, home in enumerate(homes):
            model = self.model_for(home)
            groups.setdefault(id(model), (model, []))[1].append(position)
        return list(groups.values())

    def estimate(self, homes: Sequence[Home]) -> list[Estimate]:
        """Return an estimate for each home, in order. Raises BundleRefused."""
        if not self.by_place:
            return self.general.estimate(homes)
        found: dict[int, Estimate] = {}
        for model, positions in self._grouped(homes):
            estimates = model.estimate([homes[position] for position in positions])
            found.update(zip(positions, estimates, strict=True))
        return [found[position] for position in range(len(homes))]

    def estimate_seconds(self) -> float:
        """Return the processor time of an estimate of the general model, in seconds."""
        return self.general.estimate_seconds()


def open_production(bucket: Bucket, version: str, folder: Path) -> ProductionModels:
    """Return the models of production with a general version, from copies under `folder`.

    A regional bundle that is refused is left out, as in the services. Raises BundleRefused, ObjectNotFound,
    StorageUnavailable, and HomePricesError for a damaged regional record.
    """
    general = open_model(bucket, version, folder)
    regional = RegionalModels(bucket, folder)
    regional.poll()
    LivePlacePrices(bucket, folder).follow(regional.by_place.values())
    return ProductionModels(general, regional.by_place)


def open_model(bucket: Bucket, version: str, folder: Path) -> Predictor:
    """Return one model at the present place prices, from a copy under `folder`, as a service prices with it.

    Raises BundleRefused, ObjectNotFound, StorageUnavailable.
    """
    model = Predictor(Bundle.open(bundle_reader.fetch(bucket, version, folder)))
    LivePlacePrices(bucket, folder).follow([model])
    return model


class RegionalModels:
    """The regional models of one process, kept as the record in the bucket says. `check` may refuse a loaded one.

    A bundle that is refused leaves its places to the model that they would have without it.
    """

    def __init__(
        self,
        bucket: Bucket,
        cache: Path,
        check: Callable[[Predictor], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bucket, self._cache, self._check, self._clock = bucket, cache, check, clock
        self._record = self._stored = RegionalRecord()
        self._models: dict[str, Predictor] = {}
        self._refused: dict[str, tuple[BundleFault, float]] = {}
        self.by_place: Mapping[str, Predictor] = {}

    @property
    def versions(self) -> tuple[str, ...]:
        """The regional versions that are served, oldest first."""
        return tuple(version for version in self._record.versions if version in self._models)

    @property
    def refused(self) -> tuple[str, BundleFault] | None:
        """The newest refused regional version and the reason, or None."""
        versions = [version for version in self._record.versions if version in self._refused]
        return (versions[-1], self._refused[versions[-1]][0]) if versions else None

    def poll(self) -> bool:
        """Follow the record; return whether the served models have changed. Raises StorageUnavailable.

        Raises HomePricesError for a damaged record, and keeps the served models then.
        """
        record = regional_record.read(self._bucket)
        changed = self._follow(record)
        if record != self._stored:
            self._store(record)
        return changed

    def _store(self, record: RegionalRecord) -> None:
        """Store a copy of the record for a start without the bucket. If the disk takes none, the next poll tries."""
        try:
            self._cache.mkdir(parents=True, exist_ok=True)
            write_atomic(self._cache / RECORD_COPY, record.model_dump_json())
        except OSError as error:
            log.warning("regional_record_copy_failed", reason=str(error))
            return
        self._stored = record
        self._remove_others(record.versions)

    def take_from_cache(self) -> None:
        """Serve what the copies in the cache hold, while the bucket does not answer."""
        try:
            record = regional_record.parse((self._cache / RECORD_COPY).read_bytes())
        except FileNotFoundError:
            return
        except (HomePricesError, OSError) as error:
            log.error("cached_regional_record_rejected", reason=str(error))
            return
        self._follow(record, self._cached)

    def _follow(self, record: RegionalRecord, fetch: Callable[[str], Path] | None = None) -> bool:
        before = self.versions, self.by_place
        for version in record.versions:
            if version not in self._models and self._is_due(version):
                self._load(version, fetch or self._fetched)
        self._models = {version: model for version, model in self._models.items() if version in record.versions}
        self._refused = {version: refusal for version, refusal in self._refused.items() if version in record.versions}
        self._record = record
        # One assignment: a request that reads it sees the models before or after, of all places.
        self.by_place = {
            place: self._models[bundle.version]
            for bundle in record.in_production
            if bundle.version in self._models
            for place in bundle.places
        }
        return before != (self.versions, self.by_place)

    def _load(self, version: str, fetch: Callable[[str], Path]) -> None:
        try:
            model = Predictor(Bundle.open(fetch(version)))
            self._check(model)
        except (BundleRefused, ObjectNotFound, FileNotFoundError) as error:
            fault: BundleFault = error.fault if isinstance(error, BundleRefused) else "damaged"
            self._refused[version] = fault, self._clock() + RETRY_SECONDS
            log.error("model_rejected", version=version, fault=fault, reason=str(error))
            return
        self._models[version] = model
        self._refused.pop(version, None)
        log.info("model_reloaded", version=version, before=None)

    def _is_due(self, version: str) -> bool:
        return version not in self._refused or self._clock() >= self._refused[version][1]

    def _fetched(self, version: str) -> Path:
        return bundle_reader.fetch(self._bucket, version, self._cache)

    def _cached(self, version: str) -> Path:
        return self._cache / f"price_check_{version}"

    def _remove_others(self, kept: Iterable[str]) -> None:
        folders = {self._cached(version).name for version in kept}
        for folder in self._cache.glob(f"price_check_{REGIONAL_KIND}*"):
            if folder.name not in folders:
                shutil.rmtree(folder, ignore_errors=True)
