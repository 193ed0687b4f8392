"""Write `.env` with generated secrets: `make env`. What it already says is kept; only what is missing is filled in.

A new `.env` begins as a copy of `.env.example`. The user of Airflow is airflow / airflow as long as every port is bound
to this machine (BIND_ADDRESS), and gets a password of its own otherwise. Needs nothing but Python itself.
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

PLACEHOLDER = re.compile(r"^$|change.?me|placeholder|^<.*>$|^your", re.IGNORECASE)
KNOWN_PASSWORD = "airflow"  # noqa: S105  (published; refused where others can reach Airflow)
ASSIGNMENT = re.compile(r"^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$")


def password() -> str:
    """128 bits that need no quoting in a URL, a shell or YAML."""
    return secrets.token_hex(16)


def fernet_key() -> str:
    """32 bytes as Fernet wants them."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


SECRETS: dict[str, Callable[[], str]] = {
    "POSTGRES_SUPERUSER_PASSWORD": password,
    "POSTGRES_PASSWORD": password,
    "AIRFLOW_DATABASE_PASSWORD": password,
    "MLFLOW_DATABASE_PASSWORD": password,
    "MONITORING_DATABASE_PASSWORD": password,
    "AWS_ACCESS_KEY_ID": password,
    "AWS_SECRET_ACCESS_KEY": password,
    "HOMEPRICES_VISITOR_KEY": password,
    "AIRFLOW_FERNET_KEY": fernet_key,
    "AIRFLOW_JWT_SECRET": password,
    "AIRFLOW_API_SECRET_KEY": password,
    "REDIS_PASSWORD": password,
    "GRAFANA_ADMIN_PASSWORD": password,
}


def completed(text: str) -> tuple[str, list[str]]:
    """The text of an `.env` with every secret set, and the names of those that were set now."""
    given = {m[1]: _value(m[2]) for line in text.splitlines() if (m := ASSIGNMENT.match(line))}
    wanted = {name: make for name, make in SECRETS.items() if PLACEHOLDER.search(given.get(name, ""))}
    is_local = given.get("BIND_ADDRESS", "").startswith("127.") or not given.get("BIND_ADDRESS")
    airflow = given.get("HOMEPRICES_AIRFLOW_PASSWORD", "")
    if PLACEHOLDER.search(airflow) or (airflow == KNOWN_PASSWORD and not is_local):
        wanted["HOMEPRICES_AIRFLOW_PASSWORD"] = (lambda: KNOWN_PASSWORD) if is_local else password
    lines = text.splitlines()
    for name, make in wanted.items():
        line = f"{name}={make()}"
        places = [i for i, old in enumerate(lines) if re.match(rf"^\s*(?:export\s+|#\s*)?{name}=", old)]
        if places:
            lines[places[-1]] = line
        else:
            lines.append(line)
    return "\n".join(lines) + "\n", sorted(wanted)


def _value(written: str) -> str:
    return re.sub(r"(^|\s)#.*$", "", written).strip().strip("\"'")


def write_private(path: Path, text: str) -> None:
    """Write the whole file, readable for its owner alone from its first byte."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make env", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--file", type=Path, default=Path(".env"), help="the file to write")
    parser.add_argument("--example", type=Path, default=Path(".env.example"), help="what a new one begins with")
    chosen = parser.parse_args(arguments)
    source = chosen.file if chosen.file.exists() else chosen.example
    text, names = completed(source.read_text(encoding="utf-8"))
    if names:
        write_private(chosen.file, text)
    chosen.file.chmod(0o600)
    _link_for_monitoring(chosen.file)
    said = f"generated {', '.join(names)}" if names else "every secret was set"
    print(f"{chosen.file}: {said}")
    return 0


def _link_for_monitoring(file: Path) -> None:
    """Compose reads the `.env` beside the first compose file, and one of them stands in monitoring/."""
    link = file.parent / "monitoring" / ".env"
    if link.parent.is_dir() and file.name == ".env" and not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(Path("..") / file.name)


if __name__ == "__main__":
    sys.exit(main())
