"""Client of MLflow's REST API: runs with parameters, metrics and artifacts, and the registered model.

MLflow's own client would cost every training task six seconds of CPU time and 170 MB, and its timeouts apply to the
whole process. Every call can be repeated, because a run is identified by its key.

People can delete or rename an experiment or a run in MLflow's pages. A call that finds it so restores it, or creates it
again when it is permanently deleted, and continues. The log and the run's tag `homeprices.restored` record the
restoration.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from homeprices.adapters import mlflow_experiment
from homeprices.adapters.certificates import certificates
from homeprices.adapters.mlflow_experiment import DELETED, DOES_NOT_EXIST
from homeprices.errors import InvalidInput, TrackingRefused, TrackingUnavailable
from homeprices.log import get_logger

if TYPE_CHECKING:
    from homeprices.settings import Settings

EXPERIMENT = "bangalore_home_prices"
TIMEOUT = httpx.Timeout(30.0, connect=5.0)  # seconds; a database that is busy migrating answers late
CONNECT_RETRIES = 2
PARAMS_A_CALL = 100  # MLflow's limits for one log-batch
METRICS_A_CALL = 1000
KEY_TAG = "homeprices.key"
RESTORED_TAG = "homeprices.restored"
"""What somebody deleted or renamed, and this process restored, while the run was open."""
TAG_CHARACTERS = 2000  # MLflow takes 5,000
DIGEST_CHARACTERS = 36  # MLflow's limit for the digest of a dataset
MACHINE_LEARNING_VIEW = "workflowType=machine_learning"
"""Without it MLflow opens its pages for traces of language models."""
ARTIFACT_SCHEME = "mlflow-artifacts:/"
WRONG_LOGIN = "MLFLOW_TRACKING_USERNAME or MLFLOW_TRACKING_PASSWORD is missing or wrong"

log = get_logger(__name__)


class MlflowClient:
    """Client of the settings' tracking server. Every call may raise TrackingUnavailable or TrackingRefused."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.time) -> None:
        self._base = settings.mlflow_tracking_uri.rstrip("/")
        self._public = (settings.mlflow_public_url or self._base).rstrip("/")
        self._clock = clock
        # No connection is kept alive: a task makes few calls, minutes apart.
        transport = httpx.HTTPTransport(
            verify=certificates(), retries=CONNECT_RETRIES, limits=httpx.Limits(max_keepalive_connections=0)
        )
        password = settings.mlflow_password.get_secret_value()  # beyond loopback MLflow asks for it
        login = httpx.BasicAuth(settings.mlflow_username, password) if password else None
        self._client = httpx.Client(timeout=TIMEOUT, transport=transport, auth=login)
        self._experiment_id: str | None = None
        self._opened: dict[str, tuple[str, str, dict[str, str]]] = {}  # key, name and tags of each run
        self._successor: dict[str, str] = {}  # permanently deleted run -> the run that replaces it
        self._unsaid: list[str] = []  # restorations that are not in the tag of a run yet

    def parent_run(self, key: str, *, tags: Mapping[str, str] | None = None) -> str:
        """Return the id of the run that belongs to `key` (a pipeline run). Opens the run if it does not exist."""
        return self._open_run(key, key, dict(tags or {}))

    def child_run(self, parent: str, name: str, *, tags: Mapping[str, str] | None = None) -> str:
        """Return the id of the run `name` under a parent run. Opens the run if it does not exist."""
        return self._open_run(f"{parent}/{name}", name, {**(tags or {}), "mlflow.parentRunId": parent})

    def log(
        self,
        run_id: str,
        *,
        params: Mapping[str, object] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        step: int = 0,
    ) -> None:
        """Log to a run. Metrics of several steps are a chart in MLflow. Raises InvalidInput for a metric that is not
        finite.
        """
        broken = [name for name, value in (metrics or {}).items() if not math.isfinite(value)]
        if broken:
            raise InvalidInput(dict.fromkeys(broken, "is no finite number"))
        at = self._milliseconds()
        measured = [{"key": k, "value": float(v), "timestamp": at, "step": step} for k, v in (metrics or {}).items()]
        named = [{"key": k, "value": str(v)} for k, v in (params or {}).items()]
        noted = [{"key": k, "value": str(v)} for k, v in (tags or {}).items()]
        for name, items, size in (
            ("metrics", measured, METRICS_A_CALL),
            ("params", named, PARAMS_A_CALL),
            ("tags", noted, PARAMS_A_CALL),
        ):
            for start in range(0, len(items), size):
                self._call_run("POST", "runs/log-batch", run_id, {name: items[start : start + size]})

    def log_files(self, run_id: str, folder: Path, under: str = "") -> None:
        """Upload every file of a folder as artifacts of a run, through the server: clients need no bucket access."""
        uri = str(self._call_run("GET", "runs/get", run_id, {})["run"]["info"]["artifact_uri"])
        if not uri.startswith(ARTIFACT_SCHEME):
            raise TrackingRefused(f"MLflow does not proxy artifacts, they go to {uri}; it needs --serve-artifacts", "")
        root = uri.removeprefix(ARTIFACT_SCHEME).strip("/")
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            name = "/".join(part for part in (root, under, path.relative_to(folder).as_posix()) if part)
            self._send("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{quote(name)}", content=path.read_bytes())

    def log_dataset(self, run_id: str, name: str, sha256: str, uri: str, rows: int) -> None:
        """Log the dataset that a run trains on: its digest, its address and its number of rows."""
        source = {"source_type": "s3", "source": json.dumps({"uri": uri}), "profile": json.dumps({"num_rows": rows})}
        dataset = {"name": name, "digest": sha256[:DIGEST_CHARACTERS], **source}
        tags = [{"key": "mlflow.data.context", "value": "training"}]
        self._call_run("POST", "runs/log-inputs", run_id, {"datasets": [{"dataset": dataset, "tags": tags}]})

    def finish(self, run_id: str, *, failed: bool = False, name: str | None = None) -> None:
        """Close a run; `name` is its new name in MLflow's pages."""
        ended = {"status": "FAILED" if failed else "FINISHED", "end_time": self._milliseconds()}
        self._call_run("POST", "runs/update", run_id, ended | ({"run_name": name} if name else {}))

    def note(self, run_id: str, sentences: Sequence[str]) -> None:
        """Add sentences to the run's tag `homeprices.restored`, unless it has them."""
        tags = self._call_run("GET", "runs/get", run_id, {})["run"]["data"].get("tags", [])
        before = next((tag["value"] for tag in tags if tag["key"] == RESTORED_TAG), "")
        text = " ".join([before, *(sentence for sentence in sentences if sentence not in before)]).strip()
        if text != before:
            self.log(run_id, tags={RESTORED_TAG: text[-TAG_CHARACTERS:]})

    def say_restored(self, sentence: str) -> None:
        """Log a restoration, and add it to the tag of the next run that opens."""
        log.warning("mlflow_state_restored", restored=sentence)
        self._unsaid.append(sentence)

    def has_run(self, run_id: str) -> bool:
        """Return whether MLflow has the run, deleted or not."""
        try:
            self._call("GET", "runs/get", {"run_id": run_id})
        except TrackingRefused as refused:
            if refused.code != DOES_NOT_EXIST:
                raise
            return False
        return True

    def run_url(self, run_id: str) -> str:
        """Return the address of a run's page."""
        return f"{self._public}/#/experiments/{self._experiment()}/runs/{run_id}?{MACHINE_LEARNING_VIEW}"

    def runs(self, condition: str, limit: int) -> list[dict[str, Any]]:
        """Return the newest runs that meet a filter of MLflow, newest first."""
        query = {"experiment_ids": [self._experiment()], "filter": condition, "max_results": limit}
        return list(self._call("POST", "runs/search", {**query, "order_by": ["start_time DESC"]}).get("runs", []))

    def call(self, method: str, path: str, values: dict[str, Any]) -> dict[str, Any]:
        """Call MLflow's REST API and return its answer; `path` is relative to `/api/2.0/mlflow/`."""
        return self._call(method, path, values)

    def pages(self, path: str, values: dict[str, Any], items: str) -> Iterator[dict[str, Any]]:
        """Yield every item of a paged listing (GET)."""
        while True:
            answer = self._call("GET", path, values)
            yield from answer.get(items, [])
            if not answer.get("next_page_token"):
                return
            values = {**values, "page_token": answer["next_page_token"]}

    def _open_run(self, key: str, name: str, tags: dict[str, str]) -> str:
        run_id = self._find_run(key) or self._create_run(key, name, tags)
        self._opened[run_id] = key, name, tags
        self._say_restored(run_id)
        return run_id

    def _find_run(self, key: str) -> str | None:
        """Return the run of this key. Restore it if somebody deleted it, so that a key never has two runs."""
        wanted = f"tags.`{KEY_TAG}` = '{_plain(key)}'"
        query = {"experiment_ids": [self._experiment()], "filter": wanted, "max_results": 100, "run_view_type": "ALL"}
        runs = self._call("POST", "runs/search", {**query, "order_by": ["start_time ASC"]}).get("runs", [])
        if not runs:
            return None
        found = min(runs, key=lambda run: run["info"].get("lifecycle_stage") == DELETED)["info"]
        if found.get("lifecycle_stage") == DELETED:
            self._restore_run(found["run_id"])
        return str(found["run_id"])

    def _create_run(self, key: str, name: str, tags: dict[str, str]) -> str:
        all_tags = {KEY_TAG: _plain(key), "mlflow.source.name": "homeprices", **tags}
        run = {
            "run_name": name,
            "start_time": self._milliseconds(),
            "tags": [{"key": k, "value": v} for k, v in all_tags.items()],
        }
        try:
            created = self._call("POST", "runs/create", {**run, "experiment_id": self._experiment()})
        except TrackingRefused:
            if mlflow_experiment.is_active(self._call, self._experiment()):
                raise
            self._experiment_id = None  # somebody has deleted it since it was opened
            created = self._call("POST", "runs/create", {**run, "experiment_id": self._experiment()})
        return str(created["run"]["info"]["run_id"])

    def _call_run(self, method: str, path: str, run_id: str, values: dict[str, Any]) -> dict[str, Any]:
        """Call with a run's id. If MLflow refuses because the run is deleted or gone, restore it and call once more."""
        run_id = self._successor.get(run_id, run_id)
        try:
            return self._call(method, path, {"run_id": run_id, **values})
        except TrackingRefused as refused:
            if (present := self._restored_run(run_id, refused)) is None:
                raise
        answer = self._call(method, path, {"run_id": present, **values})
        self._say_restored(present)
        return answer

    def _restored_run(self, run_id: str, refused: TrackingRefused) -> str | None:
        """Return the id under which a refused call can be repeated; None when the run was not the reason."""
        if refused.code == DOES_NOT_EXIST:
            if run_id not in self._opened:
                return None
            key, name, tags = self._opened.pop(run_id)
            self._experiment_id = None
            self.say_restored(f"The run {name} ({run_id}) was gone from MLflow. A new run continues it.")
            self._successor[run_id] = self._open_run(key, name, tags)
            return self._successor[run_id]
        info = self._call("GET", "runs/get", {"run_id": run_id})["run"]["info"]
        if info.get("lifecycle_stage") != DELETED:
            return None
        experiment_id = str(info["experiment_id"])
        if not mlflow_experiment.is_active(self._call, experiment_id):
            mlflow_experiment.restore(self._call, experiment_id, EXPERIMENT, self.say_restored)
            info = self._call("GET", "runs/get", {"run_id": run_id})["run"]["info"]
        if info.get("lifecycle_stage") == DELETED:
            self._restore_run(run_id)
        return run_id

    def _experiment(self) -> str:
        """Return the id of the experiment; create it, or restore it after somebody deleted or renamed it."""
        if self._experiment_id is None:
            self._experiment_id = mlflow_experiment.open_experiment(self._call, EXPERIMENT, self.say_restored)
        return self._experiment_id

    def _restore_run(self, run_id: str) -> None:
        self._call("POST", "runs/restore", {"run_id": run_id})
        self.say_restored(f"The run {run_id} was deleted in MLflow and has been restored.")

    def _say_restored(self, run_id: str) -> None:
        if self._unsaid:
            sentences, self._unsaid = self._unsaid, []
            self.note(run_id, sentences)

    def _call(self, method: str, path: str, values: dict[str, Any]) -> dict[str, Any]:
        url = f"/api/2.0/mlflow/{path}"
        answer = self._send(method, url, params=values) if method == "GET" else self._send(method, url, json=values)
        return dict(answer.json())

    def _send(self, method: str, path: str, **content: Any) -> httpx.Response:
        try:
            answer = self._client.request(method, self._base + path, **content)
        except httpx.HTTPError as error:
            raise TrackingUnavailable(f"MLflow at {self._base} does not answer: {error!r}") from error
        if answer.is_server_error or answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise TrackingUnavailable(f"MLflow answered {answer.status_code} to {path}: {answer.text[:200]}")
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise TrackingRefused(f"MLflow refused {path}: {WRONG_LOGIN}", "")
        if answer.is_error:
            code, message = _refusal(answer)
            raise TrackingRefused(f"MLflow refused {path} with {answer.status_code}: {message}", code)
        return answer

    def _milliseconds(self) -> int:
        return round(self._clock() * 1000)


def _refusal(answer: httpx.Response) -> tuple[str, str]:
    """Return MLflow's error code and message. An error page of a proxy has no code."""
    try:
        body = answer.json()
        return str(body["error_code"]), str(body.get("message", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", answer.text[:200]


def _plain(key: str) -> str:
    """Return the key without characters that would need quoting in a search filter."""
    return key.replace("'", "-").replace("`", "-")
