"""The application with an in-memory bucket and a prediction log that keeps its records in a list."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine

from homeprices.adapters.database import open_engine
from homeprices.adapters.object_store import MemoryBucket
from homeprices.errors import SpoolFull
from homeprices.keys import key_ring
from homeprices.keys.key_check import KeyCheck
from homeprices.predictions.feedback import Feedback
from homeprices.predictions.prediction_log import IssueStatus, Prediction
from homeprices.pricing.market import Market
from homeprices.registry import versions
from homeprices.settings import load_settings
from inference.backend.inference_api import create_app
from inference.backend.runtime.app_state import AppState
from inference.backend.runtime.live_model import LiveModel
from inference.backend.runtime.request_context import open_callers
from inference.backend.runtime.service_metrics import Metrics
from inference.backend.runtime.worker_status import WorkerStatusFiles
from tests.support.bundles import make_bundle

NOBODY_LISTENS = "1"


class RememberingSpool:
    records = 3


class RememberingLog:
    """In place of PredictionLog. `full`: the disk takes no record. `issue`: the issue status of every id."""

    def __init__(self) -> None:
        self.predictions: list[Prediction] = []
        self.feedback: list[tuple[Feedback, str | None]] = []
        self.senders: list[tuple[str | None, bool]] = []
        self.issue: IssueStatus = "issued"
        self.full = False
        self.database = "up"
        self.spool = RememberingSpool()
        self.closed = False

    def start(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True

    def record(self, prediction: Prediction) -> int | None:
        if self.full:
            return None
        self.predictions.append(prediction)
        return len(self.predictions)

    def record_many(self, predictions: Sequence[Prediction]) -> list[int | None]:
        return [self.record(prediction) for prediction in predictions]

    def issue_status(self, prediction_id: int) -> IssueStatus:
        return self.issue

    def holds_exposure(self, prediction_id: int, visitor: str) -> bool:
        held = self.predictions[prediction_id - 1 : prediction_id]
        return any(one.visitor == visitor and one.returning_visitor for one in held)

    def record_feedback(
        self, feedback: Feedback, visitor: str | None, network: str | None, returning_visitor: bool
    ) -> None:
        if self.full:
            raise SpoolFull("the disk takes no record", 30)
        self.feedback.append((feedback, visitor))
        self.senders.append((network, returning_visitor))


class Backend:
    """One worker of the service with its bucket, log and client."""

    def __init__(self, folder: Path, **variables: str) -> None:
        environment = {"POSTGRES_PORT": NOBODY_LISTENS, "HOMEPRICES_STATE_DIR": str(folder), **variables}
        self.folder = folder
        self.settings = load_settings(environment, ())
        self.bucket = MemoryBucket()
        self.log = RememberingLog()
        self.check_key = KeyCheck()
        self.engine: Engine = open_engine(self.settings)
        self.service = AppState(
            settings=self.settings,
            engine=self.engine,
            live=LiveModel(self.settings.variant, self.bucket, folder / "bundles", poll_seconds=600),
            log=self.log,  # type: ignore[arg-type]
            metrics=Metrics(self.settings.variant),
            workers=WorkerStatusFiles(folder / "workers"),
            caller_of=open_callers(self.settings, None if self.settings.api_keys == "off" else self.check_key),
        )
        self.app = create_app(self.service)

    @property
    def client(self) -> FlaskClient:
        return self.app.test_client()

    def publish(self, version: str, factor: float = 1.0, market: Market | None = None) -> None:
        """Put a bundle into the bucket and have the worker poll."""
        folder = make_bundle(self.folder / "made" / version, version, factor=factor, market=market)
        for path in sorted(folder.rglob("*"), key=lambda path: path.name == "manifest.json"):
            if path.is_file():
                key = versions.folder(version) + path.relative_to(folder).as_posix()
                self.bucket.put(key, path.read_bytes())
        self.service.live.poll()

    def use_keys(self) -> None:
        """Have the worker read the key ring of the bucket, as its poll does."""
        self.check_key.use(key_ring.read(self.bucket))

    def metric(self, name: str, **labels: str) -> float:
        """Return the value of a metric."""
        value = self.service.metrics.registry.get_sample_value(name, {"variant": self.settings.variant, **labels})
        assert value is not None, f"there is no {name} with {labels}"
        return value


Start = Callable[..., Backend]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that opens a backend with the given environment variables."""
    opened: list[Backend] = []

    def open_one(**variables: str) -> Backend:
        opened.append(Backend(tmp_path, **variables))
        return opened[-1]

    yield open_one
    for backend in opened:
        backend.service.close()


@pytest.fixture
def backend(start: Start) -> Backend:
    """A production worker that serves BO1."""
    made = start(HOMEPRICES_VISITOR_KEY="key")
    made.publish("BO1")
    return made
