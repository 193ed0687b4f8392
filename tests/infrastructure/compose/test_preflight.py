"""The check before the start names each invalid secret and never prints its value."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from dotenv import dotenv_values

from compose.make_env import SECRETS, completed

SCRIPT = Path(__file__).parents[3] / "compose" / "preflight.sh"
CHECKED = sorted({*SECRETS, "HOMEPRICES_AIRFLOW_PASSWORD"} - {"GRAFANA_ADMIN_PASSWORD"})


@pytest.fixture
def given(tmp_path: Path) -> dict[str, str]:
    """The variables of a valid configuration."""
    file = tmp_path / ".env"
    file.write_text(completed("")[0])
    return {name: value for name, value in dotenv_values(file).items() if value is not None}


def preflight(environ: dict[str, str]) -> tuple[int, str]:
    done = subprocess.run(
        ["sh", str(SCRIPT)],
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_env_file_of_make_env_passes(given: dict[str, str]) -> None:
    assert preflight(given) == (0, "preflight: every secret is set\n")


@pytest.mark.parametrize("name", CHECKED)
@pytest.mark.parametrize("value", ["", "change-me", "<your-key>", "Password"])
def test_a_missing_or_placeholder_secret_is_named_alone(given: dict[str, str], name: str, value: str) -> None:
    status, said = preflight({**given, name: value})
    assert status == 1
    assert said == f"preflight: {name} is missing or a placeholder; run make env\n"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("POSTGRES_PASSWORD", "p@ss:word/9", "may only have letters"),
        ("AIRFLOW_DATABASE_PASSWORD", "white space", "may only have letters"),
        ("AIRFLOW_JWT_SECRET", "brief", "shorter than 16"),
        ("HOMEPRICES_VISITOR_KEY", "tiny", "shorter than 16"),
        ("AIRFLOW_FERNET_KEY", "not-a-fernet-key", "44 characters"),
    ],
)
def test_a_secret_that_cannot_work_is_named_without_its_value(
    given: dict[str, str], name: str, value: str, reason: str
) -> None:
    status, said = preflight({**given, name: value})
    assert status == 1 and name in said and reason in said and value not in said


@pytest.mark.parametrize(("bind", "status"), [("127.0.0.1", 0), ("127.0.0.2", 0), ("0.0.0.0", 1), ("10.1.2.3", 1)])
def test_a_known_password_passes_only_while_no_other_machine_can_reach_it(
    given: dict[str, str], bind: str, status: int
) -> None:
    assert given["HOMEPRICES_AIRFLOW_PASSWORD"] == "airflow"
    ended, said = preflight({**given, "BIND_ADDRESS": bind})
    assert ended == status and ("HOMEPRICES_AIRFLOW_PASSWORD" in said) is bool(status)


@pytest.mark.parametrize(
    ("bind", "proxy", "status"),
    [("127.0.0.1", "", 0), ("10.1.2.3", "", 1), ("192.168.0.2", "yes", 1), ("10.1.2.3", "true", 0),
     ("172.16.0.1", "true", 0), ("172.32.0.1", "true", 1), ("0.0.0.0", "true", 1), ("203.0.113.9", "true", 1),
     ("::", "true", 1)],
)  # fmt: skip
def test_mlflow_is_bound_beyond_this_machine_only_to_a_private_address_behind_a_login(
    given: dict[str, str], bind: str, proxy: str, status: int
) -> None:
    ended, said = preflight({**given, "MLFLOW_BIND_ADDRESS": bind, "MLFLOW_BEHIND_LOGIN": proxy})
    assert ended == status and ("MLFLOW_BIND_ADDRESS" in said) is bool(status)


def test_an_endpoint_of_a_seaweedfs_that_is_not_started_is_refused(given: dict[str, str]) -> None:
    without = {**given, "SEAWEEDFS_REPLICAS": "0"}
    assert preflight({**without, "AWS_ENDPOINT_URL_S3": ""})[0] == 0
    assert "AWS_ENDPOINT_URL_S3" in preflight({**without, "AWS_ENDPOINT_URL_S3": "http://seaweedfs:8333"})[1]
