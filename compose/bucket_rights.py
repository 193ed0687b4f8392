"""What each service may do in the bucket: one table for SeaweedFS's identities and for the IAM policies of `iac`.

`python -m compose.bucket_rights` writes `identities.json`, which the SeaweedFS container fills with bucket and keys;
`--check` fails when it is stale. Imports only the standard library.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Statement = dict[str, Any]
Document = dict[str, Any]

READ, WRITE, DELETE = "s3:GetObject", "s3:PutObject", "s3:DeleteObject"
MULTIPART = "s3:AbortMultipartUpload"
KEY_RING = "keys/ring.json"
OWNER = "owner"
"""The identity that creates the bucket and makes backups. No service has it."""


@dataclass(frozen=True)
class Grant:
    """Actions on the objects whose keys start with one of the prefixes."""

    sid: str
    actions: tuple[str, ...]
    prefixes: tuple[str, ...]


@dataclass(frozen=True)
class Rights:
    """What one service may do with objects, and the prefixes that it may list."""

    grants: tuple[Grant, ...]
    listed: tuple[str, ...]


_KEPT = ("data/raw/", "claims/", "control/", "reports/", "notices/", "airflow-logs/")
_MOVED = ("staging/", "models/", "archive/", "batch/", "features/")
HOLDS = ("control/hold.json", "control/shadow-hold.json")
_OBSERVED = ("models/", "archive/", "control/", "data/raw/", "reports/")

RIGHTS: Mapping[str, Rights] = {
    # Both inference services: read bundles, place prices and the ring of API keys; see which versions are claimed,
    # because others are copies made by hand.
    "inference": Rights(
        (Grant("ReadBundles", (READ,), ("models/", "features/")), Grant("ReadKeys", (READ,), (KEY_RING,))),
        ("models/", "features/", "claims/", KEY_RING),
    ),
    # Router agent: read the control record, set a failing candidate's share to zero, read the ring of API keys, and
    # write counts of traffic and of the keys' use.
    "router": Rights(
        (
            Grant("ControlRecord", (READ, WRITE), ("control/experiment.json",)),
            Grant("ReadKeys", (READ,), (KEY_RING,)),
            Grant("Traffic", (WRITE,), ("traffic/", "keys/usage/")),
        ),
        ("control/experiment.json", KEY_RING),
    ),
    # MLflow server: read and write artifacts of runs; read the bundles of model versions.
    "mlflow": Rights(
        (
            Grant("Artefacts", (READ, WRITE, DELETE, MULTIPART), ("mlflow/",)),
            Grant("ReadBundles", (READ,), ("models/",)),
        ),
        ("mlflow/", "models/"),
    ),
    # Exporter: read bundles (also archived ones), the control folder, datasets, reports and the ring of API keys; see
    # claims.
    "exporter": Rights(
        (Grant("Observe", (READ,), _OBSERVED), Grant("ReadKeys", (READ,), (KEY_RING,))),
        (*_OBSERVED, "claims/", KEY_RING),
    ),
    # Airflow tasks: train, publish, promote, archive, score, and lift holds. They may not delete datasets and claims.
    "pipeline": Rights(
        (
            Grant("ReadAndWrite", (READ, WRITE, MULTIPART), (*_KEPT, *_MOVED)),
            Grant("Traffic", (READ,), ("traffic/",)),
            Grant("ReadBatchSources", (READ,), ("data/batch/",)),
            Grant("Replace", (DELETE,), (*_MOVED, *HOLDS)),
        ),
        (*_KEPT, *_MOVED, "traffic/", "data/batch/"),
    ),
    # Airflow's servers: the API server reads task logs; DAG processor and triggerer write theirs.
    "airflow": Rights((Grant("Logs", (READ, WRITE), ("airflow-logs/",)),), ("airflow-logs/",)),
}


# The person who runs `homeprices keys`: change the ring of API keys, and read their use. No service may.
KEY_ADMINISTRATOR = Rights(
    (Grant("ChangeKeys", (READ, WRITE), (KEY_RING,)), Grant("ReadUse", (READ,), ("keys/usage/",))), ("keys/",)
)


def document(service: str, bucket: str) -> Document:
    """Return the IAM policy of a service for a bucket. Raises KeyError for an unknown service."""
    return policy(RIGHTS[service], bucket)


def policy(rights: Rights, bucket: str) -> Document:
    """Return the IAM policy of these rights in a bucket."""
    objects = [
        {
            "Sid": grant.sid,
            "Effect": "Allow",
            "Action": list(grant.actions),
            "Resource": [f"arn:aws:s3:::{bucket}/{prefix}*" for prefix in grant.prefixes],
        }
        for grant in rights.grants
    ]
    listing = {
        "Sid": "List",
        "Effect": "Allow",
        "Action": ["s3:ListBucket"],
        "Resource": [f"arn:aws:s3:::{bucket}"],
        "Condition": {"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in rights.listed]}},
    }
    return {"Version": "2012-10-17", "Statement": [*objects, listing]}


def identities(bucket: str, keys: Mapping[str, tuple[str, str]]) -> Document:
    """Return SeaweedFS's identities for a bucket. `keys`: access key and secret key of OWNER and of services."""
    return {
        "identities": [
            {
                "name": name,
                "credentials": [{"accessKey": access, "secretKey": secret}],
                **({"actions": ["Admin"]} if name == OWNER else {"policyNames": [name]}),
            }
            for name, (access, secret) in keys.items()
        ],
        "policies": [
            {"name": name, "content": json.dumps(document(name, bucket), separators=(",", ":"))}
            for name in keys
            if name != OWNER
        ],
    }


FILE = Path(__file__).parent / "identities.json"


def variables(service: str) -> tuple[str, str]:
    """Return the names of the variables that hold access key and secret key of a service, or of OWNER, in `.env`."""
    if service == OWNER:
        return "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
    return f"{service.upper()}_S3_ACCESS_KEY", f"{service.upper()}_S3_SECRET_KEY"


def template() -> str:
    """Return the text of `identities.json`: each bucket and key is the name of its variable between two @."""
    named = {name: (f"@{access}@", f"@{secret}@") for name in (OWNER, *RIGHTS) for access, secret in [variables(name)]}
    return json.dumps(identities("@MLFLOW_S3_BUCKET@", named), indent=1) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Write the file, or with `--check` return 1 when it is stale."""
    parser = argparse.ArgumentParser(prog="python -m compose.bucket_rights")
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 when the file is stale")
    if not parser.parse_args(arguments).check:
        FILE.write_text(template())
    elif not FILE.exists() or FILE.read_text() != template():
        print("compose/identities.json is stale: run `make aws-files` and commit it", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
