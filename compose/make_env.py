"""Write `.env` with generated secrets: `make env`. Existing values stay; only missing ones are generated.

A new `.env` starts as a copy of `.env.example`. Airflow's password is `airflow` while every port is bound to this
machine (BIND_ADDRESS), and generated otherwise. Imports only the standard library.
"""

from __future__ import annotations

import argparse
import base64
import os
import re
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

from compose.bucket_rights import RIGHTS, variables

PLACEHOLDER = re.compile(r"^$|change.?me|placeholder|^<.*>$|^your", re.IGNORECASE)
KNOWN_PASSWORD = "airflow"  # noqa: S105  (published; replaced where other machines can reach Airflow)
ASSIGNMENT = re.compile(r"^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$")


def password() -> str:
    """Return 128 random bits that need no quoting in a URL, a shell or YAML."""
    return secrets.token_hex(16)


def fernet_key() -> str:
    """Return 32 random bytes in Fernet's encoding."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


S3_KEYS = tuple(variable for service in RIGHTS for variable in variables(service))
"""The key of each service to SeaweedFS. Another S3 server knows only its own."""

SECRETS: dict[str, Callable[[], str]] = {
    "POSTGRES_SUPERUSER_PASSWORD": password,
    "POSTGRES_PASSWORD": password,
    "AIRFLOW_DATABASE_PASSWORD": password,
    "MLFLOW_DATABASE_PASSWORD": password,
    "MONITORING_DATABASE_PASSWORD": password,
    "AWS_ACCESS_KEY_ID": password,
    "AWS_SECRET_ACCESS_KEY": password,
    **dict.fromkeys(S3_KEYS, password),
    "HOMEPRICES_VISITOR_KEY": password,
    "AIRFLOW_FERNET_KEY": fernet_key,
    "AIRFLOW_JWT_SECRET": password,
    "AIRFLOW_API_SECRET_KEY": password,
    "AIRFLOW_SERVICE_PASSWORD": password,
    "REDIS_PASSWORD": password,
    "MLFLOW_TRACKING_PASSWORD": password,
    "GRAFANA_ADMIN_PASSWORD": password,
}


def completed(text: str) -> tuple[str, list[str]]:
    """Return the text of an `.env` with every secret set, and the names of the secrets that were generated now."""
    values = {m[1]: _value(m[2]) for line in text.splitlines() if (m := ASSIGNMENT.match(line))}
    not_ours = () if values.get("SEAWEEDFS_REPLICAS", "1") != "0" else S3_KEYS
    missing = {
        name: make
        for name, make in SECRETS.items()
        if PLACEHOLDER.search(values.get(name, "")) and name not in not_ours
    }
    is_local = values.get("BIND_ADDRESS", "").startswith("127.") or not values.get("BIND_ADDRESS")
    airflow = values.get("HOMEPRICES_AIRFLOW_PASSWORD", "")
    if PLACEHOLDER.search(airflow) or (airflow == KNOWN_PASSWORD and not is_local):
        missing["HOMEPRICES_AIRFLOW_PASSWORD"] = (lambda: KNOWN_PASSWORD) if is_local else password
    lines = text.splitlines()
    for name, make in missing.items():
        line = f"{name}={make()}"
        indexes = [i for i, old in enumerate(lines) if re.match(rf"^\s*(?:export\s+|#\s*)?{name}=", old)]
        if indexes:
            lines[indexes[-1]] = line
        else:
            lines.append(line)
    return "\n".join(lines) + "\n", sorted(missing)


def _value(text: str) -> str:
    return re.sub(r"(^|\s)#.*$", "", text).strip().strip("\"'")


def write_private(path: Path, text: str) -> None:
    """Write a file atomically; only its owner can read it, from the first byte on."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="make env", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--file", type=Path, default=Path(".env"), help="the file to write")
    parser.add_argument("--example", type=Path, default=Path(".env.example"), help="the template of a new file")
    options = parser.parse_args(arguments)
    source = options.file if options.file.exists() else options.example
    text, names = completed(source.read_text(encoding="utf-8"))
    if names:
        write_private(options.file, text)
    options.file.chmod(0o600)
    _link_for_monitoring(options.file)
    result = f"generated {', '.join(names)}" if names else "every secret was set"
    print(f"{options.file}: {result}")
    return 0


def _link_for_monitoring(file: Path) -> None:
    """Link `.env` into monitoring/, because Compose reads the `.env` in the folder of the first compose file."""
    link = file.parent / "monitoring" / ".env"
    if link.parent.is_dir() and file.name == ".env" and not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(Path("..") / file.name)


if __name__ == "__main__":
    sys.exit(main())
