"""A production and a candidate on trial with a real database and logged visits."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, delete, insert, select, text

from homeprices.adapters.object_store import Bucket, MemoryBucket, RangedBucket
from homeprices.experiment import policies
from homeprices.predictions.tables import ab_decisions, drift_reports, prediction_logs, user_feedback
from homeprices.registry import bundle_publisher, bundle_reader, regional_record
from homeprices.release import control_record
from homeprices.resources import Resources
from homeprices.settings import Settings, load_settings
from homeprices.workflows.evaluate_experiment import Evaluation
from tests.support.bundles import make_draft

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Replica(ThreadingHTTPServer):
    """Reports in `/api/health` the highest version of its kind, and the regional ones, unless it is held back."""

    def __init__(self, bucket: Bucket, kind: str) -> None:
        self.bucket, self.kind, self.held_back = bucket, kind, False
        super().__init__(("127.0.0.1", 0), Health)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        replica: Replica = self.server  # type: ignore[assignment]
        version = None if replica.held_back else bundle_reader.highest(replica.bucket, replica.kind)  # type: ignore[arg-type]
        regional = list(regional_record.read(replica.bucket).versions) if replica.kind == "BO" else []
        body = json.dumps({"instance": "replica", "model_version": version, "regional_versions": regional}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def database_variables(engine: Engine) -> dict[str, str]:
    """Return the environment variables for the database of an engine."""
    url = engine.url
    place = {"POSTGRES_HOST": url.host, "POSTGRES_PORT": url.port, "POSTGRES_DB": url.database}
    return {
        name: str(value)
        for name, value in {**place, "POSTGRES_USER": url.username, "POSTGRES_PASSWORD": url.password}.items()
    }


def database_settings(engine: Engine, **more: str) -> Settings:
    """Return the settings for the database of an engine."""
    return load_settings({**database_variables(engine), **more}, ())


class Trial:
    """A production and a candidate on trial, with logged visits."""

    def __init__(self, engine: Engine, folder: Path, bucket: RangedBucket | None = None, **more: str) -> None:
        self.engine = engine
        self.bucket: RangedBucket = bucket or MemoryBucket()
        self.replicas = Replica(self.bucket, "BO"), Replica(self.bucket, "CO")
        places = {
            "HOMEPRICES_PRODUCTION_URLS": self.replicas[0].url,
            "HOMEPRICES_CANDIDATE_URLS": self.replicas[1].url,
            "HOMEPRICES_REPLICA_TIMEOUT_SECONDS": "0.2",
            # They are away: what answers here is neither, and says so at once.
            "MLFLOW_TRACKING_URI": self.replicas[0].url,
            "HOMEPRICES_AIRFLOW_URL": self.replicas[0].url,
        }
        self.settings = database_settings(engine, **{**places, **more})
        for kind, factor in (("BO", 1.0), ("CO", 1.1)):
            bundle_publisher.stage(self.bucket, kind, make_draft(folder / kind, factor))
            bundle_publisher.publish(self.bucket, kind, kind)  # type: ignore[arg-type]
        self._id = 0

    @property
    def resources(self) -> Resources:
        """Return new resources, as another process would open them."""
        return Resources(self.settings, self.bucket)

    def begin(self, since: datetime = NOW - timedelta(hours=5)) -> None:
        """Start the experiment."""
        control_record.start_experiment(self.bucket, "BO1", "CO1", 20.0, "tests", clock=lambda: since)

    def evaluation(self, run: str, now: datetime = NOW, policy: str = "composite") -> Evaluation:
        """Return the evaluation of one look, by default an hour after the visits."""
        return Evaluation(self.resources, run, policies.load(policy), clock=lambda: now)

    def visits(
        self, variant: str, count: int, stars: float | Sequence[float] | None = None, **changes: Any
    ) -> list[int]:
        """Log so many visits of a variant an hour ago, with these stars or the next of several. Return the ids."""
        given = {
            "ts": NOW - timedelta(hours=1), "request_id": "r", "assigned_variant": variant, "served_variant": variant,
            "fallback": False, "bundle": {"production": "BO1", "candidate": "CO1"}[variant],
            "epoch": control_record.read(self.bucket).epoch, "inputs": {}, "estimate": 50.0, "interval_low": 40.0,
            "interval_high": 60.0, "milliseconds": 2.0, **changes,
        }  # fmt: skip
        ids = [self._next() for _ in range(count)]
        exposures = [{"visitor": f"{variant}{number}", **given, "id": number} for number in ids]
        with self.engine.begin() as connection:
            if exposures:
                connection.execute(insert(prediction_logs), exposures)
        if stars is not None and exposures:
            several = [stars] if isinstance(stars, int | float) else list(stars)
            with self.engine.begin() as connection:
                remarks = [
                    _remark(exposure, "rating", several[place % len(several)])
                    for place, exposure in enumerate(exposures)
                ]
                connection.execute(insert(user_feedback), remarks)
        return ids

    def say(self, exposure: dict[str, Any], kind: str, value: float | None, **changes: Any) -> None:
        """Send feedback on a prediction from the visitor who received it."""
        with self.engine.begin() as connection:
            connection.execute(insert(user_feedback), [_remark(exposure, kind, value, **changes)])

    def begin_again_from(self, start: Bucket) -> None:
        """Restore the bucket, and clear the results of the recorded decisions."""
        self.bucket = copy_of(start)
        for replica in self.replicas:
            replica.bucket = self.bucket
        with self.engine.begin() as connection:
            connection.execute(text("ALTER TABLE ab_decisions DISABLE TRIGGER USER"))
            connection.execute(text("UPDATE ab_decisions SET result_version = NULL"))
            connection.execute(text("ALTER TABLE ab_decisions ENABLE TRIGGER USER"))

    def decisions(self) -> list[tuple[str, str, str | None]]:
        """Return key, outcome and result of every recorded decision, in order."""
        columns = ab_decisions.c
        with self.engine.begin() as connection:
            query = select(columns.key, columns.outcome, columns.result_version).order_by(columns.id)
            return [tuple(row) for row in connection.execute(query)]

    def close(self) -> None:
        """Stop the replicas and empty the tables, one of which is append-only except for this."""
        for replica in self.replicas:
            replica.shutdown()
            replica.server_close()
        with self.engine.begin() as connection:
            connection.execute(text("ALTER TABLE ab_decisions DISABLE TRIGGER USER"))
            for table in (prediction_logs, user_feedback, ab_decisions, drift_reports):
                connection.execute(delete(table))
            connection.execute(text("ALTER TABLE ab_decisions ENABLE TRIGGER USER"))

    def _next(self) -> int:
        self._id += 1
        return self._id


def _remark(exposure: dict[str, Any], kind: str, value: float | None, **changes: Any) -> dict[str, Any]:
    return {
        "prediction_id": exposure["id"], "visitor": exposure["visitor"], "verified": True, "feedback_type": kind,
        "feedback_value": value, "ts": exposure["ts"], **changes,
    }  # fmt: skip


def copy_of(bucket: Bucket) -> MemoryBucket:
    """Return another bucket with the same objects."""
    copied = MemoryBucket()
    for entry in bucket.list(""):
        copied.put(entry.key, bucket.get(entry.key).body)
    return copied
