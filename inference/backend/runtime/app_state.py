"""What one worker process works with, opened in one place and handed to the views."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import psutil
from flask import current_app
from sqlalchemy import Engine

from homeprices.adapters.database import open_engine
from homeprices.adapters.object_store import Bucket, open_bucket
from homeprices.predictions.prediction_log import PredictionLog, open_prediction_log
from homeprices.pricing.predictor import Predictor
from homeprices.registry import versions
from homeprices.settings import Settings
from inference.backend.runtime.live_model import LiveModel, PollResult
from inference.backend.runtime.micro_batcher import BatchSlots
from inference.backend.runtime.prediction_service import PredictionService
from inference.backend.runtime.request_context import Caller, open_callers
from inference.backend.runtime.service_metrics import Metrics
from inference.backend.runtime.worker_status import WorkerStatusFiles

EXTENSION = "homeprices"


@dataclass(frozen=True)
class AppState:
    """The parts of a serving worker. `start` and `close` frame its life."""

    settings: Settings
    engine: Engine
    live: LiveModel
    log: PredictionLog
    metrics: Metrics
    cards: WorkerStatusFiles
    caller_of: Callable[[Mapping[str, Any]], Caller]
    batches: BatchSlots = field(default_factory=BatchSlots)

    @cached_property
    def answers(self) -> PredictionService:
        """What this worker says to visitors."""
        return PredictionService(self.settings.variant, self.live, self.log, self.metrics)

    def start(self) -> None:
        """Take a place among the workers, find a model, begin to drain."""
        psutil.cpu_percent(interval=None)  # the first call only sets the mark that later ones measure from
        self.cards.open()
        self.log.start()
        self.live.start()

    def close(self) -> None:
        """Drain what can be drained at once, and leave."""
        self.live.close()
        self.log.close()
        self.cards.close()
        self.engine.dispose()


def open_app_state(settings: Settings, bucket: Bucket | None = None) -> AppState:
    """The parts that the settings name, not yet started. Tests hand in a bucket of their own."""
    engine = open_engine(settings)
    metrics = Metrics(settings.variant)
    folder = settings.instance_dir
    cards = WorkerStatusFiles(folder / "workers")
    return AppState(
        settings=settings,
        engine=engine,
        live=LiveModel(
            settings.variant,
            bucket or open_bucket(settings),
            folder / "bundles",
            poll_seconds=settings.poll_seconds,
            watch=_announce(metrics, cards),
        ),
        log=open_prediction_log(settings, engine, metrics.drained),
        metrics=metrics,
        cards=cards,
        caller_of=open_callers(settings),
    )


def app_state() -> AppState:
    """The parts of the application that answers the present request."""
    service: AppState = current_app.extensions[EXTENSION]
    return service


def _announce(metrics: Metrics, cards: WorkerStatusFiles) -> Callable[[PollResult], None]:
    """What tells Prometheus and the other workers what this worker serves."""
    written: list[str | None] = [None]

    def announce(look: PollResult) -> None:
        metrics.polled(look.outcome)
        metrics.model_version.set(_number(look.model.version if look.model else None))
        metrics.rejected(_number(look.refused), look.fault)
        metrics.model_stale.set(look.stale)
        if look.model:
            metrics.model_trained.set(look.model.bundle.manifest.created_at.timestamp())
        _write_card(look.model)

    def _write_card(model: Predictor | None) -> None:
        version = model.version if model else None
        if written[0] != version:
            cards.write(version)
            written[0] = version

    return announce


def _number(version: str | None) -> int:
    return versions.number_of(version) if version else 0
