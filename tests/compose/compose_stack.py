"""The whole stack in Docker, with its own project name, subnet and ports, so that another can run on the machine."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx

from compose.make_env import completed
from compose.scan_images import known_values
from homeprices.adapters.airflow_client import AirflowClient
from homeprices.data import synthetic
from homeprices.errors import Unavailable
from homeprices.settings import load_settings
from tests.e2e.running_stack import wait_until

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
FILES = ("docker-compose.yaml", "docker-compose.ab.yml")
REPLICAS = "compose/replicas.yml"
POOLED = "compose/pgbouncer.yml"
MONITORING = "monitoring/docker-compose.monitoring.yml"
OFFLINE_IMAGES = ROOT.parent / "shared" / "offline-images" / "build.sh"
WITHOUT_STAND_IN = {"grafana/grafana", "prom/statsd-exporter"}
WATCHERS = ("exporter", "prometheus", "alertmanager", "postgres-exporter", "node-exporter")
"""Its services without Grafana and the StatsD exporter, whose images cannot be had where no registry is reached."""
PROJECT = os.environ.get("COMPOSE_TEST_PROJECT", "homeprices-test")
SUBNET_PREFIX = os.environ.get("COMPOSE_TEST_SUBNET_PREFIX", "172.30.98")
FIRST_PORT = int(os.environ.get("COMPOSE_TEST_FIRST_PORT", "21100"))
PORTS = (
    "AIRFLOW",
    "MLFLOW",
    "INFER_PROD",
    "INFER_CAND",
    "ROUTER",
    "FRONTEND",
    "FLOWER",
    "PROMETHEUS",
    "ALERTMANAGER",
    "GRAFANA",
)
PIPELINE = "bangalore_home_prices_pipeline"
EVALUATION = "evaluate_ab_dag"
UP_SECONDS = 900
LISTINGS = 2_000  # enough to train on, in a sixth of the time that the default takes
PATIENCE = float(os.environ.get("COMPOSE_TEST_PATIENCE", "1"))
"""What every wait is multiplied with; above 1 on a machine that has other work to do."""
KEPT = ("PATH", "HOME", "LANG", "DOCKER_HOST", "DOCKER_BUILDKIT", "IMAGE_TAG")


def third_party_images() -> dict[str, str]:
    """Return the third-party images by variable: those of the environment, else those of the compose files.

    A stand-in has the name and tag of the public image and not its digest, so the digest is left out where stand-ins
    are built. The files themselves then run unchanged.
    """
    named: dict[str, str] = {}
    for file in (*FILES, POOLED, MONITORING):
        for variable, image in re.findall(r"\$\{([A-Z_]+_IMAGE):-([^}]+)\}", (ROOT / file).read_text()):
            if image.split(":")[0] not in WITHOUT_STAND_IN:
                named[variable] = os.environ.get(variable, image.split("@")[0] if OFFLINE_IMAGES.exists() else image)
    return named


def _ended(airflow: AirflowClient, dag_id: str, run_id: str) -> dict[str, Any] | None:
    """Return the run once it has ended. A busy Airflow that does not answer in time is asked again."""
    try:
        run = airflow.run(dag_id, run_id)
    except Unavailable:
        return None
    return run if run["state"] in {"success", "failed"} else None


class ComposeStack:
    """Commands of a user in the project's folder, and the published ports."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env_file = folder / ".env"
        self.ports = {name: FIRST_PORT + number for number, name in enumerate(PORTS)}
        listings = folder / "listings.csv"
        synthetic.make_listings(LISTINGS, seed=7).to_csv(listings, index=False)
        listings.chmod(0o644)
        own = {f"{name}_PORT": str(port) for name, port in self.ports.items()}
        own |= {"SUBNET_PREFIX": SUBNET_PREFIX, "DATASET": str(listings), "HOMEPRICES_POLICY": "composite"}
        own |= {"AIRFLOW_TASK_QUEUED_TIMEOUT": "90"}  # nothing here waits that long for a worker that lives
        self.env_file.write_text(completed("\n".join(f"{k}={v}" for k, v in own.items()))[0])
        self.environ = {name: os.environ[name] for name in KEPT if name in os.environ}
        self.environ |= {"COMPOSE_PROJECT_NAME": PROJECT, "COMPOSE_ENV_FILES": str(self.env_file)}
        self.environ |= third_party_images()
        self.files = list(FILES)

    @property
    def secrets(self) -> dict[str, str]:
        """Return the generated values of this stack's `.env`."""
        return known_values(self.env_file)

    # ---- commands ----

    def run(
        self, *words: str, seconds: float = 120, check: bool = True, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the project's folder; with `check` a failure fails the test with its output."""
        done = subprocess.run(
            words,
            cwd=ROOT,
            env={**self.environ, **env},
            capture_output=True,
            text=True,
            timeout=seconds * PATIENCE,
            check=False,
        )
        said = f"{' '.join(words[:12])} ended with {done.returncode}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        assert not check or done.returncode == 0, said
        return done

    def compose(
        self, *words: str, seconds: float = 120, check: bool = True, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `docker compose` with this stack's files."""
        files = [word for file in self.files for word in ("-f", file)]
        return self.run("docker", "compose", *files, *words, seconds=seconds, check=check, **env)

    def up(self, *words: str, **env: str) -> None:
        """Run `up -d`; a failure carries the logs of the containers that did not start."""
        done = self.compose("up", "-d", *words, seconds=UP_SECONDS, check=False, **env)
        if done.returncode:
            ill = [c["Service"] for c in self.containers() if c["State"] != "running" or c["Health"] == "unhealthy"]
            logs = self.compose("logs", "--tail", "25", *ill, check=False).stdout if ill else ""
            raise AssertionError(f"up ended with {done.returncode}:\n{done.stderr[-3000:]}\n{logs[-9000:]}")

    def watch(self, **env: str) -> None:
        """Start the monitoring."""
        command = ("docker", "compose", "-f", MONITORING, "up", "-d", "--wait", *WATCHERS)
        self.run(*command, seconds=UP_SECONDS, check=True, **env)

    def down(self, *words: str) -> None:
        """Run `down` for every profile and for the monitoring."""
        self.run("docker", "compose", "-f", MONITORING, "down", *words, seconds=300)
        self.compose("--profile", "celery", "down", "--remove-orphans", *words, seconds=300)

    # ---- what is seen ----

    def containers(self, *words: str) -> list[dict[str, Any]]:
        """Return the records of `docker compose ps`, one per container, including finished one-shot containers."""
        lines = self.compose("ps", "--all", "--format", "json", *words).stdout.splitlines()
        return [json.loads(line) for line in lines]

    def inspect(self, container: str) -> dict[str, Any]:
        """Return the engine's description of a container."""
        return dict(json.loads(self.run("docker", "inspect", container).stdout)[0])

    def ill(self) -> list[str]:
        """Return the services that are neither healthy nor finished with success."""
        return [
            f"{c['Service']} is {c['State']} {c['Health']} ({c['ExitCode']})"
            for c in self.containers()
            if not (c["State"] == "running" and c["Health"] == "healthy")
            and not (c["State"] == "exited" and c["ExitCode"] == 0)
        ]

    def wait_until_healthy(self, seconds: float = 300) -> None:
        """Return once every container is healthy or has finished with success."""
        self.wait(lambda: not self.ill(), seconds, "all healthy")

    def wait(self, look: Callable[[], T | None], seconds: float, what: str) -> T:
        """Return the first truthy result of `look`; a failure names the unhealthy services."""
        try:
            return wait_until(look, seconds * PATIENCE, what)
        except AssertionError as error:
            raise AssertionError(f"{error}; ill: {self.ill()}") from None

    def url(self, name: str) -> str:
        """Return the published address of a service, by its name in PORTS."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def served(self, name: str) -> str | None:
        """Return the version that a service serves, if it responds."""
        try:
            answer = httpx.get(f"{self.url(name)}/api/health", timeout=3)
        except httpx.HTTPError:
            return None
        return answer.json()["model_version"] if answer.is_success else None

    def replicas(self) -> dict[str, str | None]:
        """Return the version that each replica of production serves, by container name."""
        look = "import httpx; print(httpx.get('http://127.0.0.1:6001/api/health', timeout=3).json()['model_version'])"
        names = [c["Name"] for c in self.containers("infer-prod") if c["State"] == "running"]
        return {
            name: self.run("docker", "exec", name, "python", "-c", look, check=False).stdout.strip() or None
            for name in names
        }

    @property
    def airflow(self) -> AirflowClient:
        """Return an Airflow client for this machine."""
        return AirflowClient(load_settings({"HOMEPRICES_AIRFLOW_URL": self.url("AIRFLOW")}, ()))

    def run_to_its_end(self, dag_id: str, seconds: float = 400) -> str:
        """Trigger a DAG, wait until it has succeeded, and return the run id."""
        with self.airflow as airflow:
            run_id = airflow.trigger(dag_id)
            run = self.wait(lambda: _ended(airflow, dag_id, run_id), seconds, f"{dag_id} {run_id}")
            tasks = {t["task_id"]: t["state"] for t in airflow.tasks(dag_id, run_id)}
        assert run["state"] == "success", tasks
        return run_id

    def pause(self, dag_id: str, paused: bool = True) -> None:
        """Pause a DAG's schedule; missed runs start once when it resumes."""
        user = {"username": "airflow", "password": "airflow"}
        with httpx.Client(base_url=self.url("AIRFLOW"), timeout=20) as airflow:
            token = airflow.post("/auth/token", json=user).raise_for_status().json()["access_token"]
            bearer = {"Authorization": f"Bearer {token}"}
            airflow.patch(f"/api/v2/dags/{dag_id}", json={"is_paused": paused}, headers=bearer).raise_for_status()

    def python(self, code: str) -> Any:
        """Return `result` (JSON) of `code`, run in the serving container with `bucket` open."""
        opening = "import json; from homeprices.resources import open_resources; bucket = open_resources().bucket\n"
        owner = [f"-e{name}={self.secrets[name]}" for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")]
        done = self.compose(
            "exec", "-T", *owner, "infer-cand", "python", "-c", f"{opening}{code}\nprint(json.dumps(result))"
        )
        return json.loads(done.stdout.splitlines()[-1])

    def sql(self, query: str, database: str = "homeprices") -> list[list[str]]:
        """Return the rows of a query, run as superuser in the container."""
        psql = 'PGPASSWORD=$POSTGRES_PASSWORD exec psql -qAtX -F "|" -h 127.0.0.1 -U postgres -d "$0" -c "$1"'
        done = self.compose("exec", "-T", "postgres", "sh", "-c", psql, database, query)
        return [line.split("|") for line in done.stdout.splitlines()]

    def logged(self, ids: list[int] | None = None) -> int:
        """Return how many predictions PostgreSQL has, of these ids or of all."""
        of_these = "" if ids is None else f" where id = any('{{{','.join(map(str, ids))}}}')"
        return int(self.sql(f"select count(*) from prediction_logs{of_these}")[0][0])

    def record(self) -> dict[str, object]:
        """Return the control record."""
        read = "from homeprices.release import control_record\nresult = control_record.read(bucket)"
        return dict(self.python(f"{read}.model_dump(mode='json')"))

    def keys(self) -> list[str]:
        """Return every key of the bucket."""
        return list(self.python("result = [e.key for e in bucket.list('')]"))

    def kill(self, container: str) -> None:
        """Send SIGKILL to the first process from outside; after `docker kill` the engine does not restart a container.

        A restarting container reports process 0; a signal to process 0 would kill this process group.
        """
        pid = self.wait(lambda: int(self.inspect(container)["State"]["Pid"]), 60, f"{container} to run")
        os.kill(pid, signal.SIGKILL)

    def memory(self) -> dict[str, str]:
        """Return each container's memory use and limit."""
        names = [c["Name"] for c in self.containers() if c["State"] == "running"]
        lines = self.run(
            "docker", "stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}", *names
        ).stdout.splitlines()
        return dict(line.split(" ", 1) for line in lines)


def images(stack: ComposeStack, names: Sequence[str]) -> dict[str, int]:
    """Return the sizes of images, in bytes."""
    return {name: int(stack.run("docker", "image", "inspect", "-f", "{{.Size}}", name).stdout) for name in names}


def seconds_since(start: float) -> float:
    """Return the elapsed time, rounded to tenths of a second."""
    return round(time.monotonic() - start, 1)
