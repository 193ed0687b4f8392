"""Hot reload: the served model of a worker, replaced without a restart.

A thread polls the bucket for the newest version of this instance's variant. It fetches and verifies the bundle, replays
the golden inputs (which warms up the model), measures its speed, and only then swaps one reference. If a step fails,
the version is rejected and the current model stays. If the bucket is unavailable at the start, the worker serves the
newest valid bundle of its cache, marked stale.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from homeprices.adapters.object_store import Bucket
from homeprices.errors import BundleFault, BundleRefused, HomePricesError, NoModel, ObjectNotFound, Unavailable
from homeprices.log import get_logger
from homeprices.names import BUNDLE_KIND, Variant
from homeprices.pricing.bundle import Bundle
from homeprices.pricing.predictor import Predictor
from homeprices.registry import bundle_reader
from homeprices.registry.live_place_prices import LivePlacePrices
from homeprices.registry.production_models import ProductionModels, RegionalModels
from inference.backend.runtime.process import release_free_memory

log = get_logger(__name__)

FIRST_POLL_SECONDS = 1.5
"""How long a starting worker waits for the bucket before it serves from its cache."""

CACHED_BUNDLES = 3
LONGEST_RETRY_SECONDS = 60.0  # retries of a rejected bundle back off to this: the fault may be in the copy

MAX_SLOWDOWN = 5.0  # against the model that it replaces
FAST_ENOUGH_SECONDS = 50e-6  # below this, even a slowdown by a factor of five is imperceptible to visitors
SLOWEST_SECONDS = 0.002  # in any case; at that speed a worker answers 400 requests a second

State = Literal["starting", "ok", "idle", "stale"]
Outcome = Literal["unchanged", "reloaded", "rejected", "not_published", "unavailable"]


@dataclass(frozen=True)
class PollResult:
    """The result of a poll: the `model` that is served, the `regional` versions beside it, what was refused and why."""

    outcome: Outcome
    model: Predictor | None
    stale: bool
    refused: str | None
    fault: BundleFault | None = None
    regional: tuple[str, ...] = ()


@dataclass
class _Rejection:
    version: str
    fault: BundleFault = "damaged"
    attempts: int = 0
    retry_at: float = 0.0


class LiveModel:
    """The served model of one worker. A thread polls the bucket between `start` and `close`."""

    def __init__(
        self,
        variant: Variant,
        bucket: Bucket,
        cache: Path,
        *,
        poll_seconds: float,
        report: Callable[[PollResult], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kind = BUNDLE_KIND[variant]
        self._bucket = bucket
        self._cache = cache
        self._poll_seconds = poll_seconds
        self._report = report
        self._clock = clock
        self._model: Predictor | None = None
        self._regional: RegionalModels | None = None
        self.place_prices = LivePlacePrices(bucket, cache, clock)
        if variant == "production":
            self._regional = RegionalModels(bucket, cache, self._admit, clock)
        self._state: State = "starting"
        self._rejection: _Rejection | None = None
        self._outcome: Outcome | None = None
        self._swapping = threading.Lock()
        self._polled = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live-model", daemon=True)

    def current(self) -> Predictor:
        """Return the model. Use the same one for a whole request. Raises NoModel."""
        model = self._model
        if model is None:
            raise NoModel(
                "there is no candidate on trial"
                if self._kind == BUNDLE_KIND["candidate"]
                else "no model has been published yet"
            )
        return model

    def models(self) -> ProductionModels:
        """Return the model, and those of production's regions beside it. Raises NoModel."""
        return ProductionModels(self.current(), self._regional.by_place if self._regional else {})

    @property
    def regional_versions(self) -> tuple[str, ...]:
        """The regional versions that are served, oldest first."""
        return self._regional.versions if self._regional else ()

    @property
    def state(self) -> State:
        """`starting`: no model yet; `ok`; `idle`: no candidate; `stale`: cached, not confirmed by the bucket."""
        return self._state

    @property
    def refused(self) -> str | None:
        """The newest version, or else a regional one, if it was rejected."""
        return self._refusal[0] if self._refusal else None

    @property
    def fault(self) -> BundleFault | None:
        """Why that version was rejected."""
        return self._refusal[1] if self._refusal else None

    @property
    def _refusal(self) -> tuple[str, BundleFault] | None:
        if self._rejection:
            return self._rejection.version, self._rejection.fault
        return self._regional.refused if self._regional else None

    def start(self) -> None:
        """Start polling, and wait for a first model from the bucket or, if it does not answer, from the cache."""
        self._thread.start()
        if not self._polled.wait(FIRST_POLL_SECONDS) or self._outcome == "unavailable":
            self._take_from_cache()

    def close(self) -> None:
        """Stop polling. The model stays."""
        self._closing.set()

    def poll(self) -> Outcome:
        """Poll once. If the bucket or a bundle fails, the served model stays and nothing is raised."""
        outcome: Outcome
        try:
            outcome = self._load_newest()
            if self._regional:
                self._follow_regions(self._regional)
            if self._model:
                self.place_prices.follow([self._model, *self.models().by_place.values()])
        except (Unavailable, OSError) as error:
            outcome = "unavailable"
            if self._outcome != outcome:
                log.warning("bucket_unavailable", reason=str(error))
        self._outcome = outcome
        self._tell(outcome)
        self._polled.set()
        return outcome

    def _tell(self, outcome: Outcome) -> None:
        stale = self._state == "stale"
        self._report(PollResult(outcome, self._model, stale, self.refused, self.fault, self.regional_versions))

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self.poll()
            except Exception:  # the thread must go on: otherwise the instance would never load another model
                log.exception("model_poll_failed")
                self._polled.set()
            self._closing.wait(self._poll_seconds)

    def _load_newest(self) -> Outcome:
        published = bundle_reader.published(self._bucket, self._kind)
        if not published:
            return self._nothing_published()
        newest = published[-1]
        if self._model and self._model.version == newest:
            self._rejection = None
            self._state = "ok"
            return "unchanged"
        if self._try(newest):
            return "reloaded"
        # Without a model, an earlier production bundle is better than no response.
        earlier = reversed(published[:-1]) if self._kind == BUNDLE_KIND["production"] and self._model is None else ()
        for version in earlier:
            try:
                self._swap(self._load(version))
            except (BundleRefused, ObjectNotFound) as error:
                log.error("model_rejected", version=version, reason=str(error))
            else:
                break
        return "rejected"

    def _follow_regions(self, regional: RegionalModels) -> None:
        try:
            if regional.poll():
                log.info("regional_models_changed", versions=regional.versions, places=len(regional.by_place))
                release_free_memory()
        except Unavailable:
            raise
        except HomePricesError as error:  # a damaged record: the places keep the models that they have
            log.error("regional_record_rejected", reason=str(error))

    def _nothing_published(self) -> Outcome:
        self._rejection = None
        if self._kind == BUNDLE_KIND["candidate"]:
            if self._model:
                log.info("model_removed", version=self._model.version)
            self._model, self._state = None, "idle"
        return "not_published"

    def _try(self, version: str) -> bool:
        """Serve a version and return True, unless it is rejected or its next attempt is not due."""
        rejection = self._rejection if self._rejection and self._rejection.version == version else _Rejection(version)
        if self._clock() < rejection.retry_at:
            return False
        try:
            self._swap(self._load(version))
        except (BundleRefused, ObjectNotFound) as error:
            rejection.fault = error.fault if isinstance(error, BundleRefused) else "damaged"
            rejection.attempts += 1
            pause = min(self._poll_seconds * 2**rejection.attempts, LONGEST_RETRY_SECONDS)
            rejection.retry_at = self._clock() + pause
            self._rejection = rejection
            log.error("model_rejected", version=version, fault=rejection.fault, reason=str(error))
            return False
        self._rejection = None
        return True

    def _load(self, version: str) -> Predictor:
        model = Predictor(Bundle.open(bundle_reader.fetch(self._bucket, version, self._cache)))
        self._admit(model)
        return model

    def _admit(self, model: Predictor) -> None:
        """Raise BundleRefused for a slow model; let it price at the present levels before it serves."""
        require_speed(model, self._model)
        self.place_prices.follow([model], poll=self._state != "stale")

    def _swap(self, model: Predictor) -> None:
        with self._swapping:
            before = self._model.version if self._model else None
            self._model, self._state = model, "ok"
        log.info("model_reloaded", version=model.version, before=before)
        self._remove_old_bundles()
        release_free_memory()  # loading takes many times the memory of the model

    def _take_from_cache(self) -> None:
        """Serve the newest valid bundle of the cache, while the bucket does not answer."""
        for folder in self._cached():
            if self._model is not None or self._state == "idle":  # the bucket has answered meanwhile
                return
            try:
                model = Predictor(Bundle.open(folder))
            except HomePricesError as error:
                log.error("cached_model_rejected", folder=folder.name, reason=str(error))
                continue
            self.place_prices.take_from_cache()
            self.place_prices.follow([model], poll=False)
            with self._swapping:
                if self._model is None and self._state == "starting":
                    self._model, self._state = model, "stale"
            log.warning("cached_model_loaded", version=model.version)
            if self._regional:
                self._regional.take_from_cache()
            self._tell("unavailable")
            return

    def _cached(self) -> list[Path]:
        """Return the bundle folders of this variant in the cache, newest first."""
        folders = {}
        for folder in self._cache.glob(f"price_check_{self._kind}*"):
            number = folder.name.removeprefix(f"price_check_{self._kind}")
            if number.isdecimal():
                folders[int(number)] = folder
        return [folders[number] for number in sorted(folders, reverse=True)]

    def _remove_old_bundles(self) -> None:
        for folder in self._cached()[CACHED_BUNDLES:]:
            shutil.rmtree(folder, ignore_errors=True)


def require_speed(model: Predictor, before: Predictor | None) -> None:
    """Raise BundleRefused for a model that is many times slower than the one that it would replace."""
    most = SLOWEST_SECONDS
    if before is not None:
        most = min(most, MAX_SLOWDOWN * max(before.estimate_seconds(), FAST_ENOUGH_SECONDS))
    seconds = model.estimate_seconds()
    if seconds > most:
        detail = f"an estimate takes {seconds * 1000:.2f} ms of processor time, at most {most * 1000:.2f} are allowed"
        raise BundleRefused(f"{model.version}: {detail}", "slow")
