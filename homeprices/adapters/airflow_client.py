"""Client of Airflow's REST API: start, follow and annotate runs, see paused DAGs, emit asset events.

Does not import Airflow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import httpx

from homeprices.adapters.certificates import certificates
from homeprices.errors import InvalidInput, NotFound, Unavailable
from homeprices.foreign_text import LONG, printable

if TYPE_CHECKING:
    from homeprices.settings import Settings

TIMEOUT_SECONDS = 10


class AirflowClient:
    """Client of the API server at `settings.airflow_url`. Every call raises Unavailable on no answer or an error, and
    InvalidInput, with Airflow's reason, for what Airflow refuses.

    It holds a connection: use it in a `with` block, or close it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = httpx.Client(base_url=settings.airflow_url, timeout=TIMEOUT_SECONDS, verify=certificates())
        self._token: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None) -> str:
        """Start a run of the DAG and return its id."""
        body = {"logical_date": None, "conf": conf or {}}
        return str(self._call("POST", f"/api/v2/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def runs(self, dag_id: str, limit: int = 100) -> list[dict[str, Any]]:
        """Return the latest runs of the DAG, newest first, each with `dag_run_id`, `state`, times, `note`, `conf`."""
        answer = self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns?order_by=-run_after&limit={limit}")
        return list(answer["dag_runs"])

    def is_paused(self, dag_id: str) -> bool:
        """Return whether somebody has paused the DAG. Raises NotFound for a DAG that Airflow does not know (yet)."""
        return bool(self._call("GET", f"/api/v2/dags/{dag_id}")["is_paused"])

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Return one run. Raises NotFound."""
        return self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{_quoted(run_id)}")

    def set_note(self, dag_id: str, run_id: str, note: str) -> None:
        """Set the note of a run, which Airflow's lists of runs show. Raises NotFound."""
        self._call("PATCH", f"/api/v2/dags/{dag_id}/dagRuns/{_quoted(run_id)}", {"note": note})

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run, each with `task_id`, `state`, `try_number`."""
        answer = self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{_quoted(run_id)}/taskInstances?limit=100")
        return list(answer["task_instances"])

    def emit_asset_event(self, asset: str, extra: dict[str, Any] | None = None) -> None:
        """Emit an event of the asset, which starts the DAGs scheduled on it. Raises NotFound for an unknown asset."""
        assets = self._call("GET", f"/api/v2/assets?name_pattern={asset}")["assets"]
        ids = [item["id"] for item in assets if item["name"] == asset]
        if not ids:
            raise NotFound(f"Airflow at {self._settings.airflow_url} knows no asset {asset!r} (yet)")
        self._call("POST", "/api/v2/assets/events", {"asset_id": ids[0], "extra": extra or {}})

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = self._send(method, path, body)
        if answer.status_code == httpx.codes.UNAUTHORIZED and self._token:  # tokens expire
            self._token = None
            answer = self._send(method, path, body)
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise NotFound(f"Airflow has no {path.removeprefix('/api/v2/')}")
        if answer.status_code in (httpx.codes.BAD_REQUEST, httpx.codes.UNPROCESSABLE_ENTITY):
            raise InvalidInput({"airflow": f"refuses {method} {path}: {printable(answer.text, LONG)}"})
        if answer.is_error:
            raise Unavailable(f"Airflow answered {answer.status_code} to {method} {path}: {answer.text[:300]}")
        return dict(answer.json())

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> httpx.Response:
        try:
            if self._token is None:
                self._token = self._log_in()
            return self._client.request(method, path, json=body, headers={"Authorization": f"Bearer {self._token}"})
        except httpx.HTTPError as error:
            raise Unavailable(f"Airflow at {self._settings.airflow_url} does not answer: {error!r}") from error

    def _log_in(self) -> str:
        password = self._settings.airflow_password.get_secret_value()
        answer = self._client.post("/auth/token", json={"username": self._settings.airflow_user, "password": password})
        if answer.is_error:
            raise Unavailable(f"Airflow refused the user {self._settings.airflow_user!r}: {answer.status_code}")
        return str(answer.json()["access_token"])


def _quoted(run_id: str) -> str:
    return str(httpx.URL(path=f"/{run_id}").raw_path[1:], "ascii").replace("+", "%2B")
