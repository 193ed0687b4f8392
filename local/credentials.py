"""The passwords and keys of one local stack: made once, kept in a file that only its user can read."""

from __future__ import annotations

import base64
import json
import os
import secrets
from dataclasses import dataclass, field, fields
from pathlib import Path


def _password() -> str:
    return secrets.token_hex(16)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _secret(make: object = _password) -> str:
    return field(default_factory=make, repr=False)  # type: ignore[call-overload,no-any-return]


@dataclass(frozen=True)
class Credentials:
    """What the parts of a stack prove to each other who they are with."""

    postgres_superuser: str = _secret()
    postgres_airflow: str = _secret()
    postgres_mlflow: str = _secret()
    postgres_homeprices: str = _secret()
    s3_access_key: str = _secret()
    s3_secret_key: str = _secret()
    airflow_fernet_key: str = _secret(_fernet_key)
    airflow_api_secret: str = _secret()
    airflow_jwt_secret: str = _secret()
    visitor_key: str = _secret()


def load_or_create(path: Path) -> Credentials:
    """The credentials in `path`; those that are missing are made and written there."""
    known = json.loads(path.read_text()) if path.exists() else {}
    credentials = Credentials(**{name: known[name] for name in (f.name for f in fields(Credentials)) if name in known})
    wanted = {f.name: getattr(credentials, f.name) for f in fields(credentials)}
    if wanted != known:
        write_private(path, json.dumps(wanted, indent=2) + "\n")
    return credentials


def write_private(path: Path, text: str) -> None:
    """Write a whole file that only this user can read; a reader sees the old text or the new."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)
