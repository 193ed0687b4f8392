"""API keys on the real path: command, bucket, agent, Nginx, gunicorn and PostgreSQL."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from homeprices.adapters.database import upgrade
from homeprices.adapters.object_store import S3Bucket, open_bucket
from homeprices.cli import homeprices
from homeprices.keys import key_ring
from homeprices.keys.key_ring import SCOPES
from homeprices.keys.key_token import new_key
from homeprices.resources import Resources
from homeprices.settings import load_settings
from router.nginx import Nginx, confirm
from router.render import revision_of
from tests.chaos.proxy import Fault, FaultProxy, proxy_before
from tests.integration.inference.instance import ROOT, Instance, publish
from tests.integration.predictions.conftest import database_variables
from tests.integration.router.client import HOME, Reply, Visitor
from tests.integration.router.conftest import PROGRAMS, eventually, free_port
from tests.integration.router.raw import send, status_of
from tests.support.servers import clean_environment

PREDICT, BATCH = "/api/predict_home_price", "/api/predict_home_price/batch"
STRANGER = "203.0.113.9"


@dataclass
class Stack:
    """Router and service as processes, before a bucket and a database that faults can hit."""

    folder: Path
    variables: dict[str, str]
    bucket: S3Bucket
    s3: FaultProxy
    postgres: FaultProxy
    service: Instance
    nginx: Nginx
    port: int
    agents: list[subprocess.Popen[bytes]] = field(default_factory=list)
    keys: dict[tuple[str, ...], str] = field(default_factory=dict)

    def start_router(self) -> None:
        """Start the agent and return when its Nginx answers."""
        with (self.folder / "agent.log").open("ab") as log:
            self.agents.append(
                subprocess.Popen(
                    [sys.executable, "-m", "router.agent"], cwd=ROOT, env=self.variables, stdout=log, stderr=log
                )
            )
        eventually(lambda: self.nginx.pid() is not None)
        eventually(lambda: self.get("/api/health", STRANGER).status == 200)

    def stop_router(self) -> None:
        """Stop the agent as an operator does, and its Nginx with it."""
        for agent in self.agents:
            agent.terminate()
            agent.wait(60)
        self.agents.clear()
        self.nginx.stop(0.5)

    def command(self, *words: str) -> str:
        """Return the standard output of `homeprices keys`."""
        resources = Resources(load_settings(self.variables, ()), self.bucket)
        done = CliRunner().invoke(homeprices, ["keys", *words], obj=resources, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout.strip()

    def key(self, *scopes: str) -> str:
        """Return the text of a key that tests share, and that none of them ends."""
        if scopes not in self.keys:
            self.keys[scopes] = self.create(*scopes)
        return self.keys[scopes]

    def create(self, *scopes: str, quota: str = "1000/s") -> str:
        """Return the text of a new key that the router and the service know."""
        text = self.command("create", "--scope", ",".join(scopes), "--quota", quota, "--note", "a test")
        eventually(lambda: text.split("_")[1] in self.routed())
        eventually(lambda: self.predict(text).status in (200, 403))
        return text

    def routed(self) -> str:
        """Return the configuration that Nginx has in force."""
        text = self.nginx.configuration.read_text()
        return text if confirm(f"127.0.0.1:{self.port}", revision_of(text), 0.1) else ""

    def predict(self, key: str | None = None, address: str = STRANGER) -> Reply:
        return self.ask("POST", PREDICT, HOME, address, key)

    def batch(self, key: str | None = None, address: str = STRANGER) -> Reply:
        return self.ask("POST", BATCH, f"[{HOME}]", address, key)

    def get(self, path: str, address: str, key: str | None = None) -> Reply:
        return self.ask("GET", path, None, address, key)

    def ask(self, method: str, path: str, body: str | None, address: str, key: str | None) -> Reply:
        headers = {"X-Forwarded-For": address, **({"Authorization": f"Bearer {key}"} if key else {})}
        visitor = Visitor(f"127.0.0.1:{self.port}", headers=headers)
        try:
            return visitor.ask(method, path, body)
        finally:
            visitor.close()

    def written(self) -> dict[str, str]:
        """Return every file that the router and the service have written."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return {str(path): path.read_bytes().decode(errors="replace") for path in files}


@pytest.fixture(scope="module")
def stack(postgres_url: str, s3_settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running stack that serves BO1."""
    folder = tmp_path_factory.mktemp("keys")
    database = database_variables(postgres_url)
    upgrade(load_settings({**database, **s3_settings}, ()))
    bucket = open_bucket(load_settings(s3_settings, ()))
    publish(bucket, folder / "made", "BO1")
    with ExitStack() as opened:
        s3 = opened.enter_context(proxy_before(int(s3_settings["AWS_ENDPOINT_URL_S3"].rpartition(":")[2])))
        postgres = opened.enter_context(proxy_before(int(database["POSTGRES_PORT"])))
        shared = {
            **database,
            **s3_settings,
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{s3.port}",
            "POSTGRES_HOST": "127.0.0.1",
            "POSTGRES_PORT": str(postgres.port),
            "HOMEPRICES_VISITOR_KEY": "a key of the tests",
            "HOMEPRICES_POLL_SECONDS": "5",  # the default, on which the time of a revocation depends
            "WEB_CONCURRENCY": "1",  # each worker has a copy of the ring, and a test cannot choose which one answers
        }
        service = Instance(folder / "service", shared)
        port = free_port()
        nginx = Nginx(PROGRAMS[0], folder / "state" / "router")  # type: ignore[arg-type]
        variables = {
            **clean_environment(),
            **shared,
            "HOMEPRICES_STATE_DIR": str(folder / "state"),
            "HOMEPRICES_NGINX": str(PROGRAMS[0]),
            "HOMEPRICES_ROUTER_PORT": str(port),
            "HOMEPRICES_ROUTER_METRICS_PORT": str(free_port()),
            "HOMEPRICES_PRODUCTION_URLS": f"http://127.0.0.1:{service.port}",
            "HOMEPRICES_CANDIDATE_URLS": f"http://127.0.0.1:{service.port}",
            "PYTHONPATH": str(ROOT),
        }
        made = Stack(folder, variables, bucket, s3, postgres, service, nginx, port)
        service.start()
        opened.callback(service.stop)
        eventually(lambda: service.serves("BO1"))
        opened.callback(made.stop_router)
        made.start_router()
        yield made


def test_a_key_is_shown_once_and_opens_what_its_scopes_name(stack: Stack) -> None:
    before = stack.batch()
    assert (before.status, before.headers["WWW-Authenticate"]) == (401, "Bearer realm=homeprices")
    key = stack.key("batch", "operate")
    answer = stack.batch(key)
    assert (answer.status, answer.json()[0]["model_version"]) == (200, "BO1")
    refused = stack.predict(key)
    assert (refused.status, refused.json()["error"]) == (
        403, f"API key {key.split('_')[1]} does not have the scope predict"
    )  # fmt: skip
    assert stack.get("/api/logs/tail", STRANGER, key).status == 200
    assert key not in stack.command("list")
    assert key.split("_")[1] in stack.command("list")
    assert stack.predict().status == 200, "visitors need none"


@pytest.mark.parametrize("path", ["/metrics", "/api/metrics", "/api/logs", "/api/logs/tail", "/api/drift_report"])
def test_operations_need_the_scope_and_each_use_is_on_record(stack: Stack, path: str) -> None:
    allowed, other = stack.key("operate"), stack.key("predict", "batch", "feedback")
    assert stack.get(path, STRANGER).status == 401
    assert stack.get(path, STRANGER, other).status == 403
    answer = stack.get(path, STRANGER, allowed)
    assert answer.status == 200
    lines = [line for line in stack.service.log().splitlines() if "operation_used" in line and path in line]
    assert any(f"key {allowed.split('_')[1]}" in line and "status=200" in line for line in lines)
    assert any(f"key {other.split('_')[1]}" in line and "status=403" in line for line in lines)
    assert stack.get(path, "127.0.0.1").status == 200


def test_an_invalid_key_is_refused_where_none_is_needed(stack: Stack) -> None:
    key = stack.key("predict")
    key_id, tag, secret = key.split("_")[1:]
    flipped = f"hp_{key_id}_{tag}_{secret[:-1]}{'0' if secret[-1] != '0' else '1'}"
    for wrong in (new_key(key_id), flipped, key[:-1], "nonsense", f"{key}, Bearer {key}", key.upper()):
        answer = stack.predict(wrong)
        assert answer.status == 401, wrong
        assert "invalid_token" in answer.headers["WWW-Authenticate"]
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert wrong not in answer.body.decode()


def test_two_headers_with_keys_are_refused(stack: Stack) -> None:
    key = stack.key("predict")
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\n"
    both = f"Authorization: Bearer {key}\r\n" * 2
    asked = f"{head}{both}Content-Length: {len(HOME)}\r\n\r\n{HOME}".encode()
    assert status_of(send(f"127.0.0.1:{stack.port}", asked)) in (400, 401)
    assert status_of(send(f"127.0.0.1:{stack.service.port}", asked)) == 401


def test_a_key_in_the_address_is_refused_and_in_no_file(stack: Stack) -> None:
    key = stack.key(*SCOPES)
    for path in (f"{PREDICT}?api_key={key}", f"{PREDICT}?{key}"):
        answer = stack.ask("POST", path, HOME, STRANGER, None)
        assert (answer.status, "rotate this one" in answer.json()["error"]) == (400, True)
    assert stack.get(f"/api/{key}", STRANGER).status == 404
    assert stack.get("/api/logs/tail", STRANGER, key).status == 200
    for wrong in (key + "x", f"{key},{key}"):
        assert stack.predict(wrong).status == 401
    secret = key.rsplit("_", 1)[1]
    eventually(lambda: "(an API key)" in (stack.nginx.folder / "access.log").read_text())
    assert [path for path, text in stack.written().items() if secret in text] == []


@pytest.mark.parametrize("size", [9_000, 100_000])
def test_a_header_of_any_size_is_refused_quickly(stack: Stack, size: int) -> None:
    head = (
        f"POST {PREDICT} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Bearer {'x' * size}\r\n\r\n"
    )
    for port in (stack.port, stack.service.port):
        assert 400 <= status_of(send(f"127.0.0.1:{port}", head.encode())) < 500
    assert stack.predict().status == 200


def test_a_path_of_9000_characters_is_414(stack: Stack) -> None:
    for path in (f"/{'x' * 9_000}", f"{PREDICT}?{'x' * 9_000}", f"/api/{'%20' * 3_000}"):
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode()
        answer, _, body = send(f"127.0.0.1:{stack.port}", head).partition(b"\r\n\r\n")
        assert (status_of(answer), json.loads(body)["status"]) == (414, 414)
        assert 400 <= status_of(send(f"127.0.0.1:{stack.service.port}", head)) < 500


def test_a_quota_ends_in_429_that_names_the_key(stack: Stack) -> None:
    key = stack.create("predict", quota="20/m")
    replies = [stack.predict(key, f"203.0.113.{n}") for n in range(25)]
    limited = [reply for reply in replies if reply.status == 429]
    assert limited
    assert limited[-1].json()["error"] == (
        f"Too many requests with API key {key.split('_')[1]}: its quota is 20/m; slow down"
    )
    assert limited[-1].headers["Retry-After"] == "3"
    assert stack.predict(stack.key("predict")).status == 200


def test_after_a_rotation_both_texts_work_and_then_only_the_new_one(stack: Stack) -> None:
    first = stack.create("batch")
    key_id = first.split("_")[1]
    second = stack.command("rotate", key_id, "--overlap", "1d")
    eventually(lambda: stack.batch(second).status == 200)
    assert stack.batch(first).status == 200
    third = stack.command("rotate", key_id, "--overlap", "0s")
    eventually(lambda: stack.batch(third).status == 200)
    assert {stack.batch(one).status for one in (first, second)} == {401}


def test_a_revoked_key_ends_everywhere(stack: Stack) -> None:
    key = stack.create("predict", "batch")
    began = time.monotonic()
    stack.command("revoke", key.split("_")[1])
    eventually(lambda: stack.predict(key).status == 401)
    eventually(lambda: (routed := stack.routed()) and key.split("_")[2] not in routed)
    print(f"revoked everywhere after {time.monotonic() - began:.1f} s")
    assert stack.batch(key).status == 401
    direct = http.client.HTTPConnection("127.0.0.1", stack.service.port, timeout=20)
    direct.request("POST", PREDICT, HOME, {"Content-Type": "application/json", "Authorization": f"Bearer {key}"})
    answer = direct.getresponse()
    assert (answer.status, json.loads(answer.read())["error"]) == (401, "this API key was revoked")
    direct.close()


def test_an_expired_key_is_refused_and_says_so(stack: Stack) -> None:
    past: Callable[[], datetime] = lambda: datetime.now(UTC) - timedelta(days=1)  # noqa: E731
    old = key_ring.create(stack.bucket, ["predict"], "1000/s", timedelta(hours=1), "person:me", clock=past)
    stack.create("predict")  # the ring with both is everywhere now
    answer = stack.predict(old.text)
    assert (answer.status, answer.json()["error"]) == (401, "this API key has expired")


def test_keys_work_while_postgresql_is_away(stack: Stack) -> None:
    key = stack.key("predict", "batch", "operate")
    with stack.postgres.suffering(Fault(reset=True)):
        eventually(lambda: stack.service.health()["database"] == "down")
        made = stack.create("predict", "batch")
        for one in (key, made):
            assert (stack.predict(one).status, stack.batch(one).status) == (200, 200)
        assert stack.get("/api/logs/tail", STRANGER, key).status == 200
        stack.command("revoke", made.split("_")[1])
        eventually(lambda: stack.predict(made).status == 401)


def test_keys_work_while_the_bucket_is_away_also_after_a_restart(stack: Stack) -> None:
    key = stack.create("predict", "batch")
    with stack.s3.suffering(Fault(reset=True)):
        assert (stack.predict(key).status, stack.batch(key).status) == (200, 200)
        stack.service.stop()
        stack.service.start()
        stack.stop_router()
        stack.start_router()
        eventually(lambda: stack.service.serves("BO1"))
        assert (stack.predict(key).status, stack.batch(key).status) == (200, 200)
        assert (stack.batch(new_key(key.split("_")[1])).status, stack.batch().status) == (401, 401)
    stack.command("revoke", key.split("_")[1])
    eventually(lambda: stack.predict(key).status == 401)


def test_visitors_and_keys_and_what_they_see(stack: Stack) -> None:
    key = stack.key("predict")
    with_key, visitor = stack.predict(key), stack.predict()
    assert (with_key.json()["model_version"], with_key.headers["X-Model-Version"]) == ("BO1", "BO1")
    assert not {"model_version", "variant"} & visitor.json().keys()
    assert not {"X-Variant", "X-Model-Version", "X-Key-Id"} & visitor.headers.keys()
    assert "X-Key-Id" not in with_key.headers


def test_use_is_listed_and_counted(stack: Stack) -> None:
    key = stack.create("operate", quota="1000/s")
    key_id = key.split("_")[1]
    for _ in range(3):
        assert stack.get("/api/logs/tail", STRANGER, key).status == 200
    connection = http.client.HTTPConnection("127.0.0.1", int(stack.variables["HOMEPRICES_ROUTER_METRICS_PORT"]))

    def counted() -> bool:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        return (
            f'router_key_requests_total{{key="{key_id}",outcome="allowed"}}' in text
            and f'router_key_last_used_timestamp_seconds{{key="{key_id}"}}' in text
        )

    eventually(counted)
    connection.close()

    stack.stop_router()  # which uploads the counts; a running one does so once a minute
    rows: list[dict[str, Any]] = json.loads(stack.command("list", "--json"))
    stack.start_router()
    [row] = [row for row in rows if row["id"] == key_id]
    assert (row["operations"], bool(row["last_used"]), bool(row["last_operation"])) == (3, True, True)
    assert row["allowed"] >= 3


def test_required_keys_close_the_form_to_strangers_only(stack: Stack, tmp_path: Path) -> None:
    key = stack.key("predict", "feedback")
    service = Instance(tmp_path / "required", {**stack.service.variables, "HOMEPRICES_API_KEYS": "required"})
    service.start()
    try:
        eventually(lambda: service.serves("BO1"))

        def ask(path: str, address: str, key: str | None = None) -> int:
            connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
            headers = {"Content-Type": "application/json", "X-Forwarded-For": address}
            connection.request(
                "POST" if path == PREDICT else "GET",
                path,
                HOME if path == PREDICT else None,
                headers | ({"Authorization": f"Bearer {key}"} if key else {}),
            )
            answer = connection.getresponse()
            answer.read()
            connection.close()
            return answer.status

        paths = (PREDICT, "/api/get_location_names")
        assert [ask(path, STRANGER) for path in paths] == [401, 401]
        assert [ask(path, "127.0.0.1") for path in paths] == [200, 200], "the form in a trusted network"
        assert [ask(path, STRANGER, key) for path in paths] == [200, 200]
        assert ask("/api/health", STRANGER) == 200
    finally:
        service.stop()


def test_the_command_runs_as_a_program(stack: Stack) -> None:
    words = [sys.executable, "-m", "homeprices", "keys"]
    done = subprocess.run(
        [*words, "create", "--scope", "predict", "--expires", "1h"],
        env={**stack.variables, "PATH": os.environ["PATH"]},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.startswith("hp_")
    assert "shown only once" in done.stderr
    assert done.stdout.strip() not in done.stderr
    wrong = subprocess.run(
        [*words, "revoke", "nothing"], env=stack.variables, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (wrong.returncode, wrong.stderr.startswith("keys: there is no key nothing")) == (1, True)
