"""The contenders: how each is started on the server's core, its requests, memory and processor time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.environments import environment
from benchmarks.load import Load, LoadFailed, Request
from homeprices.names import PREDICT_PATH
from tests.support.free_ports import free_ports
from tests.support.servers import clean_environment

ROOT = Path(__file__).parents[1]
PEERS = Path(__file__).parent / "peers"
START_SECONDS = 180.0
STEP_SECONDS = 0.02
HOME: dict[str, Any] = {"total_sqft": 1200, "location": "Whitefield", "bhk": 2, "bath": 2}
FROM_ROUTER = {"X-Visitor-Id": "0123456789abcdef0123456789abcdef", "X-Assigned-Variant": "production",
               "X-Experiment-Epoch": "1", "X-Request-ID": "1764000000.123-4711-42-7"}  # fmt: skip


@dataclass(frozen=True)
class Contender:
    """A server to measure. `command` contains `{port}`; `environ` is added to a clean environment."""

    name: str
    command: tuple[str, ...]
    path: str = PREDICT_PATH
    body: bytes = json.dumps(HOME).encode()
    headers: dict[str, str] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    state: Path | None = None


@dataclass
class Running:
    """A running contender. `ready_seconds`: from its start to its first response."""

    contender: Contender
    port: int
    process: subprocess.Popen[bytes]
    ready_seconds: float

    def request(
        self, path: str | None = None, body: bytes | None = None, content_type: str = "application/json"
    ) -> Request:
        """The request that it receives."""
        contender = self.contender
        url = f"http://127.0.0.1:{self.port}{path or contender.path}"
        return Request(url, contender.body if body is None else body, content_type, contender.headers)

    def memory_mib(self) -> float:
        """Resident memory of its largest process, the worker."""
        return max(process.memory_info().rss for process in self._family()) / 2**20

    def processor_seconds(self) -> float:
        """CPU time of all its processes so far, which hardly depends on other load."""
        times = [process.cpu_times() for process in self._family()]
        return sum(spent.user + spent.system for spent in times)

    def _family(self) -> list[psutil.Process]:
        master = psutil.Process(self.process.pid)
        return [master, *master.children(recursive=True)]


@contextmanager
def running(contender: Contender, core: int, log: Path) -> Iterator[Running]:
    """Run the contender on one core until the block ends. Raises LoadFailed with the end of its log."""
    [port] = free_ports(1)
    words = [word.replace("{port}", str(port)) for word in contender.command]
    environ = {**clean_environment(), "OMP_NUM_THREADS": "1", **contender.environ}
    environ = {name: value.replace("{port}", str(port)) for name, value in environ.items()}
    with log.open("ab") as output:
        started = time.monotonic()
        process = subprocess.Popen(
            words,
            cwd=ROOT,
            env=environ,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )
    made = Running(contender, port, process, 0.0)
    try:
        _wait_until_it_answers(made, log, started)
        yield made
    finally:
        _end(process)


def gunicorn(python: Path, application: str, name: str, *, folder: Path, threads: int, **more: Any) -> Contender:
    """A WSGI application under gunicorn with this project's settings: one worker, threads, kept-alive connections."""
    command = (
        *(str(python), "-m", "gunicorn", "--worker-class", "gthread", "--workers", "1", "--threads", str(threads)),
        *(
            "--keep-alive",
            "75",
            "--no-control-socket",
            "--chdir",
            str(folder),
            "--bind",
            "127.0.0.1:{port}",
            application,
        ),
    )
    return Contender(name, command, **more)


def ours(name: str, home: Path, variables: dict[str, str], *, fsync: bool = False) -> Contender:
    """This project's service with one worker. The variables name the bucket of the bundle."""
    state = home / "state" / name.replace(" ", "-")
    environ = {
        **variables,
        "HOMEPRICES_STATE_DIR": str(state),
        "HOMEPRICES_BIND": "127.0.0.1:{port}",
        "HOMEPRICES_VISITOR_KEY": "a key for benchmarks",
        "HOMEPRICES_SPOOL_FSYNC": "true" if fsync else "false",
        "WEB_CONCURRENCY": "1",
    }
    words = (
        "-m",
        "gunicorn",
        "-c",
        "inference/backend/gunicorn.conf.py",
        "inference.backend.inference_api:create_app()",
    )
    return Contender(name, (sys.executable, *words), headers=FROM_ROUTER, environ=environ, state=state)


def peers(
    home: Path, models: dict[str, Path], dsn: str, threads: int, found: dict[str, dict[str, str]]
) -> list[Contender]:
    """The alternatives of a user."""
    row = list(HOME.values())
    frame = json.dumps({"dataframe_split": {"columns": list(HOME), "data": [row]}}).encode()
    tensors = [
        {"name": name, "shape": [1], "datatype": "BYTES" if isinstance(value, str) else "FP64", "data": [value]}
        for name, value in HOME.items()
    ]
    v2 = json.dumps({"parameters": {"content_type": "pd"}, "inputs": tensors}).encode()
    programs = {peer: environment(peer, home).resolve() for peer in models}
    pickles = {peer: {"MODEL": str((folder / "model.pkl").resolve())} for peer, folder in models.items()}
    mlserver = _mlserver_folder(home, models["mlserver"])
    return [
        gunicorn(
            programs["classic"] / "python", "classic:app", "classic design", folder=PEERS, threads=threads,
            environ={**pickles["classic"], "DSN": dsn}, versions=found["classic"],
        ),
        Contender(
            "mlflow models serve",
            (*(str(programs["mlflow"] / "mlflow"), "models", "serve", "--env-manager", "local", "--workers", "1"),
             *("--host", "127.0.0.1", "--port", "{port}", "--model-uri", str((models["mlflow"] / "mlflow").resolve()))),
            "/invocations", frame, environ={"PATH": f"{programs['mlflow']}:{os.environ['PATH']}"},
            versions=found["mlflow"],
        ),
        Contender(
            "FastAPI with scikit-learn",
            (*(str(programs["fastapi"] / "uvicorn"), "fastapi_app:app", "--app-dir", str(PEERS), "--port", "{port}"),
             *("--workers", "1", "--no-access-log")),
            environ=pickles["fastapi"], versions=found["fastapi"],
        ),
        Contender(
            "BentoML",
            (*(str(programs["bentoml"] / "bentoml"), "serve", "bento:Prices", "--working-dir", str(PEERS)),
             *("--host", "127.0.0.1", "--port", "{port}")),
            "/predict", environ={**pickles["bentoml"], "BENTOML_DO_NOT_TRACK": "True",
                                 "BENTOML_HOME": str((home / "bentoml").resolve())}, versions=found["bentoml"],
        ),
        Contender(
            "MLServer",
            (str(programs["mlserver"] / "mlserver"), "start", str(mlserver)),
            "/v2/models/prices/infer", v2, environ={"MLSERVER_HTTP_PORT": "{port}", "MLSERVER_PARALLEL_WORKERS": "0"},
            versions=found["mlserver"],
        ),
    ]  # fmt: skip


def _mlserver_folder(home: Path, model: Path) -> Path:
    folder = (home / "mlserver").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    uri = str((model / "model.pkl").resolve())
    settings = {"name": "prices", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": uri}}
    (folder / "model-settings.json").write_text(json.dumps(settings))
    (folder / "settings.json").write_text(json.dumps({"host": "127.0.0.1", "grpc_port": free_ports(1)[0],
                                                      "metrics_port": free_ports(1)[0], "debug": False}))  # fmt: skip
    return folder


def _wait_until_it_answers(made: Running, log: Path, started: float) -> None:
    while True:
        if made.process.poll() is not None or time.monotonic() > started + START_SECONDS:
            raise LoadFailed(f"{made.contender.name} does not answer; its log ends:\n{log.read_text()[-3000:]}")
        try:
            Load(made.request(), 1).count(1)
        except (OSError, LoadFailed):
            time.sleep(STEP_SECONDS)
            continue
        made.ready_seconds = time.monotonic() - started
        return


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop it and all its child processes."""
    try:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for one in family:
        _ignore_gone(one.terminate)
    _, left = psutil.wait_procs(family, timeout=20)
    for one in left:
        _ignore_gone(one.kill)
    process.wait()


def _ignore_gone(act: Any) -> None:
    try:
        act()
    except psutil.NoSuchProcess:
        return


def forget(contender: Contender) -> None:
    """Remove the files of an earlier run."""
    if contender.state is not None:
        shutil.rmtree(contender.state, ignore_errors=True)
