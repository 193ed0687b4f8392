"""Check that Compose accepts every combination of compose files in the documentation: `make compose-config`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from compose.make_env import completed

ROOT = Path(__file__).resolve().parent.parent
BASE, SERVING, REPLICAS = "docker-compose.yaml", "docker-compose.ab.yml", "compose/replicas.yml"
POOLED = "compose/pgbouncer.yml"
MONITORING = "monitoring/docker-compose.monitoring.yml"
COMBINATIONS: list[tuple[tuple[str, ...], dict[str, str]]] = [
    ((BASE,), {}),
    ((BASE,), {"COMPOSE_PROFILES": "celery"}),
    ((BASE, SERVING), {}),
    ((BASE, SERVING), {"SEAWEEDFS_REPLICAS": "0", "AWS_ENDPOINT_URL_S3": ""}),
    ((BASE, SERVING, REPLICAS), {}),
    ((BASE, SERVING, REPLICAS, POOLED), {}),
    ((MONITORING,), {}),
]
TIMEOUT_SECONDS = 60


def arguments(files: tuple[str, ...], env_file: Path) -> list[str]:
    """Return the command line of Compose without a subcommand."""
    options = (option for file in files for option in ("-f", file))
    return ["docker", "compose", "--env-file", str(env_file), *options]


def problem(files: tuple[str, ...], variables: dict[str, str], env_file: Path) -> str | None:
    """Return Compose's error or warning for a combination; None when it accepts it without either."""
    keep = {name: os.environ[name] for name in ("PATH", "HOME", "DOCKER_HOST") if name in os.environ}
    done = subprocess.run(
        [*arguments(files, env_file), "config", "--quiet"],
        cwd=ROOT, env={**keep, **variables}, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False,
    )  # fmt: skip
    return (done.stderr.strip() or f"ended with {done.returncode}") if done.returncode or done.stderr.strip() else None


def main() -> int:
    """Run the command line."""
    if not has_compose():
        print("compose-config: not checked, there is no docker compose on this machine")
        return 0
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        env_file = Path(folder) / ".env"
        env_file.write_text(completed("")[0])
        for files, variables in COMBINATIONS:
            error = problem(files, variables, env_file)
            combination = " ".join([*(f"{name}={value}" for name, value in variables.items()), *files])
            print(f"compose-config: {combination}: {error or 'accepted'}")
            failed += error is not None
    return 1 if failed else 0


def has_compose() -> bool:
    """Whether Docker Compose is installed. The check needs no engine."""
    if shutil.which("docker") is None:
        return False
    return (
        subprocess.run(
            ["docker", "compose", "version"], capture_output=True, timeout=TIMEOUT_SECONDS, check=False
        ).returncode
        == 0
    )


if __name__ == "__main__":
    sys.exit(main())
