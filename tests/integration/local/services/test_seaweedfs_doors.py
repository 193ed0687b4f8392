"""SeaweedFS answers only its own processes and holders of a key, and leaves nothing outside its folder."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path

import psutil
import pytest

from compose.bucket_rights import OWNER, identities
from homeprices.adapters.object_store import S3Bucket
from local.ports import LOOPBACK, SeaweedPorts
from local.services import mutual_tls
from local.services.seaweedfs import seaweedfs, weed
from local.supervision.probes import answers
from local.supervision.service_spec import RunCommand, ServiceSpec, UnixAccount
from tests.support.programs import CURL
from tests.support.servers import MAX_VOLUMES, clean_environment, open_s3, running, seaweed_ports

STRANGER = 65534
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
CLOSED = [field.name for field in fields(SeaweedPorts) if field.name != "s3"]


@dataclass(frozen=True)
class Server:
    home: Path
    ports: SeaweedPorts
    bucket: S3Bucket
    pids: list[int]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server in a folder that others can reach, as that of a stack in a home with mode 0755."""
    top = Path(tempfile.mkdtemp(prefix="homeprices-doors-", dir="/var/tmp"))
    top.chmod(0o755)
    home, ports = top / "seaweedfs", seaweed_ports()
    users = json.dumps(identities("homeprices", {OWNER: ("owner", "a-secret")}))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, top)
        started = [
            stack.enter_context(running(service, top / f"{service.name}.log"))
            for service in seaweedfs(home, ports, users, clean_environment(), MAX_VOLUMES)
        ]
        bucket = open_s3(variables_of(ports))
        bucket.create()
        bucket.put("data/raw/train_V1.csv", b"kept")
        yield Server(home, ports, bucket, [process.pid for process in started])


@CURL.mark
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("path", ["/col/delete?collection=homeprices", "/vol/status", "/status", "/buckets/"])
@pytest.mark.parametrize("port", ["master", "volume", "filer"])
def test_no_http_door_opens_without_the_certificate_of_the_stack(
    server: Server, port: str, path: str, scheme: str
) -> None:
    url = f"{scheme}://{LOOPBACK}:{getattr(server.ports, port)}{path}"
    answer = as_stranger("curl", "-sk", "-m", "5", "-w", "%{http_code}", url)
    assert answer.stdout[-3:] in {"000", "400"}, answer.stdout
    assert answer.stdout[:-3].strip() in {"", "Client sent an HTTP request to an HTTPS server."}
    assert server.bucket.get("data/raw/train_V1.csv").body == b"kept"


@pytest.mark.parametrize("port", ["master", "volume"])
def test_a_proxy_of_the_user_is_not_asked_whether_a_server_is_ready(
    server: Server, port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    path = {"master": "/cluster/healthz", "volume": "/healthz"}[port]
    url = f"https://{LOOPBACK}:{getattr(server.ports, port)}{path}"
    assert answers(url, partial(mutual_tls.client_context, server.home))(0) is None
    assert "CERTIFICATE_VERIFY_FAILED" in str(answers(url)(0)), "the probe has to verify the server"


@pytest.mark.parametrize("name", CLOSED)
def test_no_door_speaks_http2_without_the_certificate_of_the_stack(server: Server, name: str) -> None:
    """gRPC, which returns the secrets of all users, begins with a settings frame of the server."""
    port = getattr(server.ports, name)
    with socket.create_connection((LOOPBACK, port), timeout=5) as plain:
        assert not is_settings_frame(answer_to_preface(plain))
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection((LOOPBACK, port), timeout=5) as plain,
        pytest.raises((ssl.SSLError, ConnectionError)),
        context.wrap_socket(plain, server_hostname=LOOPBACK) as secured,
    ):
        answered = answer_to_preface(secured)
        assert not is_settings_frame(answered), "served without a certificate"
        raise ConnectionError("closed without an answer")


def test_the_own_certificate_opens_the_doors_that_strangers_find_shut(server: Server) -> None:
    """Otherwise the tests above would pass for a server that is away."""
    context = ssl.create_default_context(cafile=server.home / "tls.pem")
    context.load_cert_chain(server.home / "tls.pem", server.home / "tls.key")
    context.set_alpn_protocols(["h2"])
    for name in ("master_grpc", "volume_grpc", "filer_grpc", "s3_grpc"):
        with (
            socket.create_connection((LOOPBACK, getattr(server.ports, name)), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname=LOOPBACK) as secured,
        ):
            assert is_settings_frame(answer_to_preface(secured)), name


def test_nothing_of_the_server_is_outside_its_folder_and_everything_in_it_is_private(server: Server) -> None:
    for process in map(psutil.Process, server.pids):
        written = [file.path for file in process.open_files() if file.mode != "r"]
        assert [path for path in written if not Path(path).is_relative_to(server.home.parent)] == []
        sockets = [str(connection.laddr) for connection in process.net_connections("unix") if connection.laddr]
        assert [path for path in sockets if path not in {"filer.sock", "s3.sock"}] == []  # relative to its folder
    assert [
        str(path) for path in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{server.ports.master_grpc}.sock")
    ] == []
    open_to_others = [
        f"{stat.filemode(path.lstat().st_mode)} {path}"
        for path in [server.home, *server.home.rglob("*")]
        if path.lstat().st_mode & 0o077 and path.suffix != ".vif"  # weed sets the mode of these itself
    ]
    assert open_to_others == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
@pytest.mark.parametrize("name", ["identities.json", "tls.key", "security.toml"])
def test_another_user_reads_no_secret_of_the_server(server: Server, name: str) -> None:
    assert "Permission denied" in as_stranger("cat", str(server.home / name)).stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
@pytest.mark.parametrize("name", ["filer.sock", "s3.sock"])
def test_another_user_reaches_no_socket_of_the_server(server: Server, name: str) -> None:
    CURL.require()
    assert stat.S_ISSOCK((server.home / name).stat().st_mode)
    asked = as_stranger("curl", "-s", "-m", "5", "--unix-socket", str(server.home / name), "http://localhost/buckets/")
    assert (asked.returncode, asked.stdout) == (7, "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_another_user_starts_a_server_on_the_ports_of_one_that_was_stopped() -> None:
    """Sockets that a stopped server leaves in /tmp would belong to the first user, and stop the second."""
    top = Path(tempfile.mkdtemp(prefix="homeprices-doors-", dir="/var/tmp"))
    top.chmod(0o755)
    ports, program = seaweed_ports(), top / "weed"
    shutil.copy(weed(), program)
    users = json.dumps(identities("homeprices", {OWNER: ("owner", "a-secret")}))
    try:
        for number, account in enumerate((None, UnixAccount(STRANGER, STRANGER), None)):
            home = top / str(number)
            with ExitStack() as stack:
                for service in seaweedfs(home, ports, users, clean_environment(), MAX_VOLUMES):
                    own = replace(
                        service,
                        argv=(str(program), *service.argv[1:]),
                        account=account,
                        pre_start=partial(prepared_for, service, account),
                        ready_seconds=30.0,
                    )
                    stack.enter_context(running(own, top / f"{number}.log"))
                open_s3(variables_of(ports)).create()
    finally:
        shutil.rmtree(top)


def prepared_for(service: ServiceSpec, account: UnixAccount | None, job: RunCommand) -> None:
    """Prepare a service, and give its folder to the account."""
    assert service.pre_start is not None
    service.pre_start(job)
    if account is not None:
        for path in [service.cwd, *service.cwd.rglob("*")]:
            os.chown(path, account.uid, account.gid, follow_symlinks=False)


def variables_of(ports: SeaweedPorts) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL_S3": f"http://{LOOPBACK}:{ports.s3}",
        "AWS_ACCESS_KEY_ID": "owner",
        "AWS_SECRET_ACCESS_KEY": "a-secret",
        "AWS_DEFAULT_REGION": "ap-south-1",
        "MLFLOW_S3_BUCKET": "homeprices",
    }


def test_the_data_of_a_server_in_one_process_is_read_by_this_one(tmp_path: Path) -> None:
    """Earlier versions ran `weed server`: its folders are opened as they are."""
    home, ports = tmp_path / "seaweedfs", seaweed_ports()
    (home / "data").mkdir(parents=True)
    users = json.dumps(identities("homeprices", {OWNER: ("owner", "a-secret")}))
    services = seaweedfs(home, ports, users, clean_environment(), 20)
    with running(earlier_server(services[-1], home, ports), tmp_path / "earlier.log"):
        bucket = open_s3(variables_of(ports))
        bucket.create()
        bucket.put("models/price_check_BO1/manifest.json", b"carried over")
    (home / "security.toml").unlink(missing_ok=True)
    with ExitStack() as stack:
        for service in services:
            stack.enter_context(running(service, tmp_path / f"{service.name}.log"))
        assert open_s3(variables_of(ports)).get("models/price_check_BO1/manifest.json").body == b"carried over"
        open_s3(variables_of(ports)).put("models/price_check_BO2/manifest.json", b"new")


def earlier_server(s3: ServiceSpec, home: Path, ports: SeaweedPorts) -> ServiceSpec:
    """Return the server of earlier versions: one process, with its gRPC sockets in /tmp."""
    options = {
        "dir": home / "data", "ip": LOOPBACK, "ip.bind": LOOPBACK, "master.port": ports.master,
        "master.port.grpc": ports.master_grpc, "master.telemetry": "false", "master.electionTimeout": "1s",
        "master.volumeSizeLimitMB": 256, "volume.port": ports.volume, "volume.port.grpc": ports.volume_grpc,
        "volume.max": 20, "volume.preStopSeconds": 0, "filer": "true", "filer.port": ports.filer,
        "filer.port.grpc": ports.filer_grpc, "s3": "true", "s3.port": ports.s3, "s3.port.grpc": ports.s3_grpc,
        "s3.port.iceberg": 0, "s3.port.lance": 0, "s3.config": home / "identities.json", "s3.iam": "false",
        "filer.localSocket": home / "filer.sock", "s3.localSocket": home / "s3.sock",
    }  # fmt: skip

    def prepare(job: RunCommand) -> None:
        assert s3.pre_start is not None
        s3.pre_start(job)
        (home / "security.toml").unlink()

    argv = (str(weed()), "-logtostderr=true", "server", *(f"-{name}={value}" for name, value in options.items()))
    return replace(s3, argv=argv, pre_start=prepare)


def as_stranger(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a program as a user that owns nothing, where this process may."""
    other = {"user": STRANGER, "group": STRANGER, "extra_groups": []} if os.geteuid() == 0 else {}
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        command, capture_output=True, text=True, cwd="/", timeout=30, check=False, **other
    )


def answer_to_preface(connection: socket.socket) -> bytes:
    connection.sendall(HTTP2_PREFACE)
    return connection.recv(9)


def is_settings_frame(answer: bytes) -> bool:
    return len(answer) == 9 and answer[3] == 4
