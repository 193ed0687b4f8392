"""The SeaweedFS container's entry point gives each service its key, and refuses keys that would break its file."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from compose import bucket_rights
from compose.bucket_rights import OWNER, RIGHTS, variables
from homeprices.errors import StorageUnavailable
from homeprices.keys import key_ring
from local.ports import LOOPBACK
from local.services.seaweedfs import weed
from local.supervision import probes
from local.supervision.service_spec import ServiceSpec
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
        "MLFLOW_S3_BUCKET": "homeprices",
        **keys,
        **more,
    }


def test_the_identities_of_the_container_are_those_of_the_table() -> None:
    assert bucket_rights.main(["--check"]) == 0


def test_each_service_enters_with_its_own_key_and_its_own_rights(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    ports = seaweed_ports()
    options = {
        "dir": tmp_path / "data", "s3.port": ports.s3, "s3.port.grpc": ports.s3_grpc, "s3.ip.bind": LOOPBACK,
        "master.port": ports.master, "master.port.grpc": ports.master_grpc, "volume.port": ports.volume,
        "volume.port.grpc": ports.volume_grpc, "filer.port": ports.filer, "filer.port.grpc": ports.filer_grpc,
        "metricsPort": 0, "volume.max": 20, "filer.localSocket": tmp_path / "f.sock",
        "s3.localSocket": tmp_path / "s.sock",
    }  # fmt: skip
    service = ServiceSpec(
        name="seaweedfs",
        argv=("/bin/sh", str(SCRIPT), *(f"-{name}={value}" for name, value in options.items())),
        env=environment(tmp_path),
        ready=probes.answers(f"http://{LOOPBACK}:{ports.s3}/healthz"),
        stop_seconds=2.0,
    )
    with running(service, tmp_path / "seaweedfs.log"):
        buckets = {
            name: open_s3(
                {
                    "AWS_ENDPOINT_URL_S3": f"http://{LOOPBACK}:{ports.s3}",
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
    assert (tmp_path / "identities.json").stat().st_mode & 0o077 == 0
    assert not (tmp_path / "identities.json.sed").exists()


@pytest.mark.parametrize("value", ['a"b', "a|b", "a&b", "a b", "a\\b"])
def test_a_key_that_would_break_the_file_is_named_and_refused(tmp_path: Path, value: str) -> None:
    done = subprocess.run(
        ["sh", str(SCRIPT)], env=environment(tmp_path, ROUTER_S3_SECRET_KEY=value), capture_output=True, text=True,
        timeout=20, check=False,
    )  # fmt: skip
    assert done.returncode == 64
    assert "ROUTER_S3_SECRET_KEY" in done.stderr
    assert value not in done.stderr
