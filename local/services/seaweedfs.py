"""SeaweedFS: the S3 API of the local stack, one process, bound to the loopback address."""

from __future__ import annotations

import json
import os
import sysconfig
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from homeprices.files import write_atomic
from local.ports import LOOPBACK, SeaweedPorts
from local.supervision import probes
from local.supervision.service_spec import RunCommand, ServiceSpec

VOLUME_SIZE_MB = 256
SOCKET_PATH_BYTES = 100
"""The longest path of a Unix socket: the system allows 108 bytes; the difference is a reserve."""


def seaweedfs(
    home: Path, ports: SeaweedPorts, access_key: str, secret_key: str, env: Mapping[str, str], max_volumes: int = 0
) -> ServiceSpec:
    """Return an S3 server with all data under `home` and one identity.

    `max_volumes`: 0 allows as many full volumes as fit on the disk. Each bucket occupies several, full or not.
    """
    identities = home / "identities.json"
    options = {
        "dir": home / "data",
        "ip": LOOPBACK,
        "ip.bind": LOOPBACK,
        "master.port": ports.master,
        "master.port.grpc": ports.master_grpc,
        "master.telemetry": "false",
        # A single master need not wait ten seconds for votes after a restart.
        "master.electionTimeout": "1s",
        "master.volumeSizeLimitMB": VOLUME_SIZE_MB,
        "volume.port": ports.volume,
        "volume.port.grpc": ports.volume_grpc,
        "volume.max": max_volumes,
        "volume.preStopSeconds": 0,
        "filer": "true",
        "filer.port": ports.filer,
        "filer.port.grpc": ports.filer_grpc,
        # The filer's HTTP interface has no authentication.
        "filer.disableHttp": "true",
        "s3": "true",
        "s3.port": ports.s3,
        "s3.port.grpc": ports.s3_grpc,
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.config": identities,
        "s3.iam": "false",
        "s3.autoCreateBucket": "false",
        **_sockets(home),
    }

    def prepare(_job: RunCommand) -> None:
        (home / "data").mkdir(parents=True, exist_ok=True)
        write_atomic(identities, _identities(access_key, secret_key), private=True)
        for stale in [*home.glob("*.sock")]:
            stale.unlink()

    return ServiceSpec(
        name="seaweedfs",
        argv=(str(weed()), "server", *(f"-{name}={value}" for name, value in options.items())),
        ready=probes.answers(f"http://{LOOPBACK}:{ports.s3}/healthz"),
        env=env,
        cwd=home,
        ports=asdict(ports),
        pre_start=prepare,
        # The filer would wait 15 s for subscribers in its own process. Acknowledged writes are in files by then.
        stop_seconds=2.0,
    )


def weed() -> Path:
    """Return the path of the program, which its wheel installs among the scripts."""
    return Path(sysconfig.get_path("scripts")) / "weed"


def _identities(access_key: str, secret_key: str) -> str:
    identity = {
        "name": "homeprices",
        "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    return json.dumps({"identities": [identity]}, indent=2)


def _sockets(home: Path) -> dict[str, Path]:
    if len(os.fsencode(home)) > SOCKET_PATH_BYTES - len("/filer.sock"):
        return {}
    return {"filer.localSocket": home / "filer.sock", "s3.localSocket": home / "s3.sock"}
