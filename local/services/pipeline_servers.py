"""Airflow and MLflow.

Airflow runs as its four processes, because `airflow standalone` would orphan them when it is killed: LocalExecutor,
metadata in PostgreSQL, a user for people (airflow, password airflow, on the loopback address) and one for services.
MLflow's tracking server keeps its tables in PostgreSQL and proxies artifacts to the bucket.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from homeprices.files import write_atomic
from local.ports import LOOPBACK
from local.stack import ROOT, SERVICE_USER, Stack
from local.supervision import probes
from local.supervision.service_spec import Command, Probe, RunCommand, ServiceSpec

USER = "airflow"
PASSWORD = "airflow"  # noqa: S105  (published in the README; the server listens on the loopback address only)


def airflow(stack: Stack, dags: Path = ROOT / "dags") -> list[ServiceSpec]:
    """Return the step that migrates the metadata database, and the four processes."""
    home = stack.folder / "airflow"
    settings = configuration(stack, home, dags)
    env = stack.environment("airflow", **settings)
    with_tasks = stack.environment("pipeline", **settings)  # the scheduler runs them
    program = (sys.executable, "-m", "airflow")

    def migrate(job: RunCommand) -> None:
        home.mkdir(parents=True, exist_ok=True)
        passwords = {USER: PASSWORD, SERVICE_USER: stack.credentials.airflow_service}
        write_atomic(home / "passwords.json", json.dumps(passwords), private=True)
        job(Command((*program, "db", "migrate"), env=env, cwd=home))

    def process(name: str, *arguments: str, ready: Probe, ports: Mapping[str, int] | None = None) -> ServiceSpec:
        return ServiceSpec(
            name=f"airflow-{name}",
            argv=(*program, name, *arguments),
            ready=ready,
            ports=ports or {},
            env=with_tasks if name == "scheduler" else env,
            cwd=home,
            depends_on=("airflow-db", "bucket"),
            ready_seconds=180.0,
            stop_seconds=10.0,
        )

    health = f"{stack.url('airflow')}/api/v2/monitor/health"
    return [
        ServiceSpec(name="airflow-db", pre_start=migrate, env=env, cwd=home, depends_on=("postgres",)),
        process(
            "api-server",
            ready=probes.answers(f"{stack.url('airflow')}/api/v2/version"),
            ports={"airflow": stack.ports["airflow"]},
        ),
        process("dag-processor", ready=heartbeat(health, "dag_processor")),
        process("scheduler", "--skip-serve-logs", ready=heartbeat(health, "scheduler")),
        process("triggerer", "--skip-serve-logs", ready=heartbeat(health, "triggerer")),
    ]


def configuration(stack: Stack, home: Path, dags: Path) -> dict[str, str]:
    """Return Airflow's configuration as environment variables."""
    secret = stack.credentials
    sections: dict[str, dict[str, object]] = {
        "CORE": {
            "EXECUTOR": "compose.airflow_executor.WarmLocalExecutor",
            "PARALLELISM": 4,  # each task is a forked process with its own memory
            "DAGS_FOLDER": dags,
            "LOAD_EXAMPLES": False,
            "DAGS_ARE_PAUSED_AT_CREATION": False,  # a paused DAG loses asset events silently
            "FERNET_KEY": secret.airflow_fernet_key,
            "EXECUTION_API_SERVER_URL": f"{stack.url('airflow')}/execution/",
            "PLUGINS_FOLDER": ROOT / "compose" / "airflow_plugins",
            "AUTH_MANAGER": "compose.airflow_access.ServiceAccess",
            "SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin,{SERVICE_USER}:viewer",
            "SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": home / "passwords.json",
        },
        "DATABASE": {
            "SQL_ALCHEMY_CONN": stack.database_url("airflow", secret.postgres_airflow),
            # Four processes share one small PostgreSQL with all other services.
            "SQL_ALCHEMY_POOL_SIZE": 5,
            "SQL_ALCHEMY_MAX_OVERFLOW": 5,
        },
        "API": {
            "HOST": LOOPBACK,
            "PORT": stack.ports["airflow"],
            "BASE_URL": stack.url("airflow"),
            "WORKERS": 1,
            "SECRET_KEY": secret.airflow_api_secret,
        },
        # One key for all processes: with different keys, tasks end with "Signature verification failed".
        "API_AUTH": {"JWT_SECRET": secret.airflow_jwt_secret},
        "DAG_PROCESSOR": {"REFRESH_INTERVAL": 10, "PARSING_PROCESSES": 1, "MIN_FILE_PROCESS_INTERVAL": 60},
        # The scheduler fails a task after so many seconds without a heartbeat; tasks send one every 5 s.
        "SCHEDULER": {"TASK_INSTANCE_HEARTBEAT_TIMEOUT": 60},
        "LOGGING": {"BASE_LOG_FOLDER": home / "logs"},
    }
    variables = {
        f"AIRFLOW__{section}__{name}": str(value)
        for section, values in sections.items()
        for name, value in values.items()
    }
    return {
        **variables,
        "AIRFLOW_HOME": str(home),
        "PYTHONPATH": str(ROOT),
        # As in Compose: two estimators are cross-validated side by side, and more threads would wait for each other.
        "OMP_NUM_THREADS": "1",
        # Process titles must not overwrite the environment, because it identifies the processes of a stack.
        "SPT_NOENV": "1",
    }


def heartbeat(url: str, component: str) -> Probe:
    """Return a probe that passes when the component's latest heartbeat is later than the start of its process."""

    def probe(started: float) -> str | None:
        try:
            latest = json.loads(probes.fetch(url))[component][f"latest_{component}_heartbeat"]
        except (OSError, ValueError, KeyError) as error:
            return f"{url}: {error}"
        if latest is None or datetime.fromisoformat(latest).timestamp() < started:
            return "no heartbeat yet"
        return None

    return probe


def mlflow(home: Path, port: int, database_url: str, bucket: str, env: Mapping[str, str]) -> ServiceSpec:
    """Return MLflow's tracking server on the loopback address, whatever `env` says, because it has no login.

    `env` has the credentials of the bucket.
    """
    hosts = f"localhost:{port},{LOOPBACK}:{port}"
    return ServiceSpec(
        name="mlflow",
        argv=(sys.executable, "-m", "compose.mlflow_process", "--serve-artifacts"),
        ready=probes.answers(f"http://{LOOPBACK}:{port}/health"),
        env={
            **env,
            "PYTHONPATH": str(ROOT),
            "MLFLOW_HOST": LOOPBACK,
            "MLFLOW_PORT": str(port),
            # In the environment rather than in the arguments, which every user of the machine can read.
            "MLFLOW_BACKEND_STORE_URI": database_url,
            "MLFLOW_ARTIFACTS_DESTINATION": f"s3://{bucket}/mlflow",
            "MLFLOW_SERVER_ALLOWED_HOSTS": hosts,
            "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": ",".join(f"http://{host}" for host in hosts.split(",")),
            # Job execution leaks (mlflow#22792), and nothing here uses it.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
        },
        cwd=home,
        ports={"mlflow": port},
        depends_on=("postgres", "bucket"),
        pre_start=lambda _job: home.mkdir(parents=True, exist_ok=True),
        ready_seconds=180.0,
    )
