"""The answers to the 500 requests of `http_requests`, of the service as it runs in production: recorded and compared.

    python -m tests.contract.http_recording --renew

writes `recorded/http.ndjson` again. An answer may change only on purpose: look at the difference before committing it.
The instances serve the bundle of the folder `bundle`, which `tests.support.bundles.make_bundle` wrote once.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3

from tests.contract.http_requests import GIVEN, Request, requests
from tests.integration.inference.instance import ROOT, Instance, eventually, running
from tests.support.servers import Servers, clean_environment

HERE = Path(__file__).parent
RECORDED = HERE / "recorded/http.ndjson"
BUNDLE = HERE / "bundle"
TRUSTED, STRANGER = "127.0.0.1", "127.0.0.2"
NOBODY_LISTENS = "1"

Answer = dict[str, Any]
Ask = Callable[[Request], Answer]

# What varies by nature, by the name of the JSON member (or CSV column); null stays null. The last digits of
# `mean_estimate` depend on how the drain groups the rows that it adds up.
VARYING = ("prediction_id", "id", "response_time_ms", "milliseconds", "mean_milliseconds", "p95_milliseconds", "pid",
           "ts", "time", "timestamp", "since", "until", "spool_records", "mean_estimate",
           *(f"{name}_milliseconds" for name in ("p99", "min", "max")),
           *(f"{name}_latency_ms" for name in ("avg", "p95", "p99", "min", "max")),
           "cpu_percent", "memory_percent", "memory_available_gb", "disk_percent", "disk_free_gb")  # fmt: skip
_MEMBER = re.compile(rf'("(?:{"|".join(VARYING)})": ?)(-?[0-9][0-9.eE+-]*|"[^"]*")')
_REQUEST_ID = re.compile(r'("request_id": ?)"[0-9a-f]{32}"')  # one that the service made; others are shown
_CSV_ID = re.compile(r"^([^,\n]+,[^,\n]+,[^,\n]+,)[0-9]+,", re.MULTILINE)  # the column `prediction_id`
_TAIL = re.compile(r'("lines": ?)\[.*\]', re.DOTALL)  # the log of the instance itself
_DROPPED_HEADERS = ("date", "server", "content-length")
BODY_ELSEWHERE = ("/api/openapi.json", "/api/docs")  # the document may grow, as another test has it; the page follows
_SAMPLE = re.compile(r"^[a-z_]+\{[^}]*\}", re.MULTILINE)


def record(servers: Servers, folder: Path) -> list[Answer]:
    """The answers of fresh instances to all requests, in order."""
    with instances(servers, folder) as ports:
        ask = asking(ports)
        return [ask(request) for request in requests()]


def read() -> list[Answer]:
    """The recorded answers."""
    return [json.loads(line) for line in RECORDED.read_text(encoding="utf-8").splitlines()]


def write(answers: Sequence[Answer]) -> None:
    """Record these answers."""
    lines = (json.dumps(answer, ensure_ascii=False, sort_keys=True) + "\n" for answer in answers)
    RECORDED.write_text("".join(lines), encoding="utf-8")


@contextmanager
def instances(servers: Servers, folder: Path) -> Iterator[dict[str, Instance]]:
    """Three instances under gunicorn with one worker each.

    `production` serves BO1; `candidate` has no candidate to serve, and an allowed origin; `alone` serves BO1 because
    its BO2 is damaged, and its database does not answer.
    """
    database = urlsplit(servers.postgres("recording"))
    variables = {
        "POSTGRES_HOST": str(database.hostname),
        "POSTGRES_PORT": str(database.port),
        "POSTGRES_USER": str(database.username),
        "POSTGRES_PASSWORD": str(database.password),
        "POSTGRES_DB": database.path[1:],
        "HOMEPRICES_VISITOR_KEY": "a key of the tests",
        "TRUSTED_NETWORKS": f"{TRUSTED}/32",
        "WEB_CONCURRENCY": "1",
        **servers.s3("recording"),
    }
    alone = {**servers.s3("recording-alone"), "HOMEPRICES_INSTANCE": "alone", "POSTGRES_PORT": NOBODY_LISTENS}
    candidate = {"MODEL_PREFIX": "candidate_model", "HOMEPRICES_INSTANCE": "infer-cand",
                 "HOMEPRICES_CORS_ORIGINS": "https://shop.example"}  # fmt: skip
    upgrade = [sys.executable, "-m", "homeprices.database", "upgrade"]
    subprocess.run(upgrade, cwd=ROOT, env={**clean_environment(), **variables}, check=True, capture_output=True)
    for version, bucket in (("BO1", variables), ("BO1", alone), ("BO2", alone)):
        _publish(bucket, version)
    with ExitStack() as stack:
        started = {
            name: stack.enter_context(running(Instance(folder / name, {**variables, **more})))
            for name, more in (("production", {}), ("candidate", candidate), ("alone", alone))
        }
        production = started["production"]
        eventually(lambda: production.health()["state"] == "ok", "BO1 served")
        eventually(lambda: production.health()["database"] == "up", "ids reserved")
        eventually(lambda: started["candidate"].health()["state"] == "idle", "no candidate found")
        eventually(lambda: started["candidate"].health()["database"] == "up", "its database known")
        eventually(lambda: started["alone"].health()["refused_version"] == "BO2", "BO2 refused")
        eventually(lambda: started["alone"].health()["model_version"] == "BO1", "BO1 served in its place")
        eventually(lambda: started["alone"].health()["database"] == "down", "its database missed")
        yield started


def _publish(bucket: dict[str, str], version: str) -> None:
    """Put the bundle into the bucket under a version; BO2 with a model of another content than its digest says."""
    client = boto3.client("s3", endpoint_url=bucket["AWS_ENDPOINT_URL_S3"], region_name=bucket["AWS_DEFAULT_REGION"],
                          aws_access_key_id=bucket["AWS_ACCESS_KEY_ID"],
                          aws_secret_access_key=bucket["AWS_SECRET_ACCESS_KEY"])  # fmt: skip
    files = [path for path in BUNDLE.rglob("*") if path.is_file()]
    for path in sorted(files, key=lambda path: path.name == "manifest.json"):
        body, name = path.read_bytes(), path.relative_to(BUNDLE).as_posix()
        if name == "manifest.json":
            body = body.replace(b'"BO1"', f'"{version}"'.encode())
        if name == "model.onnx" and version == "BO2":
            body = body[::-1]
        key = f"models/price_check_{version}/{name}"
        client.put_object(Bucket=bucket["MLFLOW_S3_BUCKET"], Key=key, Body=body)


def asking(started: dict[str, Instance]) -> Ask:
    """What sends a request and returns its answer with all that varies replaced."""
    given = ["0"]

    def ask(request: Request) -> Answer:
        instance = started[request.to]
        if request.settled:
            eventually(lambda: instance.health()["spool_records"] == 0, "everything stored")
        body = request.body.replace(f'"{GIVEN}"'.encode(), given[0].encode())
        body = body.replace(GIVEN.replace("$", "%24").encode(), given[0].encode())
        address = (TRUSTED if request.trusted else STRANGER, 0)
        connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=30, source_address=address)
        connection.request(request.method, request.path, body or None, {"Host": "homeprices.test", **request.headers})
        response = connection.getresponse()
        content = response.read()
        headers = [(name.lower(), value) for name, value in response.getheaders()]
        status = response.status
        connection.close()
        if request.method != "HEAD":
            assert str(len(content)) == dict(headers)["content-length"], request
        if found := re.search(rb'"prediction_id": ?([0-9]+)', content) if request.to == "production" else None:
            given[0] = found[1].decode()
        text = content.decode()
        return {
            "request": f"{request.method} {request.path} to {request.to}{'' if request.trusted else ' by a stranger'}",
            "status": status,
            "headers": {name: _header(name, value) for name, value in headers if name not in _DROPPED_HEADERS},
            "body": _body(request.path, text) if status == 200 else normalised(text),
        }

    return ask


def same(before: Answer, now: Answer) -> bool:
    """Whether an answer is the recorded one. Metrics may be more."""
    metrics = before["request"].startswith("GET /metrics") and before["status"] == 200
    if metrics and {*before["body"]} <= {*now["body"]}:
        return before | {"body": None} == now | {"body": None}
    return before == now


def _body(path: str, text: str) -> str | list[str] | None:
    if path == "/metrics":
        return sorted({line for line in _SAMPLE.findall(text) if 'le="' not in line})
    return None if path in BODY_ELSEWHERE else normalised(text)


def normalised(text: str) -> str:
    """The body with `*` for what varies by nature."""
    text = _REQUEST_ID.sub(r'\1"*"', _TAIL.sub(r'\1"*"', text))
    return _CSV_ID.sub(r"\1*,", _MEMBER.sub(r'\1"*"', text))


def _header(name: str, value: str) -> str:
    if name == "allow":  # a set, in no order
        return ", ".join(sorted(value.split(", ")))
    return "*" if name == "x-request-id" and re.fullmatch("[0-9a-f]{32}", value) else value


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.contract.http_recording", description=__doc__)
    parser.add_argument("--renew", action="store_true", required=True, help="write recorded/http.ndjson again")
    parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        servers = Servers(Path(folder))
        try:
            write(record(servers, Path(folder)))
        finally:
            servers.close()


if __name__ == "__main__":
    main()
