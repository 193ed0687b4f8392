"""MLflow's tracking server: its tables in PostgreSQL, artifacts through the server to the bucket."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from local import probes
from local.service import Service


def mlflow(home: Path, port: int, database_url: str, bucket: str, env: Mapping[str, str]) -> Service:
    """A server on the loopback address. `env` has the credentials of the bucket."""
    hosts = f"localhost:{port},{probes.LOOPBACK}:{port}"
    return Service(
        name="mlflow",
        argv=(sys.executable, "-m", "mlflow", "server", "--serve-artifacts", "--workers", "1"),
        ready=probes.answers(f"http://{probes.LOOPBACK}:{port}/health"),
        env={
            **env,
            "MLFLOW_HOST": probes.LOOPBACK,
            "MLFLOW_PORT": str(port),
            # In the environment rather than in the arguments, which every user of the machine can read.
            "MLFLOW_BACKEND_STORE_URI": database_url,
            "MLFLOW_ARTIFACTS_DESTINATION": f"s3://{bucket}/mlflow",
            "MLFLOW_SERVER_ALLOWED_HOSTS": hosts,
            "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": ",".join(f"http://{host}" for host in hosts.split(",")),
            # They leak (mlflow#22792), and nothing here uses them.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
        },
        cwd=home,
        ports={"mlflow": port},
        depends_on=("postgres", "bucket"),
        prepare=lambda _job: home.mkdir(parents=True, exist_ok=True),
        ready_seconds=180.0,
    )
