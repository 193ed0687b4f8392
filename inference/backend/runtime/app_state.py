"""The application state of one worker process: everything that its routes use, opened in one place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import psutil
from flask import current_app
from sqlalchemy import Engine

from homeprices.adapters.database import open_engine
from homeprices.adapters.object_store import Bucket, open_bucket
from homeprices.keys.key_cache import KeyCache
from homeprices.keys.key_check import KeyCheck
from homeprices.predictions.prediction_log import PredictionLog, open_prediction_log
from homeprices.registry import versions
from homeprices.settings import Settings
from inference.backend.runtime.access import Access
from inference.backend.runtime.cookie_quota import CookieQuota
from inference.backend.runtime.live_model import LiveModel, PollResult
from inference.backend.runtime.micro_batcher import BatchSlots
from inference.backend.runtime.prediction_service import PredictionService
from inference.backend.runtime.request_context import Caller, open_callers
from inference.backend.runtime.service_metrics import Metrics
from inference.backend.runtime.worker_status import WorkerStatusFiles

HOSTS_KEPT = 256
EXTENSION = "homeprices"
FIRST_KEYS_SECONDS = 1.0  # wait for the bucket; then the stored copy of the key ring is used


@dataclass(frozen=True)
class AppState:
    """The open resources of a serving worker between `start` and `close`."""

    settings: Settings
    engine: Engine
    live: LiveModel
    log: PredictionLog
    metrics: Metrics
    workers: WorkerStatusFiles
    caller_of: Callable[[Mapping[str, Any]], Caller]
    batches: BatchSlots = field(default_factory=BatchSlots)
    cookies: CookieQuota = field(default_factory=CookieQuota)
    keys: KeyCache | None = None

    @cached_property
    def predictions(self) -> PredictionService:
        """The prediction service of this worker."""
        return PredictionService(self.settings.variant, self.live, self.log, self.metrics)

    def cookie_signature(self, caller: Caller) -> str | None:
        """Return the signature of the cookie that a new visitor gets with an answer; None for no cookie."""
        if caller.signature is None or caller.insider or self.cookies.take(caller.network):
            return caller.signature
        self.metrics.cookies_withheld.inc()
        return None

    @cached_property
    def access(self) -> Access:
        """Who may do what."""
        return Access(self.settings.api_keys)

    @cached_property
    def knows_host(self) -> Callable[[str], bool]:
        """Whether a Host header names this service; the results of the last ones are cached."""
        return lru_cache(maxsize=HOSTS_KEPT)(self.settings.knows_host)

    def start(self) -> None:
        """Register this worker, load a model and start the drain."""
        psutil.cpu_percent(interval=None)  # the first call only sets the start of the interval that later calls measure
        self.workers.open()
        self.log.start()
        if self.keys is not None:
            self.keys.start(FIRST_KEYS_SECONDS)
        self.live.start()

    def close(self) -> None:
        """Stop polling, drain what can be drained at once, and unregister this worker."""
        if self.keys is not None:
            self.keys.close()
        self.live.close()
        self.log.close()
        self.workers.close()
        self.engine.dispose()


def open_app_state(settings: Settings, bucket: Bucket | None = None) -> AppState:
    """Return the state that the settings describe, not yet started. `bucket` replaces the configured one in tests."""
    engine = open_engine(settings)
    metrics = Metrics(settings.variant)
    folder = settings.instance_dir
    workers = WorkerStatusFiles(folder / "workers")
    bucket = bucket or open_bucket(settings)
    check = None if settings.api_keys == "off" else KeyCheck()
    return AppState(
        settings=settings,
        engine=engine,
        live=LiveModel(
            settings.variant,
            bucket,
            folder / "bundles",
            poll_seconds=settings.poll_seconds,
            report=_poll_reporter(metrics, workers),
        ),
        log=open_prediction_log(settings, engine, metrics.drained),
        metrics=metrics,
        workers=workers,
        caller_of=open_callers(settings, check),
        keys=None if check is None else KeyCache(bucket, folder / "keys.json", settings.poll_seconds, check.use),
        cookies=CookieQuota(settings.workers),
    )


def app_state() -> AppState:
    """Return the state of the application that handles the current request."""
    state: AppState = current_app.extensions[EXTENSION]
    return state


def _poll_reporter(metrics: Metrics, workers: WorkerStatusFiles) -> Callable[[PollResult], None]:
    """Return a function that publishes a poll's result to Prometheus and, if the version changed, to other workers."""
    published: tuple[str | None, tuple[str, ...]] = None, ()

    def report(result: PollResult) -> None:
        nonlocal published
        metrics.polled(result.outcome)
        metrics.model_version.set(_number(result.model.version if result.model else None))
        metrics.rejected(_number(result.refused), result.fault)
        metrics.model_stale.set(result.stale)
        if result.model:
            metrics.model_trained.set(result.model.bundle.manifest.created_at.timestamp())
        served = (result.model.version if result.model else None, result.regional)
        if published != served:
            workers.write(*served)
            published = served

    return report


def _number(version: str | None) -> int:
    return versions.number_of(version) if version else 0
