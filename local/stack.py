"""One stack: its folder, ports, credentials, code revision, and the settings of its services."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dotenv import dotenv_values

from compose.bucket_rights import OWNER
from homeprices.files import write_atomic
from homeprices.settings import load_settings, variable_names
from local.credentials import Credentials, load_or_create
from local.ports import LOOPBACK, Ports

ROOT = Path(__file__).resolve().parent.parent
BUCKET = "homeprices"
SERVICE_USER = "homeprices-service"  # as in compose/airflow_access.py
BUCKET_VARIABLES = (
    "MLFLOW_S3_BUCKET",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_DEFAULT_REGION",
)

INHERITED = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "COVERAGE_PROCESS_CONFIG",
)
"""The variables that services inherit from the user. AIRFLOW__*, AWS_* or PG* of another project would mislead them."""

GIT_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Stack:
    """A stack in `folder`. `overrides` are the settings that the user gave in the environment or in `.env`."""

    folder: Path
    ports: Ports
    inherited: Mapping[str, str]
    overrides: Mapping[str, str]

    @classmethod
    def of(cls, environ: Mapping[str, str], root: Path = ROOT) -> Stack:
        """Return the stack of STACK_DIR and STACK_PORT_OFFSET. Raises PortsRefused, SettingsError."""
        variables = {name: value for name, value in dotenv_values(root / ".env").items() if value is not None}
        variables |= environ
        load_settings(variables, ())  # read here, so that an invalid value is reported before anything starts
        return cls(
            folder=(root / environ.get("STACK_DIR", ".stack")).resolve(),
            ports=Ports.moved_by(environ.get("STACK_PORT_OFFSET", "0") or "0"),
            inherited={name: environ[name] for name in INHERITED if name in environ},
            overrides={name: value for name, value in variables.items() if name in variable_names()},
        )

    def make_folder(self) -> None:
        """Make the folder; take from other users what an earlier version left open.

        Under root, others may traverse but not list it: PostgreSQL runs as one of them.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        close_to_others(self.folder)
        self.folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
        for folder in (self.logs, self.requests, self.temporary):
            folder.mkdir(mode=0o700, exist_ok=True)

    @property
    def temporary(self) -> Path:
        """The folder of the services' temporary files, which must not lie in the machine's."""
        return self.folder / "tmp"

    @property
    def logs(self) -> Path:
        """The folder with one log file for each service."""
        return self.folder / "logs"

    @property
    def status_file(self) -> Path:
        """The file to which the supervisor writes the state of each service."""
        return self.folder / "status.json"

    @property
    def requests(self) -> Path:
        """The folder in which a file named after a service makes the supervisor restart it."""
        return self.folder / "requests"

    @property
    def lock_file(self) -> Path:
        """The file that is locked while a supervisor runs."""
        return self.folder / "lock"

    @property
    def env_file(self) -> Path:
        """The settings of the running stack, for programs outside of it."""
        return self.folder / "env"

    @cached_property
    def mark(self) -> str:
        """The id that every process of this stack carries."""
        file = self.folder / "id"
        if not file.exists():
            write_atomic(file, secrets.token_hex(16), private=True)
        return file.read_text()

    @cached_property
    def revision(self) -> str:
        """The revision of the code, read once. Bundles that the stack trains record it."""
        return git_revision(ROOT)

    @property
    def policy(self) -> str:
        """The policy of the experiment: without a choice the one that decides in minutes, for a first look."""
        return self.overrides.get("HOMEPRICES_POLICY") or "demo"

    @cached_property
    def credentials(self) -> Credentials:
        """The passwords and keys, generated on first use and kept."""
        return load_or_create(self.folder / "secrets.json")

    def url(self, purpose: str) -> str:
        """Return the address of an HTTP server."""
        return f"http://{LOOPBACK}:{self.ports[purpose]}"

    def database_url(self, name: str, password: str, driver: str = "postgresql+psycopg2") -> str:
        """Return the SQLAlchemy URL of a database of this stack."""
        return f"{driver}://{name}:{password}@{LOOPBACK}:{self.ports['postgres']}/{name}"

    @property
    def has_own_s3(self) -> bool:
        """Whether the stack runs SeaweedFS: unless AWS_ENDPOINT_URL_S3 is set, to an address or to nothing (AWS).

        Credentials alone do not select AWS: many shells have some, and they belong to an account that costs money.
        """
        return "AWS_ENDPOINT_URL_S3" not in self.overrides

    @property
    def listens_on(self) -> dict[str, int]:
        """The ports that must be free before the start."""
        every = self.ports.every.items()
        return {name: port for name, port in every if self.has_own_s3 or not name.startswith(("s3", "seaweedfs"))}

    def bucket(self, service: str = OWNER) -> dict[str, str]:
        """Return the settings of the bucket for a service: with its own key in the stack's SeaweedFS.

        In an S3 that the user has configured, all services have the user's key.
        """
        if not self.has_own_s3:
            external = {name: self.overrides[name] for name in BUCKET_VARIABLES if self.overrides.get(name)}
            if "AWS_ENDPOINT_URL_S3" in external:
                external["MLFLOW_S3_ENDPOINT_URL"] = external["AWS_ENDPOINT_URL_S3"]
            return {"MLFLOW_S3_BUCKET": BUCKET, **external}
        access_key, secret_key = self.credentials.s3_keys[service]
        return {
            "MLFLOW_S3_BUCKET": BUCKET,
            "AWS_ENDPOINT_URL_S3": self.url("s3"),
            "MLFLOW_S3_ENDPOINT_URL": self.url("s3"),
            "AWS_ACCESS_KEY_ID": access_key,
            "AWS_SECRET_ACCESS_KEY": secret_key,
            "AWS_DEFAULT_REGION": "ap-south-1",
        }

    @property
    def settings(self) -> dict[str, str]:
        """The settings of this stack's owner, by the variable names of homeprices.settings."""
        return {
            **self.bucket(),
            "POSTGRES_HOST": LOOPBACK,
            "POSTGRES_PORT": str(self.ports["postgres"]),
            "POSTGRES_USER": "homeprices",
            "POSTGRES_PASSWORD": self.credentials.postgres_homeprices,
            "POSTGRES_DB": "homeprices",
            "MLFLOW_TRACKING_URI": self.url("mlflow"),
            "HOMEPRICES_AIRFLOW_URL": self.url("airflow"),
            "HOMEPRICES_AIRFLOW_USER": "airflow",
            "HOMEPRICES_AIRFLOW_PASSWORD": "airflow",
            "HOMEPRICES_PRODUCTION_URLS": self.url("infer-prod"),
            "HOMEPRICES_CANDIDATE_URLS": self.url("infer-cand"),
            "HOMEPRICES_ROUTER_URL": self.url("router"),
            "HOMEPRICES_ROUTER_PORT": str(self.ports["router"]),
            "HOMEPRICES_ROUTER_METRICS_PORT": str(self.ports["router-metrics"]),
            "HOMEPRICES_FRONTEND_PORT": str(self.ports["frontend"]),
            "HOMEPRICES_POLICY": self.policy,
            "HOMEPRICES_GIT_REVISION": self.overrides.get("HOMEPRICES_GIT_REVISION") or self.revision,
            "HOMEPRICES_EXPORTER_PORT": str(self.ports["exporter"]),
            "HOMEPRICES_EXPORTER_URL": self.url("exporter"),
            "HOMEPRICES_STATE_DIR": str(self.folder / "state"),
            "HOMEPRICES_VISITOR_KEY": self.credentials.visitor_key,
        }

    def environment(self, service: str = OWNER, **more: str) -> dict[str, str]:
        """Return the whole environment of a program of this stack, with a service's key to the bucket.

        Empty overrides do not count.
        """
        overrides = {name: value for name, value in self.overrides.items() if value}
        temporary = {"TMPDIR": str(self.temporary)}
        return {**self.inherited, **temporary, **overrides, **self.settings, **self.bucket(service), **more}

    @property
    def airflow_service(self) -> dict[str, str]:
        """The settings with which router and exporter reach Airflow: as a user that reads, and starts runs."""
        password = self.credentials.airflow_service
        return {"HOMEPRICES_AIRFLOW_USER": SERVICE_USER, "HOMEPRICES_AIRFLOW_PASSWORD": password}

    def write_env(self) -> None:
        """Write the settings to the file in which `homeprices.settings` looks for them."""
        lines = [f"{name}={value}" for name, value in sorted({**self.overrides, **self.settings}.items())]
        write_atomic(self.env_file, "\n".join(lines) + "\n", private=True)


def close_to_others(folder: Path) -> None:
    """Take all rights of group and others from everything in a folder, without following links."""
    for place, folders, files in os.walk(folder):
        for path in (Path(place, name) for name in (*folders, *files)):
            with contextlib.suppress(FileNotFoundError):
                mode = path.lstat().st_mode
                if mode & 0o077 and not stat.S_ISLNK(mode):
                    path.chmod(stat.S_IMODE(mode) & ~0o077)


def git_revision(root: Path) -> str:
    """Return the commit of a clone, with `-dirty` when files differ; `unknown` without git or outside of a clone."""
    try:
        described = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return described.stdout.strip()
