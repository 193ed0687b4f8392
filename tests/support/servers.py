"""Real servers for the tests, from the service specifications of the local stack, on free ports.

Each starts on first use and ends with the test run, even if the run is killed.
"""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from compose.bucket_rights import OWNER, identities
from homeprices.adapters.object_store import S3Bucket, open_bucket
from homeprices.settings import load_settings
from local.ports import GRPC_OFFSET, LOOPBACK, SeaweedPorts, is_free
from local.services.pipeline_servers import mlflow
from local.services.postgres import Database, connect, create, installation, postgres
from local.services.seaweedfs import seaweedfs
from local.supervision import accounts, processes
from local.supervision.service_spec import Command, ServiceSpec
from tests.support.free_ports import FIRST, free_ports

PR_SET_PDEATHSIG = 1
POLL_SECONDS = 0.1
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
MAX_VOLUMES = 5_000
"""More than the buckets of a run take: their volumes stay small, whatever the size of the disk."""


def clean_environment() -> dict[str, str]:
    """Return the environment a program needs, without any configuration of this process."""
    return {name: os.environ[name] for name in KEPT if name in os.environ}


@contextmanager
def running(service: ServiceSpec, log: Path, mark: str | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Yield the ready service; it ends with the block or this process. RuntimeError carries the end of its log."""
    mark = mark or f"test-{secrets.token_hex(8)}"

    def job(command: Command) -> None:
        processes.run(command, mark, log)

    if service.pre_start:
        service.pre_start(job)
    process = processes.start(service, mark, log, in_child=_die_with_parent(service.stop_signal))
    try:
        _wait_until_ready(service, process, log)
        if service.post_start:
            service.post_start(job)
        yield process
    finally:
        processes.stop(process.pid, service.stop_seconds, service.stop_signal)
        process.wait()


@dataclass
class ServerStarter:
    """Starts each server when its address is asked for first; `close` stops them and removes their files.

    The addresses are plain data, so a test run hands them to its workers (`tests/support/workers.py`).
    """

    folder: Path
    _stack: ExitStack = field(default_factory=ExitStack)
    _addresses: dict[str, Any] = field(default_factory=dict)

    def address(self, kind: str) -> Any:
        """Return where the server is: (port, password) of "postgres", the variables of "s3", (URL, store) of "mlflow".

        Another word after "mlflow" names another server.
        """
        if kind not in self._addresses:
            start = {"postgres": self._start_postgres, "s3": self._start_s3, "mlflow": self._start_mlflow}
            self._addresses[kind] = start[kind.split()[0]]()
        return self._addresses[kind]

    def close(self) -> None:
        """Stop every started server."""
        self._stack.close()

    def _start_postgres(self) -> tuple[int, str]:
        home = self.folder / "postgres"
        port, password = free_ports(1)[0], secrets.token_hex(12)
        self._stack.callback(accounts.remove, home)
        self._start(postgres(installation(home), port, password, [], clean_environment(), durable=False))
        return port, password

    def _start_s3(self) -> dict[str, str]:
        key, secret = secrets.token_hex(10), secrets.token_hex(20)
        ports = seaweed_ports()
        home = self.folder / "seaweedfs"
        users = json.dumps(identities("", {OWNER: (key, secret)}))
        for service in seaweedfs(home, ports, users, clean_environment(), max_volumes=MAX_VOLUMES):
            self._start(service)
        return {
            "AWS_ENDPOINT_URL_S3": f"http://{LOOPBACK}:{ports.s3}",
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_DEFAULT_REGION": "ap-south-1",
        }

    def _start_mlflow(self) -> tuple[str, str]:
        [port] = free_ports(1)
        own = Servers(self.folder, self.address)
        variables = own.s3(f"mlflow-artifacts-{port}")
        env = {**clean_environment(), **variables, "MLFLOW_S3_ENDPOINT_URL": variables["AWS_ENDPOINT_URL_S3"]}
        url = own.postgres("mlflow_" + secrets.token_hex(4))
        self._start(mlflow(self.folder / f"mlflow-{port}", port, url, variables["MLFLOW_S3_BUCKET"], env))
        return f"http://{LOOPBACK}:{port}", url

    def _start(self, service: ServiceSpec) -> None:
        self._stack.enter_context(running(service, self.folder / f"{service.name}.log"))


class Servers:
    """The servers of a test run: databases and buckets on those of `address`, by default on servers of its own."""

    def __init__(self, folder: Path, address: Callable[[str], Any] | None = None) -> None:
        self.folder = folder
        self._starter = ServerStarter(folder)
        self._address = address or self._starter.address

    def postgres(self, name: str) -> str:
        """Return the SQLAlchemy URL of a new database with its own role."""
        port, password = self._address("postgres")
        database = Database(name, secrets.token_hex(12))
        connection = connect(port, password)
        with connection.cursor() as cursor:
            create(cursor, database)
        connection.close()
        return f"postgresql+psycopg2://{name}:{database.password}@{LOOPBACK}:{port}/{name}"

    def s3(self, bucket: str) -> dict[str, str]:
        """Return the environment variables of a new bucket in a SeaweedFS with credentials."""
        variables = {**self._address("s3"), "MLFLOW_S3_BUCKET": bucket}
        open_s3(variables).create()
        return variables

    def mlflow(self, alone: str = "") -> str:
        """Return the address of an MLflow server with its own database; `alone` names one that nothing else uses."""
        return str(self._address(f"mlflow {alone}".strip())[0])

    def clear_mlflow(self, experiment_id: str, alone: str = "") -> None:
        """Remove a deleted experiment and its runs for good, with `mlflow gc`."""
        url, store = self._address(f"mlflow {alone}".strip())
        env = {**clean_environment(), **self._address("s3"), "MLFLOW_TRACKING_URI": url}
        env["MLFLOW_S3_ENDPOINT_URL"] = env["AWS_ENDPOINT_URL_S3"]
        command = ["-m", "mlflow", "gc", "--backend-store-uri", store, "--experiment-ids", experiment_id]
        subprocess.run([sys.executable, *command], env=env, check=True, capture_output=True, timeout=300)

    def close(self) -> None:
        """Stop every server that was started here."""
        self._starter.close()


def seaweed_ports() -> SeaweedPorts:
    """Return free ports, with the filer's HTTP below those of other tests."""
    s3, master, volume, s3_grpc, master_grpc, volume_grpc = free_ports(6)
    lower = (grpc - GRPC_OFFSET for grpc in iter(lambda: free_ports(1)[0], 0))
    filer = next(port for port in lower if port < FIRST and is_free(port))
    return SeaweedPorts(s3, master, volume, filer, s3_grpc, master_grpc, volume_grpc, filer + GRPC_OFFSET)


def open_s3(variables: dict[str, str]) -> S3Bucket:
    """Open the bucket of these environment variables only."""
    return open_bucket(load_settings(variables, ()))


def _wait_until_ready(service: ServiceSpec, process: subprocess.Popen[bytes], log: Path) -> None:
    started = time.time()
    while (missing := service.ready(started)) is not None:
        if process.poll() is not None or time.time() > started + service.ready_seconds:
            end = log.read_text(errors="replace")[-4000:]
            raise RuntimeError(f"{service.name} is not ready ({missing}); the end of its log:\n{end}")
        time.sleep(POLL_SECONDS)


def _die_with_parent(signum: signal.Signals) -> processes.Child:
    """Make the kernel send `signum` to the child when this process ends in any way (Linux)."""
    try:
        prctl = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return lambda: None
    return partial(prctl, PR_SET_PDEATHSIG, int(signum))


@contextmanager
def temporary_servers() -> Iterator[tuple[Path, Servers]]:
    """Yield a temporary folder and servers with their data in it; stop the servers and remove the folder at the end."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL runs as another user
        servers = Servers(folder / "servers")
        servers.folder.mkdir()
        try:
            yield folder, servers
        finally:
            servers.close()
