"""The model that answers, exchanged while it answers.

A thread looks into the bucket for the version of this instance's role, fetches and verifies it, replays its golden
inputs (which warms it up), takes its time, and only then swaps one reference. A bundle that fails on the way is refused
and the model that was there goes on. With the bucket away at start, the last good bundle comes from the local cache,
marked stale.
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
from inference.backend.runtime.process import release_free_memory

log = get_logger(__name__)

FIRST_LOOK_SECONDS = 1.5
"""How long a starting worker waits for the bucket before it takes what it has in its cache."""

CACHED_BUNDLES = 3
LONGEST_RETRY_SECONDS = 60.0  # a refused bundle is tried again, more and more rarely: the fault may be in the copy

SLOWER_AT_MOST = 5.0  # than the model that it replaces
QUICK_ENOUGH_SECONDS = 50e-6  # where a model that is five times slower than a quicker one costs a visitor nothing
SLOWEST_SECONDS = 0.002  # for an instance that serves nothing yet: of that, a worker answers 400 a second

State = Literal["starting", "ok", "idle", "stale"]
Outcome = Literal["unchanged", "reloaded", "rejected", "not_published", "unavailable"]


@dataclass(frozen=True)
class PollResult:
    """What a look into the bucket came to; `model` answers from now on, `refused` may not, for its `fault`."""

    outcome: Outcome
    model: Predictor | None
    stale: bool
    refused: str | None
    fault: BundleFault | None = None


@dataclass
class _Refusal:
    version: str
    fault: BundleFault = "damaged"
    attempts: int = 0
    retry_at: float = 0.0


class LiveModel:
    """The served model of one worker. Runs its own thread between `start` and `close`."""

    def __init__(
        self,
        variant: Variant,
        bucket: Bucket,
        cache: Path,
        *,
        poll_seconds: float,
        watch: Callable[[PollResult], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kind = BUNDLE_KIND[variant]
        self._bucket = bucket
        self._cache = cache
        self._poll_seconds = poll_seconds
        self._watch = watch
        self._clock = clock
        self._model: Predictor | None = None
        self._state: State = "starting"
        self._refusal: _Refusal | None = None
        self._outcome: Outcome | None = None
        self._swapping = threading.Lock()
        self._looked = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live-model", daemon=True)

    def current(self) -> Predictor:
        """The model to answer with; keep it for the whole answer. Raises NoModel."""
        model = self._model
        if model is None:
            raise NoModel(
                "there is no candidate on trial"
                if self._kind == BUNDLE_KIND["candidate"]
                else "no model has been published yet"
            )
        return model

    @property
    def state(self) -> State:
        """`starting`: nothing to serve yet; `idle`: no candidate; `stale`: served without a word of the bucket."""
        return self._state

    @property
    def refused(self) -> str | None:
        """The version that should be served, and is not because its bundle is bad."""
        return self._refusal.version if self._refusal else None

    @property
    def fault(self) -> BundleFault | None:
        """What is wrong with the refused bundle."""
        return self._refusal.fault if self._refusal else None

    def start(self) -> None:
        """Begin to look; return with a model where the bucket, or else the cache, has one."""
        self._thread.start()
        if not self._looked.wait(FIRST_LOOK_SECONDS) or self._outcome == "unavailable":
            self._take_from_cache()

    def close(self) -> None:
        """Stop to look. The model stays."""
        self._closing.set()

    def poll(self) -> Outcome:
        """Look once. Never raises: a fault of the bucket or of a bundle changes nothing about what is served."""
        outcome: Outcome
        try:
            outcome = self._follow_bucket()
        except (Unavailable, OSError) as error:
            outcome = "unavailable"
            if self._outcome != outcome:
                log.warning("bucket_unavailable", reason=str(error))
        self._outcome = outcome
        self._watch(PollResult(outcome, self._model, self._state == "stale", self.refused, self.fault))
        self._looked.set()
        return outcome

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self.poll()
            except Exception:  # nothing may end this thread: the instance would never see another model
                log.exception("model_poll_failed")
                self._looked.set()
            self._closing.wait(self._poll_seconds)

    def _follow_bucket(self) -> Outcome:
        published = bundle_reader.published(self._bucket, self._kind)
        if not published:
            return self._nothing_published()
        wanted = published[-1]
        if self._model and self._model.version == wanted:
            self._refusal = None
            self._state = "ok"
            return "unchanged"
        if self._try(wanted):
            return "reloaded"
        # With nothing to go on with, an earlier production bundle is better than no answer.
        earlier = reversed(published[:-1]) if self._kind == BUNDLE_KIND["production"] and self._model is None else ()
        for version in earlier:
            try:
                self._swap(self._load(version))
            except (BundleRefused, ObjectNotFound) as error:
                log.error("model_refused", version=version, reason=str(error))
            else:
                break
        return "rejected"

    def _nothing_published(self) -> Outcome:
        self._refusal = None
        if self._kind == BUNDLE_KIND["candidate"]:
            if self._model:
                log.info("model_dropped", version=self._model.version)
            self._model, self._state = None, "idle"
        return "not_published"

    def _try(self, version: str) -> bool:
        """Serve a version unless its bundle is bad, or was a short while ago."""
        refusal = self._refusal if self._refusal and self._refusal.version == version else _Refusal(version)
        if self._clock() < refusal.retry_at:
            return False
        try:
            self._swap(self._load(version))
        except (BundleRefused, ObjectNotFound) as error:
            refusal.fault = error.fault if isinstance(error, BundleRefused) else "damaged"
            refusal.attempts += 1
            pause = min(self._poll_seconds * 2**refusal.attempts, LONGEST_RETRY_SECONDS)
            refusal.retry_at = self._clock() + pause
            self._refusal = refusal
            log.error("model_refused", version=version, fault=refusal.fault, reason=str(error))
            return False
        self._refusal = None
        return True

    def _load(self, version: str) -> Predictor:
        model = Predictor(Bundle.open(bundle_reader.fetch(self._bucket, version, self._cache)))
        require_speed(model, self._model)
        return model

    def _swap(self, model: Predictor) -> None:
        with self._swapping:
            before = self._model.version if self._model else None
            self._model, self._state = model, "ok"
        log.info("model_swapped", version=model.version, before=before)
        self._forget_old_bundles()
        release_free_memory()  # loading a model takes many times its size

    def _take_from_cache(self) -> None:
        """The newest sound bundle of the cache, while the bucket does not answer."""
        for folder in self._cached():
            if self._model is not None or self._state == "idle":  # the bucket has answered meanwhile
                return
            try:
                model = Predictor(Bundle.open(folder))
            except HomePricesError as error:
                log.error("cached_model_refused", folder=folder.name, reason=str(error))
                continue
            with self._swapping:
                if self._model is None and self._state == "starting":
                    self._model, self._state = model, "stale"
            log.warning("model_from_cache", version=model.version)
            self._watch(PollResult("unavailable", self._model, self._state == "stale", self.refused, self.fault))
            return

    def _cached(self) -> list[Path]:
        """Bundle folders of this role in the cache, newest first."""
        folders = {}
        for folder in self._cache.glob(f"price_check_{self._kind}*"):
            number = folder.name.removeprefix(f"price_check_{self._kind}")
            if number.isdecimal():
                folders[int(number)] = folder
        return [folders[number] for number in sorted(folders, reverse=True)]

    def _forget_old_bundles(self) -> None:
        for folder in self._cached()[CACHED_BUNDLES:]:
            shutil.rmtree(folder, ignore_errors=True)


def require_speed(model: Predictor, before: Predictor | None) -> None:
    """Raises BundleRefused for a model that takes many times as long as the one that it would replace."""
    most = SLOWEST_SECONDS
    if before is not None:
        most = min(most, SLOWER_AT_MOST * max(before.estimate_seconds(), QUICK_ENOUGH_SECONDS))
    found = model.estimate_seconds()
    if found > most:
        detail = f"an estimate takes {found * 1000:.2f} ms of processor time, at most {most * 1000:.2f} are allowed"
        raise BundleRefused(f"{model.version}: {detail}", "slow")
