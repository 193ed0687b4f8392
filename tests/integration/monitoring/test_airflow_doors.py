"""A real API server of Airflow: whom it answers, what the user of the services may do, and how fast one may guess."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from homeprices.adapters.airflow_client import AirflowClient
from homeprices.errors import Unavailable
from homeprices.names import EVALUATION_DAG, TRAINING_DAG
from homeprices.settings import Settings, load_settings
from local.stack import SERVICE_USER
from tests.integration.test_airflow_server import command, environment, settings  # noqa: F401

ROOT = Path(__file__).parents[3]
WRONG_PASSWORDS, PAUSE_SECONDS = 5, 60.0  # as in compose/airflow_plugins/doors.py, which only Airflow can import

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module", autouse=True)
def with_doors(environment: dict[str, str]) -> None:  # noqa: F811
    """Configure the server as the stack does, before it starts."""
    environment |= {
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "compose/airflow_plugins"),
        "AIRFLOW__CORE__AUTH_MANAGER": "compose.airflow_access.ServiceAccess",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"airflow:admin,{SERVICE_USER}:viewer",
        "HOMEPRICES_HOSTS": "homes.example.org",
    }
    passwords = {"airflow": "airflow", SERVICE_USER: "of the service"}
    Path(environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"]).write_text(json.dumps(passwords))


def as_service(settings: Settings) -> AirflowClient:  # noqa: F811
    return AirflowClient(
        load_settings(
            {
                "HOMEPRICES_AIRFLOW_URL": settings.airflow_url,
                "HOMEPRICES_AIRFLOW_USER": SERVICE_USER,
                "HOMEPRICES_AIRFLOW_PASSWORD": "of the service",
            },
            (),
        )
    )


@pytest.mark.parametrize("path", ["/api/v2/version", "/auth/token", "/"])
@pytest.mark.parametrize(
    ("host", "known"),
    [("rebound.example", False), ("127.0.0.1.rebound.example", False), ("homes.example.org", True),
     ("localhost:8080", True), ("airflow-apiserver:8080", True), ("10.0.0.7:8080", True)],
)  # fmt: skip
def test_a_host_name_that_somebody_lets_point_here_gets_421(
    settings: Settings, path: str, host: str, known: bool  # noqa: F811
) -> None:  # fmt: skip
    answer = httpx.get(f"{settings.airflow_url}{path}", headers={"Host": host}, timeout=60)
    assert (answer.status_code != 421) is known


def test_the_service_user_reads_and_starts_runs(settings: Settings) -> None:  # noqa: F811
    with as_service(settings) as airflow:
        assert airflow.is_paused(EVALUATION_DAG) is False
        run = airflow.trigger(EVALUATION_DAG, {"reason": "test"})
        assert run in [one["dag_run_id"] for one in airflow.runs(EVALUATION_DAG)]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", f"/api/v2/dags/{TRAINING_DAG}", {"is_paused": True}),
        ("DELETE", f"/api/v2/dags/{TRAINING_DAG}", None),
        ("POST", f"/api/v2/dags/{TRAINING_DAG}/clearTaskInstances", {"dry_run": True}),
        ("GET", "/api/v2/connections", None),
        ("POST", "/api/v2/variables", {"key": "a", "value": "b"}),
        ("POST", "/api/v2/connections", {"connection_id": "a", "conn_type": "http"}),
        ("POST", "/api/v2/pools", {"name": "a", "slots": 1}),
        ("POST", "/api/v2/assets/events", {"asset_id": 1}),
    ],
)
def test_the_service_user_may_do_nothing_else(
    settings: Settings, method: str, path: str, body: dict[str, object] | None  # noqa: F811
) -> None:  # fmt: skip
    with as_service(settings) as airflow, pytest.raises(Unavailable, match="answered 403"):
        airflow._call(method, path, body)


def test_guessing_passwords_is_stopped_and_others_keep_their_tokens(settings: Settings) -> None:  # noqa: F811
    """The last test of this file: the address of the tests may not log in for a minute."""
    with as_service(settings) as airflow:
        airflow.is_paused(EVALUATION_DAG)  # logs in
        guesses = [
            httpx.post(
                f"{settings.airflow_url}/auth/token",
                json={"username": "airflow", "password": f"guess-{number}"},
                timeout=60,
            )
            for number in range(WRONG_PASSWORDS + 3)
        ]
        assert [guess.status_code for guess in guesses] == [401] * WRONG_PASSWORDS + [429] * 3
        assert 0 < int(guesses[-1].headers["Retry-After"]) <= PAUSE_SECONDS + 1
        right = httpx.post(
            f"{settings.airflow_url}/auth/token", json={"username": "airflow", "password": "airflow"}, timeout=60
        )
        assert right.status_code == 429
        assert airflow.is_paused(EVALUATION_DAG) is False
