"""The passwords and keys of one local stack, generated once and kept in a file that only its user can read."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass, field, fields
from pathlib import Path

from compose.bucket_rights import OWNER, RIGHTS
from homeprices.files import write_atomic


def _password() -> str:
    return secrets.token_hex(16)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _secret(make: object = _password) -> str:
    return field(default_factory=make, repr=False)  # type: ignore[call-overload,no-any-return]


@dataclass(frozen=True)
class Credentials:
    """The passwords and keys with which the servers of a stack authenticate each other."""

    postgres_superuser: str = _secret()
    postgres_airflow: str = _secret()
    postgres_mlflow: str = _secret()
    postgres_homeprices: str = _secret()
    s3_access_key: str = _secret()
    s3_secret_key: str = _secret()
    s3_inference: str = _secret()
    s3_router: str = _secret()
    s3_mlflow: str = _secret()
    s3_exporter: str = _secret()
    s3_pipeline: str = _secret()
    s3_airflow: str = _secret()
    airflow_fernet_key: str = _secret(_fernet_key)
    airflow_api_secret: str = _secret()
    airflow_jwt_secret: str = _secret()
    airflow_service: str = _secret()
    visitor_key: str = _secret()

    @property
    def s3_keys(self) -> dict[str, tuple[str, str]]:
        """Access key and secret key of the bucket's owner and of each service."""
        services = {name: (f"homeprices-{name}", str(getattr(self, f"s3_{name}"))) for name in RIGHTS}
        return {OWNER: (self.s3_access_key, self.s3_secret_key), **services}


def load_or_create(path: Path) -> Credentials:
    """Return the credentials in `path`; generate those that are missing and write them there."""
    stored = json.loads(path.read_text()) if path.exists() else {}
    credentials = Credentials(**{f.name: stored[f.name] for f in fields(Credentials) if f.name in stored})
    complete = {f.name: getattr(credentials, f.name) for f in fields(credentials)}
    if complete != stored:
        write_atomic(path, json.dumps(complete, indent=2) + "\n", private=True)
    return credentials
