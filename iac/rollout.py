"""Deploy a release to the host, check it through the router, and roll back automatically if the check fails.

    python -m iac.rollout host --instance ID --bucket NAME --revision REVISION --url https://DOMAIN
    python -m iac.rollout check --url https://DOMAIN

`host` exits with 0 if the new release serves, with 1 after a successful rollback, and with 2 if neither release serves.
`check` is only the check: for Kubernetes, where `kubectl rollout undo` rolls back.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import boto3
import httpx
from botocore.config import Config
from botocore.exceptions import ClientError

from homeprices.names import PREDICT_PATH
from homeprices.pricing.inputs import INPUTS

CURRENT = "deploy/current"
HOME = {field.name: field.example for field in INPUTS if field.required}
ANSWERS_IN_A_ROW = 20
"""Enough requests to reach every replica, including one that fails."""

PATIENCE_SECONDS = 300.0
COMMAND_SECONDS = 1_200.0
STEP_SECONDS = 2.0
TIMEOUTS = Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 3, "mode": "standard"})

Sleep = Callable[[float], None]


class RolloutFailed(Exception):
    """A release does not serve. The message has the last error."""


def check(client: httpx.Client, *, clock: Callable[[], float] = time.monotonic, sleep: Sleep = time.sleep) -> str:
    """Return the served model version after ANSWERS_IN_A_ROW correct health checks and estimates through the router.

    Raises RolloutFailed after PATIENCE_SECONDS.
    """
    deadline = clock() + PATIENCE_SECONDS
    in_a_row, version = 0, ""
    while in_a_row < ANSWERS_IN_A_ROW:
        try:
            version, in_a_row = _ask(client), in_a_row + 1
        except (httpx.HTTPError, RolloutFailed, ValueError) as error:
            if clock() >= deadline:
                raise RolloutFailed(f"after {PATIENCE_SECONDS:g} s: {error}") from error
            in_a_row = 0
            sleep(STEP_SECONDS)
    return version


def _ask(client: httpx.Client) -> str:
    health = client.get("/api/health")
    if health.status_code != httpx.codes.OK:
        raise RolloutFailed(f"/api/health answers {health.status_code}")
    answer = client.post(PREDICT_PATH, json=HOME)
    if answer.status_code != httpx.codes.OK or not answer.json().get("estimated_price", 0) > 0:
        raise RolloutFailed(f"{PREDICT_PATH} answers {answer.status_code}: {answer.text[:200]}")
    return str(health.json().get("model_version") or "a model")  # trusted networks alone see which


class Host:
    """The instance, controlled through Session Manager; the bucket records which release it runs."""

    def __init__(self, ssm: Any, s3: Any, instance: str, bucket: str, *, sleep: Sleep = time.sleep) -> None:
        self._ssm, self._s3, self._instance, self._bucket, self._sleep = ssm, s3, instance, bucket, sleep

    def current(self) -> str | None:
        """Return the current revision; None before the first release."""
        try:
            body = self._s3.get_object(Bucket=self._bucket, Key=CURRENT)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] in {
                "NoSuchKey",
                "404",
                "AccessDenied",
            }:  # without the right to list, a missing key is AccessDenied
                return None
            raise
        return str(body.decode().strip())

    def note(self, revision: str) -> None:
        """Record the current revision."""
        self._s3.put_object(Bucket=self._bucket, Key=CURRENT, Body=revision.encode())

    def run(self, revision: str) -> None:
        """Install and start a release. Raises RolloutFailed with the end of the host's error output."""
        sent = self._ssm.send_command(
            InstanceIds=[self._instance],
            DocumentName="AWS-RunShellScript",
            Parameters={"commands": [f"/usr/local/bin/homeprices-release {revision}"]},
            TimeoutSeconds=600,
        )
        command = sent["Command"]["CommandId"]
        for _ in range(int(COMMAND_SECONDS / STEP_SECONDS)):
            self._sleep(STEP_SECONDS)
            try:
                result = self._ssm.get_command_invocation(CommandId=command, InstanceId=self._instance)
            except self._ssm.exceptions.InvocationDoesNotExist:  # not registered yet
                continue
            if result["Status"] == "Success":
                return
            if result["Status"] not in {"Pending", "InProgress", "Delayed"}:
                raise RolloutFailed(
                    f"{revision} on {self._instance}: {result['Status']}: {result['StandardErrorContent'][-500:]}"
                )
        raise RolloutFailed(f"{revision} on {self._instance} was not done within {COMMAND_SECONDS:g} s")


def roll_out(host: Host, revision: str, check_release: Callable[[], str]) -> int:
    """Install a release and check it; roll back to the previous one if the check fails. Return the exit status."""
    before = host.current()
    try:
        host.run(revision)
        print(f"{revision} serves {check_release()}")
    except RolloutFailed as failure:
        print(f"rollout: {revision} does not serve: {failure}", file=sys.stderr)
        if before is None or before == revision:
            print("rollout: there is no previous release to roll back to", file=sys.stderr)
            return 2
        try:
            host.run(before)
            print(f"rollout: rolled back to {before}, which serves {check_release()}", file=sys.stderr)
        except RolloutFailed as again:
            print(f"rollout: {before} does not serve either: {again}", file=sys.stderr)
            return 2
        return 1
    host.note(revision)
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m iac.rollout", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=["host", "check"])
    parser.add_argument("--url", required=True)
    for name in ("--instance", "--bucket", "--revision"):
        parser.add_argument(name)
    chosen = parser.parse_args(arguments)
    with httpx.Client(base_url=chosen.url, timeout=10, trust_env=False) as client:
        if chosen.what == "check":
            try:
                print(f"serves {check(client)}")
            except RolloutFailed as failure:
                print(f"rollout: {failure}", file=sys.stderr)
                return 1
            return 0
        if not (chosen.instance and chosen.bucket and chosen.revision):
            parser.error("host needs --instance, --bucket and --revision")
        session = boto3.session.Session()
        ssm, s3 = (session.client(service, config=TIMEOUTS) for service in ("ssm", "s3"))
        return roll_out(Host(ssm, s3, chosen.instance, chosen.bucket), chosen.revision, lambda: check(client))


if __name__ == "__main__":
    raise SystemExit(main())
