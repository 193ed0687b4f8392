"""What a stack of an earlier revision has left (`tests/pinned`), restored into a real database and a real bucket.

Here are the only imports of the project's own modules that the tests of carried-over state need.
"""

from __future__ import annotations

import json
import lzma
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, text

from homeprices.adapters import database
from homeprices.adapters.notifications import Notification
from homeprices.adapters.object_store import S3Bucket
from homeprices.experiment import decision_log, policies
from homeprices.release import traffic_counts
from homeprices.resources import Resources
from homeprices.settings import load_settings
from homeprices.workflows.evaluate_experiment import Evaluation
from homeprices.workflows.monitor_drift import DriftMonitor
from homeprices.workflows.notify_once import notify_once
from homeprices.workflows.score_batch import BatchRun
from tests.support.servers import Servers, clean_environment, open_s3
from tests.support.stored import PINNED
from tests.support.trial import database_variables

ROOT = Path(__file__).parents[2]
STATE = PINNED / "fc80cdd"
SPOOL = "infer-prod/spool/01795882884601785129-20849.segment"
SPOOLED_VISITS = 12
PRODUCTION, CANDIDATE = "BO3", "CO2"


@dataclass
class OldState:
    """The restored database and bucket, and what the code of today does with them."""

    engine: Engine
    bucket: S3Bucket
    variables: dict[str, str]

    def migrate(self) -> str:
        """The schema of today; gives the revision."""
        return database.upgrade(load_settings(self.variables, ()))

    def resources(self, **more: str) -> Resources:
        """Parts as a process of today would open them."""
        return Resources(load_settings({**self.variables, **more}, ()))

    def evaluation(self, run: str, policy: str | dict[str, Any], now: datetime) -> Evaluation:
        """A look at the running experiment at that moment, by a policy or by a document on record."""
        chosen = policies.load(policy) if isinstance(policy, str) else policies.from_document(policy)
        return Evaluation(self.resources(), run, chosen, clock=lambda: now)

    def drift_check(self, run: str, now: datetime) -> dict[str, Any]:
        """What a whole drift check at that moment tells."""
        check = DriftMonitor(self.resources(), run, clock=lambda: now)
        check.compare()
        told = check.notify(check.write_report())
        check.record_heartbeat(told)
        return told

    def tell(self, key: str, webhook: str) -> None:
        """Tell people of a decision, unless that was done."""
        notify_once(self.resources(SLACK_WEBHOOK_URL=webhook), key, Notification("title", "reason"))

    def batch(self, job: str, source: str, at: datetime) -> dict[str, Any]:
        """What a batch job of this name comes to, begun or gone on with."""
        run = BatchRun(self.bucket, job)
        for number in run.plan(source, "production", at):
            run.score(number)
        return run.finish(at)

    def counted(self, since: datetime, until: datetime) -> list[tuple[int, int]]:
        """Production's requests and failures that routers have counted."""
        return traffic_counts.production(self.bucket, since, until)

    def command(self, folder: Path, *words: str, returns: int = 0) -> str:
        """What a command of the project prints on standard output; `returns` is how it has to end."""
        done = subprocess.run(
            [sys.executable, "-m", *words],
            env={**clean_environment(), **self.variables, "PYTHONPATH": str(ROOT)},
            cwd=folder, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == returns, done.stderr
        return done.stdout

    def decision(self, key: str) -> dict[str, Any]:
        """A decision on record by its key, as the database holds it."""
        with self.engine.begin() as connection:
            found = connection.execute(text("SELECT * FROM ab_decisions WHERE key = :key"), {"key": key}).one()
        return dict(found._mapping)

    def replay(self, number: int) -> str:
        """What is said of a decision that is computed again."""
        return decision_log.replay(self.resources(), number)

    def rows(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with self.engine.begin() as connection:
            return [tuple(row) for row in connection.execute(text(query), values)]

    def forget(self, key: str) -> None:
        """Take a decision from the record, which only a superuser or an owner who disables its trigger can."""
        with self.engine.begin() as connection:
            connection.execute(text("ALTER TABLE ab_decisions DISABLE TRIGGER USER"))
            connection.execute(text("DELETE FROM ab_decisions WHERE key = :key"), {"key": key})
            connection.execute(text("ALTER TABLE ab_decisions ENABLE TRIGGER USER"))

    def objects(self) -> dict[str, bytes]:
        """Every object by its key."""
        return {entry.key: self.bucket.get(entry.key).body for entry in self.bucket.list("")}

    def document(self, key: str) -> dict[str, Any]:
        """A JSON object of the bucket."""
        found: dict[str, Any] = json.loads(self.bucket.get(key).body)
        return found


def restore(servers: Servers, name: str) -> OldState:
    """The state in a database and a bucket of this name, not yet migrated."""
    engine = create_engine(servers.postgres(name.replace("-", "_")))
    connection = engine.raw_connection()
    connection.cursor().execute(lzma.decompress((STATE / "database.sql.xz").read_bytes()).decode())
    connection.commit()
    connection.detach()  # the dump has changed its settings
    connection.close()
    variables = servers.s3(name)
    bucket = open_s3(variables)
    for key, body in stored_objects().items():
        bucket.put(key, body)
    # The state is of one day; a service of today must not drop it as too old.
    variables = {**variables, **database_variables(engine), "HOMEPRICES_LOG_MONTHS": "1200"}
    return OldState(engine, bucket, variables)


def stored_objects() -> dict[str, bytes]:
    """The objects of the bucket by their keys, as the earlier revision has left them."""
    with tarfile.open(STATE / "bucket.tar.xz") as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]


def put_spool(folder: Path) -> Path:
    """The segment that a killed worker has left, in the state directory of an instance; gives its path."""
    path = folder / SPOOL
    path.parent.mkdir(parents=True)
    path.write_bytes(lzma.decompress((STATE / "spool.segment.xz").read_bytes()))
    return path


def recorded_decisions() -> list[dict[str, Any]]:
    """Decisions as they are on record: of the sequential rule, the composite, and the watch over a new production."""
    found: list[dict[str, Any]] = json.loads((STATE / "decisions.json").read_text())
    return found


def computed_again(decision: dict[str, Any]) -> dict[str, Any]:
    """Outcome, reason and statistics, by the code of today from the evidence and policy on record."""
    recorded = decision_log.RecordedDecision(**{**decision, "ts": datetime.fromisoformat(decision["ts"])})
    return decision_log.compute(recorded)
