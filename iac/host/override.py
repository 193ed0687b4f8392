"""Generator of the compose overrides for AWS: RDS replaces PostgreSQL, S3 SeaweedFS, and a role the keys.

`python -m iac.host.override` writes them from the compose files; `--check` fails when one is stale.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent.parent
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
HERE_NO_MORE = {"postgres", "seaweedfs"}
HOST = "${DATABASE_HOST:?is not set}"
PREFLIGHT = "preflight"
HEAD = "# Made by `make aws-files` from the compose files; change iac/host/override.py instead.\n"
FILES = {
    "docker-compose.aws.yml": ("docker-compose.yaml", "docker-compose.ab.yml"),
    "docker-compose.monitoring.aws.yml": ("monitoring/docker-compose.monitoring.yml",),
}


def override(composed: list[dict[str, Any]]) -> str:
    """Return the text of the override for parsed compose files."""
    lines = [HEAD.rstrip(), "services:"]
    for file in composed:
        for name, service in file["services"].items():
            body = _removed() if name in HERE_NO_MORE else _changes(name, service)
            lines += [f"  {name}:{body[0]}", *body[1:]] if body else []
    return "\n".join(lines) + "\n"


def rds_roles(sql: str) -> str:
    """Return the SQL of the roles for RDS, whose master is no superuser and may not even use `nosuperuser`.

    The master does not own template1 either. From PostgreSQL 16 on, the creator of a role must grant it to itself
    before it can make it the owner of a database.
    """
    head = "-- Made by `make aws-files` from compose/databases.sql; change iac/host/override.py instead.\n"
    may_act = "set createrole_self_grant = 'set, inherit';\n"
    return head + may_act + sql.replace(" nosuperuser", "").replace(", template1 from", " from")


def _removed() -> list[str]:
    return [" !reset null"]


def _changes(name: str, service: dict[str, Any]) -> list[str]:
    environment = _environment(name, service.get("environment", {}))
    waits = service.get("depends_on", {})
    lines = ["", *(["    environment:"] if environment else []), *environment]
    if HERE_NO_MORE & waits.keys():
        rest = {other: how for other, how in waits.items() if other not in HERE_NO_MORE}
        if name == "databases":  # it depended on PostgreSQL, which depended on preflight
            rest[PREFLIGHT] = {"condition": "service_completed_successfully"}
        lines.append(f"    depends_on: !override {json.dumps(rest)}")
    if name == "databases":
        lines.append('    volumes: ["./iac/host/databases.rds.sql:/databases.sql:ro"]')
    return lines if len(lines) > 1 else []


def _environment(name: str, environment: dict[str, str]) -> list[str]:
    if name == PREFLIGHT:  # it checks the variables and does not use them
        return []
    lines = [f"      {key}: !reset null" for key in KEYS if key in environment]
    changed: dict[str, str] = {}
    for key, value in environment.items():
        if key == "AWS_EC2_METADATA_DISABLED":
            changed[key] = "false"
        elif key in {"POSTGRES_HOST", "PGHOST"}:
            changed[key] = HOST
        elif "@postgres/" in str(value):
            changed[key] = str(value).replace("@postgres/", f"@{HOST}/")
        elif key == "DATA_SOURCE_URI":
            changed[key] = f"{HOST}:5432/postgres?sslmode=require"
    return lines + [f"      {key}: {json.dumps(value)}" for key, value in changed.items()]


def texts() -> dict[str, str]:
    """Return the text of every generated file by its name."""
    read = {
        name: override([yaml.safe_load((ROOT / file).read_text()) for file in files]) for name, files in FILES.items()
    }
    return {**read, "databases.rds.sql": rds_roles((ROOT / "compose/databases.sql").read_text())}


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or with `--check` print those that are stale and return 1."""
    parser = argparse.ArgumentParser(prog="python -m iac.host.override", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 when a file is stale")
    check = parser.parse_args(arguments).check
    stale = [name for name, text in texts().items() if not _is(FOLDER / name, text)]
    if not check:
        for name in stale:
            (FOLDER / name).write_text(texts()[name])
        return 0
    for name in stale:
        print(f"iac/host/{name} is stale: run `make aws-files` and commit it", file=sys.stderr)
    return 1 if stale else 0


def _is(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


if __name__ == "__main__":
    raise SystemExit(main())
