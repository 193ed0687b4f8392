"""Fill the application's secret: `python -m iac.seed_secrets ARN`. Existing values stay; missing ones are generated.

Values go directly to Secrets Manager, and never to a state file, output or log.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

import boto3
from botocore.config import Config

from compose.make_env import S3_KEYS, SECRETS, password

TIMEOUTS = Config(connect_timeout=5, read_timeout=20, retries={"total_max_attempts": 3, "mode": "standard"})
NOT_OURS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", *S3_KEYS, "POSTGRES_SUPERUSER_PASSWORD")
"""Not needed on AWS: roles replace keys, and RDS generates its master password."""

WANTED: dict[str, Callable[[], str]] = {
    **{name: make for name, make in SECRETS.items() if name not in NOT_OURS},
    "HOMEPRICES_AIRFLOW_PASSWORD": password,
}


def completed(held: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the secret with every name of WANTED, and the names that were generated now."""
    made = sorted(name for name in WANTED if not held.get(name))
    return {**held, **{name: WANTED[name]() for name in made}}, made


def seed(client: Any, arn: str) -> list[str]:
    """Complete the secret `arn`; return the names that were missing."""
    try:
        held = json.loads(client.get_secret_value(SecretId=arn)["SecretString"])
    except client.exceptions.ResourceNotFoundException:  # the secret exists but has no value yet
        held = {}
    values, made = completed(held)
    if made:
        client.put_secret_value(SecretId=arn, SecretString=json.dumps(values))
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m iac.seed_secrets", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("arn", help="output `application_secret` of the stack")
    arn = parser.parse_args(arguments).arn
    client = boto3.session.Session().client("secretsmanager", region_name=arn.split(":")[3], config=TIMEOUTS)
    made = seed(client, arn)
    print(f"generated {', '.join(made)}" if made else "every secret was set", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
