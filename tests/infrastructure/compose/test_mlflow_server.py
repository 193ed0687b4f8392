"""The MLflow container's entry point: a real server that refuses requests without a password."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from compose import mlflow_server
from homeprices.adapters.mlflow_client import MlflowClient
from homeprices.adapters.object_store import MemoryBucket
from homeprices.errors import TrackingRefused
from homeprices.registry import mlflow_mirror
from homeprices.settings import load_settings
from local.ports import LOOPBACK
from local.supervision import probes
from local.supervision.service_spec import ServiceSpec
from tests.contract.release import publish
from tests.support.bundles import make_draft
from tests.support.free_ports import free_ports
from tests.support.servers import Servers, clean_environment, running

PASSWORD, CHANGED = "a-password-of-the-test", "another-password-of-it"
API = "/api/2.0/mlflow"
CLOSED = [
    ("GET", "/"), ("POST", f"{API}/experiments/search"), ("GET", f"{API}/experiments/get?experiment_id=0"),
    ("POST", f"{API}/runs/search"), ("POST", f"{API}/experiments/create"), ("POST", f"{API}/runs/create"),
    ("GET", "/ajax-api/2.0/mlflow/experiments/get?experiment_id=0"),
    ("GET", "/api/2.0/mlflow-artifacts/artifacts?path=0"), ("GET", "/api/2.0/mlflow-artifacts/artifacts/0/a/b"),
    ("PUT", "/api/2.0/mlflow-artifacts/artifacts/0/a/b"), ("DELETE", "/api/2.0/mlflow-artifacts/artifacts/0/a/b"),
    ("GET", "/get-artifact?run_uuid=0&path=b"), ("GET", "/model-versions/get-artifact?name=a&version=1&path=b"),
    ("POST", "/graphql"), ("POST", "/v1/traces"), ("GET", "/signup"), ("POST", "/api/2.0/mlflow/users/create"),
    ("GET", "/api/2.0/mlflow/users/get?username=homeprices"), ("GET", "/docs"), ("GET", "/openapi.json"),
    ("GET", "/version"), ("POST", "/gateway/a/invocations"), ("GET", "/static-files/../x"), ("GET", "//health"),
]  # fmt: skip


@dataclass(frozen=True)
class Server:
    """A running server, and where it keeps its files."""

    url: str
    log: Path
    temporary: Path
    process: psutil.Process


def environment(temporary: Path, port: int, database: str, variables: dict[str, str], password: str) -> dict[str, str]:
    temporary.mkdir(exist_ok=True)
    return {
        **clean_environment(),
        **variables,
        "MLFLOW_S3_ENDPOINT_URL": variables["AWS_ENDPOINT_URL_S3"],
        "TMPDIR": str(temporary),
        "MLFLOW_HOST": LOOPBACK,
        "MLFLOW_PORT": str(port),
        mlflow_server.DATABASE: database,
        mlflow_server.PASSWORD: password,
        "MLFLOW_ARTIFACTS_DESTINATION": f"s3://{variables['MLFLOW_S3_BUCKET']}/mlflow",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


@contextmanager
def started(folder: Path, database: str, variables: dict[str, str], password: str) -> Iterator[Server]:
    [port] = free_ports(1)
    url = f"http://{LOOPBACK}:{port}"
    service = ServiceSpec(
        name="mlflow",
        argv=(sys.executable, "-m", "compose.mlflow_server"),
        ready=probes.answers(f"{url}/health"),
        env=environment(folder / "tmp", port, database, variables, password),
        cwd=Path.cwd(),
        ready_seconds=300.0,
    )
    with running(service, folder / "mlflow.log") as process:
        yield Server(url, folder / "mlflow.log", folder / "tmp", psutil.Process(process.pid))


@pytest.fixture(scope="module")
def stores(servers: Servers) -> tuple[str, dict[str, str]]:
    """A database and a bucket."""
    return servers.postgres("mlflow_with_login"), servers.s3("mlflow-with-login")


@pytest.fixture(scope="module")
def server(stores: tuple[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server, at its first start."""
    with started(tmp_path_factory.mktemp("mlflow"), *stores, PASSWORD) as found:
        yield found


def client(server: Server, password: str = PASSWORD, **variables: str) -> MlflowClient:
    given = {"MLFLOW_TRACKING_URI": server.url, "MLFLOW_TRACKING_PASSWORD": password, **variables}
    return MlflowClient(load_settings(given, ()))


@pytest.mark.parametrize("login", [None, ("homeprices", "wrong"), ("admin", "password1234"), ("", "")])
def test_nobody_enters_without_the_password(server: Server, login: tuple[str, str] | None) -> None:
    with httpx.Client(base_url=server.url, timeout=60) as stranger:
        answers = {
            (method, path): stranger.request(
                method, path, auth=login, json={} if method == "POST" else None
            ).status_code
            for method, path in CLOSED
        }
    assert {where: code for where, code in answers.items() if code not in {401, 403}} == {}
    assert answers["GET", "/"] == answers["POST", f"{API}/experiments/search"] == 401


def test_the_health_check_needs_no_password_and_tells_nothing(server: Server) -> None:
    answer = httpx.get(f"{server.url}/health", timeout=60)
    assert (answer.status_code, answer.text) == (200, "OK")


def test_the_server_is_one_process(server: Server) -> None:
    assert server.process.children(recursive=True) == []


def test_an_unknown_host_is_refused(server: Server) -> None:
    answer = httpx.get(
        f"{server.url}/ajax-api/2.0/mlflow/experiments/get?experiment_id=0",
        headers={"Host": "evil.example"}, auth=("homeprices", PASSWORD), timeout=60,
    )  # fmt: skip
    assert (answer.status_code, "Invalid Host header" in answer.text) == (403, True)


def test_the_pipeline_logs_runs_and_files_with_the_password(server: Server, tmp_path: Path) -> None:
    tracking = client(server)
    run = tracking.parent_run("first")
    tracking.log(run, params={"a": 1}, metrics={"b": 2.0})
    (tmp_path / "report.html").write_text("<p>report</p>")
    tracking.log_files(run, tmp_path)
    tracking.finish(run)
    found = httpx.get(
        f"{server.url}/get-artifact", params={"run_uuid": run, "path": "report.html"}, auth=("homeprices", PASSWORD),
        timeout=60,
    )  # fmt: skip
    assert found.text == "<p>report</p>"


def test_the_registry_is_mirrored_with_the_password(server: Server, tmp_path: Path) -> None:
    bucket = MemoryBucket("homeprices")
    publish(bucket, make_draft(tmp_path), "one", "BO")
    found = mlflow_mirror.sync_registered_model(client(server), bucket)
    assert found["production"] == "BO1"


@pytest.mark.parametrize("password", ["", "not-the-password"])
def test_a_client_with_a_wrong_password_is_told_which_variable_to_set(server: Server, password: str) -> None:
    with pytest.raises(TrackingRefused, match="MLFLOW_TRACKING_PASSWORD is missing or wrong") as refused:
        client(server, password).parent_run("never")
    assert not password or password not in str(refused.value)


def test_a_user_whom_nobody_granted_anything_sees_no_run(server: Server) -> None:
    owner, guest = ("homeprices", PASSWORD), ("guest", "password-of-a-guest")
    client(server).parent_run("refused")
    experiment = client(server).call("GET", "experiments/get-by-name", {"experiment_name": "bangalore_home_prices"})
    number = experiment["experiment"]["experiment_id"]
    with httpx.Client(base_url=f"{server.url}{API}", timeout=60) as asked:
        made = asked.post("/users/create", auth=owner, json={"username": guest[0], "password": guest[1]})
        assert made.is_success
        seen = asked.post("/experiments/search", auth=guest, json={"max_results": 100})
        assert seen.is_success and seen.json().get("experiments", []) == []
        assert asked.get("/experiments/get", auth=guest, params={"experiment_id": number}).status_code == 403
        runs = asked.post("/runs/search", auth=guest, json={"experiment_ids": [number], "max_results": 10})
        assert runs.json().get("runs", []) == []


def test_no_secret_is_in_an_argument_the_log_or_a_file_that_others_can_read(
    server: Server, stores: tuple[str, dict[str, str]]
) -> None:
    secrets = {PASSWORD, stores[0].split(":")[2].split("@")[0], stores[1]["AWS_SECRET_ACCESS_KEY"]}
    arguments = [" ".join(one.cmdline()) for one in (server.process, *server.process.children(recursive=True))]
    said = server.log.read_text() + "".join(arguments)
    assert [secret for secret in secrets if secret in said] == []
    files = [path for path in server.temporary.rglob("*") if path.is_file()]
    [held] = [path for path in files if path.suffix == ".ini"]
    assert held.stat().st_mode & 0o077 == 0 and PASSWORD not in held.read_text()


def test_the_password_of_the_next_start_replaces_the_last_one(
    server: Server, stores: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    with started(tmp_path, *stores, CHANGED) as later:
        assert client(later, CHANGED).parent_run("first")
        with pytest.raises(TrackingRefused, match="is missing or wrong"):
            client(later, PASSWORD).parent_run("first")


@pytest.mark.parametrize(
    ("changed", "named"),
    [({mlflow_server.PASSWORD: ""}, mlflow_server.PASSWORD), ({mlflow_server.PASSWORD: "short-one"}, "16 characters"),
     ({mlflow_server.DATABASE: ""}, mlflow_server.DATABASE)],
)  # fmt: skip
def test_without_a_password_nothing_starts(changed: dict[str, str], named: str) -> None:
    given = {mlflow_server.PASSWORD: PASSWORD, mlflow_server.DATABASE: "postgresql://unused"}
    done = subprocess.run(
        [sys.executable, "-m", "compose.mlflow_server"], env={"PATH": os.environ["PATH"], **given, **changed},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == mlflow_server.EX_USAGE
    assert named in done.stderr and "short-one" not in done.stderr and done.stderr.count("\n") == 1
