"""MLflow's tracking server with a login: the entry point of its container, where it listens beyond loopback.

Every request needs a user and a password, except `/health`, static files and MLflow's public `server-info`. The users
are in MLflow's database. The administrator, `homeprices`, has the password of MLFLOW_AUTH_ADMIN_PASSWORD at every
start, so a password changed in the environment is changed in MLflow too. Other users, whom the administrator creates,
see nothing until they are granted a permission.
"""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from compose import mlflow_process

USER = "homeprices"
PASSWORD, DATABASE = "MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_BACKEND_STORE_URI"
SHORTEST = 16
EX_USAGE = 64


def problem(environ: Mapping[str, str]) -> str | None:
    """Return why the server cannot start with these variables, without a value; None when it can."""
    if len(environ.get(PASSWORD, "")) < SHORTEST:
        return f"{PASSWORD} is missing or shorter than {SHORTEST} characters; it is MLFLOW_TRACKING_PASSWORD of .env"
    return None if environ.get(DATABASE) else f"{DATABASE} is missing"


def configuration(database: str) -> str:
    """Return MLflow's settings of the login. They contain the password of the database."""
    return "\n".join(
        [
            "[mlflow]",
            "default_permission = NO_PERMISSIONS",
            f"database_uri = {database.replace('%', '%%')}",
            f"admin_username = {USER}",
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth",
            # Otherwise each request hashes the password, which costs more than the request. One worker: no stale entry.
            "auth_cache_ttl_seconds = 60",
            "",
        ]
    )


def write_private(text: str) -> Path:
    """Write a file that only this user can read; return its path."""
    descriptor, name = tempfile.mkstemp(prefix="mlflow-login-", suffix=".ini")  # mode 0600
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    return Path(name)


def set_password(database: str, password: str) -> None:
    """Bring the administrator's password to its target state, if MLflow already has the user."""
    from mlflow.server.auth import store  # reads the settings when it is imported

    store.init_db(database)
    if store.has_user(USER) and not store.authenticate_user(USER, password):
        store.update_user(USER, password=password, is_admin=True)


def main() -> NoReturn:
    """Run the server. Exits with 64 after one line on standard error when a variable is missing."""
    if (reason := problem(os.environ)) is not None:
        print(f"mlflow_server: {reason}", file=sys.stderr)
        sys.exit(EX_USAGE)
    os.environ |= {
        "MLFLOW_AUTH_CONFIG_PATH": str(write_private(configuration(os.environ[DATABASE]))),
        # Routes without a rule for users are closed too.
        "MLFLOW_BASIC_AUTH_FAIL_CLOSED": "true",
        # Of the one form that creates users; a form of the previous process expires.
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(16),
    }
    set_password(os.environ[DATABASE], os.environ[PASSWORD])
    mlflow_process.run("--app-name", "basic-auth", "--serve-artifacts")


if __name__ == "__main__":
    main()
