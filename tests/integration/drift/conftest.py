"""A bucket with a production, a migrated database, visitors who can be sent, and a webhook that listens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, text

from homeprices.adapters.database import open_engine, upgrade
from homeprices.adapters.object_store import MemoryBucket
from homeprices.predictions.ingest import insert_batch
from homeprices.predictions.spool_segments import Record
from homeprices.registry import bundle_publisher
from homeprices.resources import Resources
from homeprices.settings import Settings, load_settings
from homeprices.workflows.monitor_drift import DriftMonitor
from tests.integration.predictions.conftest import database_variables
from tests.support.bundles import make_draft
from tests.support.fake_servers import Hook, webhook

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def variables(postgres_url: str, mlflow_uri: str) -> dict[str, str]:
    """Environment variables of a migrated database and of MLflow."""
    found = {**database_variables(postgres_url), "MLFLOW_TRACKING_URI": mlflow_uri}
    upgrade(load_settings(found, ()))
    return found


@pytest.fixture(scope="module")
def engine(variables: dict[str, str]) -> Iterator[Engine]:
    """Connections to the module's database."""
    made = open_engine(load_settings(variables, ()))
    yield made
    made.dispose()


@dataclass
class Town:
    """Visitors and the watch over them. A day is a number; its check looks back from noon."""

    engine: Engine
    settings: Settings
    bucket: MemoryBucket
    hook: Hook
    ids: int = 0
    visitors: list[tuple[int, str | None]] = field(default_factory=list)

    def publish(self, kind: Any, folder: Path, factor: float = 1.0) -> str:
        bundle_publisher.stage(self.bucket, folder.name, make_draft(folder, factor))
        return bundle_publisher.publish(self.bucket, folder.name, kind)

    def visit(self, day: int, count: int, *, variant: str = "production", bundle: str = "BO1", **changes: Any) -> None:
        """So many visitors in the 24 hours before a day's noon, who ask for homes as those of the bundle's training."""
        chance = np.random.default_rng([day + 10, count])
        same_home = changes.pop("home", {})
        of_visitor = {"visitor": changes.pop("visitor")} if "visitor" in changes else {}
        records = []
        for _ in range(count):
            self.ids += 1
            visitor = of_visitor.get("visitor", f"visitor {self.ids}")
            records.append(self._record(day, visitor, variant, bundle, _home(chance) | same_home, **changes))
            self.visitors.append((self.ids, visitor))
        with self.engine.begin() as connection:
            insert_batch(connection, records)

    def tell_prices(self, factor: float) -> None:
        """Every visitor tells that the home cost `factor` times the estimate."""
        records = [
            Record("f", json.dumps({
                "prediction_id": number, "visitor": visitor, "ts": (NOON - timedelta(minutes=1)).isoformat(),
                "feedback_type": "actual_price", "feedback_value": 100.0 * factor, "feedback_text": None,
            }).encode())
            for number, visitor in self.visitors
        ]  # fmt: skip
        with self.engine.begin() as connection:
            connection.execute(text("SELECT nextval('prediction_id') FROM generate_series(1, 5)"))
            insert_batch(connection, records)

    def watch(self, day: int, run: str | None = None) -> DriftMonitor:
        now = NOON + timedelta(days=day)
        return DriftMonitor(Resources(self.settings, self.bucket), run or f"day {day}", clock=lambda: now)

    def check(self, day: int, run: str | None = None) -> dict[str, Any]:
        """A whole check, as the DAG does it."""
        watch = self.watch(day, run)
        watch.compare()
        pages = watch.write_report()
        told = watch.notify(pages)
        if told["retrain"]:
            watch.request_retraining(told)
        watch.record_heartbeat(told)
        return told

    @property
    def titles(self) -> list[str]:
        """The titles of the notices so far."""
        return [post["text"].splitlines()[0].strip("*") for post in self.hook.posts]

    def _record(
        self, day: int, visitor: str | None, variant: str, bundle: str, home: dict[str, Any], **more: Any
    ) -> Record:
        row = {
            "id": self.ids, "ts": (NOON + timedelta(days=day, hours=-1)).isoformat(), "request_id": f"r{self.ids}",
            "visitor": visitor, "assigned_variant": variant, "served_variant": variant, "fallback": False,
            "bundle": bundle, "epoch": 1, "inputs": home, "estimate": 100.0 if self.ids % 19 < 10 else 300.0,
            "interval_low": 70.0, "interval_high": 150.0, "milliseconds": 2.0, **more,
        }  # fmt: skip
        return Record("p", json.dumps(row).encode())


def _home(chance: np.random.Generator) -> dict[str, Any]:
    """A home like those of the bundle's training: each half as often as there."""
    lower = chance.random() < 10 / 19
    return {
        "total_sqft": float(chance.uniform(300, 2650) if lower else chance.uniform(2650, 5000)),
        "bhk": int(chance.integers(1, 4) if chance.random() < 10 / 19 else chance.integers(4, 7)),
        "bath": int(chance.integers(1, 4) if chance.random() < 10 / 19 else chance.integers(4, 7)),
        "location": "Whitefield" if chance.random() < 10 / 19 else "Indira Nagar",
    }


@pytest.fixture
def town(variables: dict[str, str], engine: Engine, tmp_path: Path) -> Iterator[Town]:
    """Visitors of an empty log and the monitor that watches them."""
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE prediction_logs, user_feedback, drift_reports, traffic_hours, latency_hours"))
    with webhook() as hook:
        settings = load_settings({**variables, "SLACK_WEBHOOK_URL": hook.url}, ())
        made = Town(engine, settings, MemoryBucket(), hook)
        made.publish("BO", tmp_path / "BO")
        yield made
