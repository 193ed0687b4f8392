"""The SeaweedFS container's entry point gives each service its key, and refuses keys that would break its file."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from compose import bucket_rights
from compose.bucket_rights import OWNER, RIGHTS, variables
from homeprices.errors import StorageUnavailable
from homeprices.keys import key_ring
from local.ports import LOOPBACK, SeaweedPorts
from local.services import mutual_tls
from local.services.seaweedfs import weed
from local.supervision import probes
from local.supervision.service_spec import ServiceSpec
from tests.support.free_ports import free_ports
from tests.support.servers import open_s3, running, seaweed_ports

SCRIPT = bucket_rights.FILE.with_name("seaweedfs.sh")
KEYS = {name: (f"key-of-{name}", f"secret/of+{name}=") for name in (OWNER, *RIGHTS)}


def test_services_may_read_the_ring_of_api_keys_where_it_is() -> None:
    assert bucket_rights.KEY_RING == key_ring.KEY


def environment(folder: Path, **more: str) -> dict[str, str]:
    keys = {name: key for service, pair in KEYS.items() for name, key in zip(variables(service), pair, strict=True)}
    return {
        "PATH": f"{weed().parent}:{os.environ['PATH']}",
        "TMPDIR": str(folder),
        "IDENTITIES": str(bucket_rights.FILE),
        "SECURITY": str(mutual_tls.SETTINGS),
        "MLFLOW_S3_BUCKET": "homeprices",
        **keys,
        **more,
    }


def test_the_identities_of_the_container_are_those_of_the_table() -> None:
    assert bucket_rights.main(["--check"]) == 0


@dataclass(frozen=True)
class Container:
    """A running SeaweedFS of the entry point."""

    folder: Path
    ports: SeaweedPorts
    metrics: int
    process: psutil.Process


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """SeaweedFS as in the container, on free ports."""
    folder = tmp_path_factory.mktemp("seaweedfs")
    (folder / "data").mkdir()
    ports, [metrics] = seaweed_ports(), free_ports(1)
    options = {
        "dir": folder / "data", "s3.port": ports.s3, "s3.port.grpc": ports.s3_grpc, "master.port": ports.master,
        "master.port.grpc": ports.master_grpc, "volume.port": ports.volume, "volume.port.grpc": ports.volume_grpc,
        "filer.port": ports.filer, "filer.port.grpc": ports.filer_grpc, "metricsPort": metrics, "volume.max": 20,
        "filer.localSocket": folder / "f.sock", "s3.localSocket": folder / "s.sock",
    }  # fmt: skip
    service = ServiceSpec(
        name="seaweedfs",
        argv=("/bin/sh", str(SCRIPT), *(f"-{name}={value}" for name, value in options.items())),
        env=environment(folder),
        ready=probes.answers(f"http://{LOOPBACK}:{ports.s3}/healthz"),
        stop_seconds=2.0,
    )
    with running(service, folder / "seaweedfs.log") as process:
        yield Container(folder, ports, metrics, psutil.Process(process.pid))


def test_each_service_enters_with_its_own_key_and_its_own_rights(container: Container) -> None:
    buckets = {
        name: open_s3(
            {
                "AWS_ENDPOINT_URL_S3": f"http://{LOOPBACK}:{container.ports.s3}",
                "AWS_ACCESS_KEY_ID": access,
                "AWS_SECRET_ACCESS_KEY": secret,
                "AWS_DEFAULT_REGION": "ap-south-1",
                "MLFLOW_S3_BUCKET": "homeprices",
            }
        )
        for name, (access, secret) in KEYS.items()
    }
    buckets[OWNER].create()
    buckets["pipeline"].put("models/price_check_BO1/manifest.json", b"{}")
    assert buckets["inference"].get("models/price_check_BO1/manifest.json").body == b"{}"
    with pytest.raises(StorageUnavailable, match="AccessDenied"):
        buckets["mlflow"].put("models/price_check_BO1/manifest.json", b"another")
    for name in ("identities.json", "tls.key", "security.toml"):
        assert (container.folder / name).stat().st_mode & 0o077 == 0, name
    assert not (container.folder / "identities.json.sed").exists()


def test_other_containers_reach_only_s3_its_closed_grpc_and_metrics(container: Container) -> None:
    listening = [one.laddr for one in container.process.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
    beyond = {address.port for address in listening if address.ip != LOOPBACK}
    assert beyond == {container.ports.s3, container.ports.s3_grpc, container.metrics}
    assert "SeaweedFS_" in httpx.get(f"http://{LOOPBACK}:{container.metrics}/metrics", timeout=20).text


@pytest.mark.parametrize("door", ["master", "volume", "filer", "s3_grpc", "master_grpc", "volume_grpc", "filer_grpc"])
def test_a_door_opens_only_with_the_certificate_of_this_container(container: Container, door: str) -> None:
    port = int(getattr(container.ports, door))
    stranger = ssl.create_default_context(cafile=container.folder / mutual_tls.CERTIFICATE)
    own = mutual_tls.client_context(container.folder)
    for context in (stranger, own):
        context.set_alpn_protocols(["h2"])
    assert not spoken(port, None) and not spoken(port, stranger)
    assert spoken(port, own)


def spoken(port: int, context: ssl.SSLContext | None) -> bool:
    """Whether a server speaks HTTP, of version 1 in clear text or of version 2, with a client of this context."""
    hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
    try:
        with socket.create_connection((LOOPBACK, port), timeout=20) as plain, ExitStack() as both:
            client = both.enter_context(context.wrap_socket(plain, server_hostname=LOOPBACK)) if context else plain
            client.sendall(hello)
            answer = client.recv(64)
    except (ssl.SSLError, ConnectionError):
        return False
    return answer.startswith(b"HTTP/1") or answer[3:4] == b"\4"  # HTTP/2 starts with the server's settings


@pytest.mark.parametrize("value", ['a"b', "a|b", "a&b", "a b", "a\\b"])
def test_a_key_that_would_break_the_file_is_named_and_refused(tmp_path: Path, value: str) -> None:
    done = subprocess.run(
        ["sh", str(SCRIPT)], env=environment(tmp_path, ROUTER_S3_SECRET_KEY=value), capture_output=True, text=True,
        timeout=20, check=False,
    )  # fmt: skip
    assert done.returncode == 64
    assert "ROUTER_S3_SECRET_KEY" in done.stderr
    assert value not in done.stderr
