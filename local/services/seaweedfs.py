"""SeaweedFS: the S3 API of the local stack, bound to the loopback address.

Three processes (master, volume, filer with S3), because one process for all of them would put gRPC sockets into /tmp,
which every user shares. Only the S3 port answers without a client certificate; it wants a signature.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from homeprices.files import write_atomic
from local.ports import LOOPBACK, SeaweedPorts
from local.services import mutual_tls
from local.supervision import probes
from local.supervision.service_spec import Probe, RunCommand, ServiceSpec

VOLUME_SIZE_MB = 256
# The filer would wait 15 s for subscribers in its own process. Acknowledged writes are in files by then.
STOP_SECONDS = 2.0


def seaweedfs(
    home: Path, ports: SeaweedPorts, identities: str, env: Mapping[str, str], max_volumes: int = 0
) -> list[ServiceSpec]:
    """Return an S3 server with all data under `home`, in the order of the start; the last one is the S3 API.

    `identities`: the JSON text of its users and their rights. `max_volumes`: 0 allows as many full volumes as fit on
    the disk. Each bucket occupies several, full or not.
    """
    certified = partial(mutual_tls.client_context, home)
    master = f"{LOOPBACK}:{ports.master}.{ports.master_grpc}"

    def prepare(_job: RunCommand) -> None:
        for folder in (home, home / "data"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mutual_tls.prepare(home)
        write_atomic(home / "identities.json", identities, private=True)

    def prepare_sockets(job: RunCommand) -> None:
        prepare(job)
        for stale in home.glob("*.sock"):
            stale.unlink()

    def server(
        name: str,
        options: Mapping[str, object],
        own: Mapping[str, int],
        ready: Probe,
        *,
        after: tuple[str, ...] = (),
        pre_start: object = prepare,
    ) -> ServiceSpec:
        addresses = {"ip": LOOPBACK, "ip.bind": LOOPBACK}
        return ServiceSpec(
            name=name,
            # Log files would be in the temporary folder of the machine.
            argv=(str(weed()), "-logtostderr=true", *_program(name), *_options({**addresses, **options})),
            ready=ready,
            env=env,
            cwd=home,  # of security.toml and of the sockets, whose paths may have 108 bytes
            ports=own,
            depends_on=after,
            pre_start=pre_start,  # type: ignore[arg-type]
            stop_seconds=STOP_SECONDS,
        )

    return [
        server(
            "seaweedfs-master",
            {
                "port": ports.master,
                "port.grpc": ports.master_grpc,
                "mdir": "data",
                "disableHttp": "true",
                "telemetry": "false",
                # A single master need not wait ten seconds for votes after a restart.
                "electionTimeout": "1s",
                "volumeSizeLimitMB": VOLUME_SIZE_MB,
            },
            {"master": ports.master, "master_grpc": ports.master_grpc},
            # It has a leader. Before, the volume server could join only after five seconds.
            probes.answers(f"https://{LOOPBACK}:{ports.master}/cluster/healthz", certified),
        ),
        server(
            "seaweedfs-volume",
            {
                "port": ports.volume,
                "port.grpc": ports.volume_grpc,
                "dir": "data",
                "max": max_volumes,
                "preStopSeconds": 0,
                "master": master,
            },
            {"volume": ports.volume, "volume_grpc": ports.volume_grpc},
            probes.answers(f"https://{LOOPBACK}:{ports.volume}/healthz", certified),  # it has joined
            after=("seaweedfs-master",),
        ),
        server(
            "seaweedfs",
            {
                "port": ports.filer,
                "port.grpc": ports.filer_grpc,
                "defaultStoreDir": "data",
                "disableHttp": "true",
                "localSocket": "filer.sock",
                "master": master,
                "s3": "true",
                "s3.port": ports.s3,
                "s3.port.grpc": ports.s3_grpc,
                "s3.port.iceberg": 0,
                "s3.port.lance": 0,
                "s3.config": "identities.json",
                "s3.iam": "false",
                "s3.autoCreateBucket": "false",
                "s3.localSocket": "s3.sock",
            },
            {"s3": ports.s3, "s3_grpc": ports.s3_grpc, "filer": ports.filer, "filer_grpc": ports.filer_grpc},
            probes.answers(f"http://{LOOPBACK}:{ports.s3}/healthz"),
            after=("seaweedfs-master", "seaweedfs-volume"),
            pre_start=prepare_sockets,
        ),
    ]


def weed() -> Path:
    """Return the path of the program, which its wheel installs among the scripts."""
    return Path(sysconfig.get_path("scripts")) / "weed"


def _program(name: str) -> tuple[str, ...]:
    return (name.partition("-")[2] or "filer",)


def _options(options: Mapping[str, object]) -> list[str]:
    return [f"-{name}={value}" for name, value in options.items()]
