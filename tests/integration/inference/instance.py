"""A serving instance under real gunicorn that tests can kill, and visitors that record their responses."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from homeprices.adapters.object_store import Bucket
from homeprices.pricing.bundle import COLUMNS_FILE, MODEL_FILE, digest
from homeprices.pricing.manifest import MANIFEST_FILE
from homeprices.registry import versions
from tests.support.bundles import LOCATION_LEVELS, make_bundle, price, write_files
from tests.support.free_ports import free_ports
from tests.support.servers import clean_environment

ROOT = Path(__file__).parents[3]
START_SECONDS = 180  # on a busy machine; an idle one needs two
STOP_SECONDS = 60
ANSWER_SECONDS = 60


def eventually(reached: Callable[[], object], what: str, seconds: float = 180.0) -> None:
    """Wait until the condition holds, and fail with its name at the timeout."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, f"it did not come to be: {what}"
        time.sleep(0.05)


def publish(
    bucket: Bucket, made: Path, version: str, *, factor: float = 1.0, spoil: dict[str, bytes] | None = None
) -> None:
    """Put a bundle into the bucket. `spoil` replaces files without updating the manifest."""
    upload(bucket, make_bundle(made / version, version, factor=factor), version, spoil or {})


def upload(bucket: Bucket, folder: Path, version: str, spoil: dict[str, bytes]) -> None:
    """Put a folder into the bucket, its manifest last."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    for path in sorted(paths, key=lambda path: path.name == MANIFEST_FILE):
        name = path.relative_to(folder).as_posix()
        bucket.put(versions.folder(version) + name, spoil.get(name, path.read_bytes()))


def make_bundle_without_a_number(folder: Path, version: str) -> Path:
    """Make a bundle with correct digests whose model returns NaN."""
    write_files(folder.with_name("spare"), float("nan"))
    make_bundle(folder, version)
    shutil.copy(folder.with_name("spare") / MODEL_FILE, folder / MODEL_FILE)
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    manifest["files"][MODEL_FILE] = digest(folder / MODEL_FILE).model_dump()
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    return folder


def make_bundle_of_other_inputs(folder: Path, version: str) -> Path:
    """Make a bundle with correct digests whose columns are those of another model."""
    make_bundle(folder, version)
    columns = json.loads((folder / COLUMNS_FILE).read_text())
    columns["inputs"][0]["name"] = "balcony"
    (folder / COLUMNS_FILE).write_text(json.dumps(columns))
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    manifest["files"][COLUMNS_FILE] = digest(folder / COLUMNS_FILE).model_dump()
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    return folder


@dataclass
class Instance:
    """One instance that can be started, stopped, and killed in parts."""

    folder: Path
    variables: dict[str, str]
    port: int = field(default_factory=lambda: free_ports(1)[0])
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start gunicorn and return when it responds."""
        self.folder.mkdir(parents=True, exist_ok=True)
        environment = {
            **clean_environment(),
            **{name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")},
            "HOMEPRICES_STATE_DIR": str(self.folder),
            "HOMEPRICES_BIND": f"127.0.0.1:{self.port}",
            "HOMEPRICES_POLL_SECONDS": "0.3",
            "HOMEPRICES_VISITOR_KEY": "a key of the tests",
            **self.variables,
            "WEB_CONCURRENCY": self._workers,
        }
        words = ["-m", "gunicorn", "-c", "inference/backend/gunicorn.conf.py"]
        with (self.folder / "gunicorn.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *words, "inference.backend.inference_api:create_app()"],
                env=environment,
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        eventually(self.answers, f"gunicorn answers; its log ends: {self.log()[-2000:]}", START_SECONDS)

    @property
    def _workers(self) -> str:
        return self.variables.get("WEB_CONCURRENCY", "2")

    def answers(self) -> bool:
        """Whether it responds at all."""
        assert self.process is not None
        assert self.process.poll() is None, self.log()[-4000:]
        try:
            return self.get("/api/health")[0] == 200
        except OSError:
            return False

    def stop(self) -> None:
        """Stop it as an operator does."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill_all()
                raise

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def kill_all(self) -> None:
        """Kill the master and every worker at once."""
        assert self.process is not None
        for pid in [self.process.pid, *self.workers()]:
            kill(pid)
        self.process.wait(STOP_SECONDS)

    def get(self, path: str) -> tuple[int, Any]:
        """Return the status and the decoded JSON (or text) of a request on a new connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()
        return answer.status, json.loads(body) if "json" in answer.headers["Content-Type"] else body.decode()

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Post JSON on a new connection, and return the status and the decoded JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        found = json.loads(answer.read())
        connection.close()
        return answer.status, found

    def health(self) -> dict[str, Any]:
        """The health document."""
        document: dict[str, Any] = self.get("/api/health")[1]
        return document

    def serves(self, version: str | None) -> bool:
        """Whether all workers are there and serve this version; False while the instance does not respond.

        A worker that starts later would meet a fault without the ids that it reserves at its start.
        """
        try:
            health = self.health()
        except OSError:
            return False
        return len(health["workers"]) == int(self._workers) and health["model_version"] == version

    def metric(self, line: str) -> float:
        """Return the value of one line of the Prometheus text, named with its labels."""
        text = self.get("/metrics")[1]
        [value] = [found.split()[-1] for found in text.splitlines() if found.startswith(line + " ")]
        return float(value)

    def log(self) -> str:
        """Return the log of gunicorn and the workers."""
        path = self.folder / "gunicorn.log"
        return path.read_text() if path.exists() else ""


def kill(pid: int) -> None:
    """Send SIGKILL. A process that has already exited is not an error."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@contextmanager
def running(instance: Instance) -> Iterator[Instance]:
    """Run the instance until the block ends."""
    instance.start()
    try:
        yield instance
    finally:
        instance.stop()


@dataclass
class Memory:
    """The responses to visitors. `failed`: status other than 2xx. `broken`: requests without a response."""

    estimates: dict[int, str] = field(default_factory=dict)
    ratings: dict[int, int] = field(default_factory=dict)
    versions: set[str] = field(default_factory=set)
    statuses: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    without_id: int = 0
    broken: int = 0

    @property
    def failed(self) -> list[int]:
        return [status for status in self.statuses if not 200 <= status < 300]


class Visitor(threading.Thread):
    """Request a prediction and rate it, on a kept-alive connection, until stopped."""

    def __init__(self, port: int, memory: Memory, factors: dict[str, float], pause_seconds: float = 0.0) -> None:
        super().__init__(daemon=True)
        self._port, self._memory, self._factors = port, memory, factors
        self._pause_seconds = pause_seconds
        self._connection: http.client.HTTPConnection | None = None
        self._visits = 0
        self.stopping = threading.Event()

    def run(self) -> None:
        while not self.stopping.is_set():
            self._visit()
            self.stopping.wait(self._pause_seconds)
        self._hang_up()

    def _visit(self) -> None:
        visitor = uuid.uuid4().hex
        self._visits += 1
        area = 800.0 + 10 * (self._visits % 200)
        location = sorted(LOCATION_LEVELS)[self._visits % len(LOCATION_LEVELS)]
        home = {"total_sqft": area, "location": location, "bhk": 2, "bath": 2}
        answer = self._post("/api/predict_home_price", home, visitor)
        if answer is None:
            return
        self._check(answer, price(area, location, 2, self._factors[answer["model_version"]]))
        number = answer["prediction_id"]
        if number is None:
            self._memory.without_id += 1
            return
        self._memory.estimates[number] = answer["model_version"]
        self._rate(number, 1 + number % 5, visitor)

    def _rate(self, number: int, stars: int, visitor: str) -> None:
        rating = {"prediction_id": number, "feedback_type": "rating", "feedback_value": stars}
        if self._post("/api/feedback", rating, visitor) is not None:
            self._memory.ratings[number] = stars

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _check(self, answer: dict[str, Any], expected: float) -> None:
        self._memory.versions.add(answer["model_version"])
        if abs(answer["estimated_price"] - expected) > 0.01 + expected * 1e-4:
            self._memory.wrong.append(f"{answer} instead of {expected}")

    def _post(self, path: str, body: dict[str, Any], visitor: str) -> dict[str, Any] | None:
        headers = {
            "Content-Type": "application/json",
            "X-Visitor-Id": visitor,
            "X-Assigned-Variant": "production",
            "X-Experiment-Epoch": "1",
            "X-Request-ID": uuid.uuid4().hex,
        }
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_SECONDS)
            self._connection.request("POST", path, json.dumps(body), headers)
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            self._memory.broken += 1
            self._hang_up()
            self.stopping.wait(0.02)
            return None
        self._memory.statuses.append(answer.status)
        return json.loads(content) if 200 <= answer.status < 300 else None


@contextmanager
def visitors(
    instance: Instance,
    count: int,
    factors: dict[str, float],
    pause_seconds: float = 0.0,
    kind: type[Visitor] = Visitor,
) -> Iterator[Memory]:
    """Run visitors until the block ends. `factors`: the factor on prices by version."""
    memory = Memory()
    crowd = [kind(instance.port, memory, factors, pause_seconds) for _ in range(count)]
    for one in crowd:
        one.start()
    try:
        yield memory
    finally:
        for one in crowd:
            one.stopping.set()
        for one in crowd:
            one.join(30)
