"""Runs in a real MLflow server."""

from __future__ import annotations

import json
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from homeprices.adapters.mlflow_client import EXPERIMENT, MlflowClient
from homeprices.errors import InvalidInput, TrackingRefused, TrackingUnavailable
from homeprices.settings import load_settings
from tests.support.servers import Servers


def tracking_at(url: str, **variables: str) -> MlflowClient:
    return MlflowClient(load_settings({"MLFLOW_TRACKING_URI": url, **variables}, ()), clock=lambda: 1_772_000_000.0)


@pytest.fixture(scope="module")
def mlflow_uri(servers: Servers) -> str:
    """Address of an MLflow server that no other test uses, because these tests delete and rename the experiment."""
    return servers.mlflow("client")


@pytest.fixture
def tracking(mlflow_uri: str) -> MlflowClient:
    """A client of the real MLflow server."""
    return tracking_at(mlflow_uri)


def stored(tracking: MlflowClient, run_id: str) -> dict[str, dict[str, object]]:
    run = tracking.call("GET", "runs/get", {"run_id": run_id})["run"]
    data = run["data"]
    return {
        "params": {item["key"]: item["value"] for item in data.get("params", [])},
        "metrics": {item["key"]: item["value"] for item in data.get("metrics", [])},
        "tags": {item["key"]: item["value"] for item in data.get("tags", [])},
        "info": run["info"],
    }


def test_a_run_belongs_to_its_key_however_often_it_is_opened(tracking: MlflowClient, mlflow_uri: str) -> None:
    key = "scheduled__2026-11-01T00:00:00+00:00 it's `odd`"
    parent = tracking.parent_run(key, tags={"dataset": "train_V1"})
    assert tracking_at(mlflow_uri).parent_run(key) == parent
    assert tracking.parent_run("another") != parent
    assert stored(tracking, parent)["tags"]["dataset"] == "train_V1"


def test_a_child_run_is_one_name_under_its_parent(tracking: MlflowClient) -> None:
    parent = tracking.parent_run("family")
    child = tracking.child_run(parent, "ridge")
    assert tracking.child_run(parent, "ridge") == child
    assert tracking.child_run(parent, "lasso") != child
    assert tracking.child_run(tracking.parent_run("other family"), "ridge") != child
    assert stored(tracking, child)["tags"]["mlflow.parentRunId"] == parent


def test_logging_the_same_twice_changes_nothing(tracking: MlflowClient) -> None:
    run_id = tracking.parent_run("logged")
    for _ in range(2):
        tracking.log(
            run_id, params={"seed": 7, "estimator": "ridge"}, metrics={"r2": 0.5, "rows": 12_000}, tags={"a": "b"}
        )
        tracking.finish(run_id)
    found = stored(tracking, run_id)
    assert found["params"] == {"seed": "7", "estimator": "ridge"}
    assert found["metrics"] == {"r2": 0.5, "rows": 12_000}
    assert (found["tags"]["a"], found["info"]["status"]) == ("b", "FINISHED")


def test_a_run_is_renamed_at_its_end_and_is_still_found_by_its_key(tracking: MlflowClient) -> None:
    run_id = tracking.parent_run("renamed")
    tracking.finish(run_id, name="train_V1 -> CO1")
    found = stored(tracking, run_id)["info"]
    assert (found["run_name"], found["status"]) == ("train_V1 -> CO1", "FINISHED")
    assert tracking.parent_run("renamed") == run_id


def test_a_dataset_is_logged_once_with_digest_address_and_rows(tracking: MlflowClient) -> None:
    run_id = tracking.parent_run("with a dataset")
    for _ in range(2):
        tracking.log_dataset(run_id, "train_V1", "ab" * 32, "s3://homeprices/data/raw/train_V1.csv", 13_320)
    [logged] = tracking.call("GET", "runs/get", {"run_id": run_id})["run"]["inputs"]["dataset_inputs"]
    dataset = logged["dataset"]
    assert (dataset["name"], dataset["digest"], dataset["source_type"]) == ("train_V1", "ab" * 18, "s3")
    assert json.loads(dataset["source"]) == {"uri": "s3://homeprices/data/raw/train_V1.csv"}
    assert json.loads(dataset["profile"]) == {"num_rows": 13_320}
    assert logged["tags"] == [{"key": "mlflow.data.context", "value": "training"}]


def test_a_metric_of_several_steps_has_a_history(tracking: MlflowClient) -> None:
    run_id = tracking.parent_run("looks")
    for step, effect in enumerate([0.4, 0.3, 0.2]):
        tracking.log(run_id, metrics={"effect": effect}, step=step)
    history = tracking.pages("metrics/get-history", {"run_id": run_id, "metric_key": "effect"}, "metrics")
    assert [(point["step"], point["value"]) for point in history] == [(0, 0.4), (1, 0.3), (2, 0.2)]


def test_more_than_mlflow_takes_at_once_is_sent_in_parts(tracking: MlflowClient) -> None:
    run_id = tracking.parent_run("many")
    tracking.log(
        run_id,
        params={f"p{n}": n for n in range(150)},
        metrics={f"m{n}": n for n in range(1_050)},
        tags={f"t{n}": str(n) for n in range(120)},
    )
    found = stored(tracking, run_id)
    assert (len(found["params"]), len(found["metrics"])) == (150, 1_050)
    assert found["tags"]["t119"] == "119"


def test_a_failed_run_says_so(tracking: MlflowClient) -> None:
    run_id = tracking.parent_run("failing")
    tracking.finish(run_id, failed=True)
    assert stored(tracking, run_id)["info"]["status"] == "FAILED"


def test_files_are_artifacts_of_the_run(tracking: MlflowClient, mlflow_uri: str, tmp_path: Path) -> None:
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "a b+c.png").write_bytes(b"\x89PNG")
    (tmp_path / "validation.json").write_text("{}")
    run_id = tracking.parent_run("with files")
    for _ in range(2):
        tracking.log_files(run_id, tmp_path, under="bundle")
    listing = tracking.call("GET", "artifacts/list", {"run_id": run_id, "path": "bundle/plots"})
    assert [item["path"] for item in listing["files"]] == ["bundle/plots/a b+c.png"]
    place = f"{mlflow_uri}/get-artifact"
    fetched = httpx.get(place, params={"run_uuid": run_id, "path": "bundle/plots/a b+c.png"}, timeout=60)
    assert fetched.content == b"\x89PNG"


def test_the_address_of_a_run_is_the_public_one(mlflow_uri: str) -> None:
    tracking = tracking_at(mlflow_uri, HOMEPRICES_MLFLOW_PUBLIC_URL="http://mlflow.example/")
    run_id = tracking.parent_run("public")
    assert tracking.run_url(run_id).startswith("http://mlflow.example/#/experiments/")
    assert tracking.run_url(run_id).endswith(f"/runs/{run_id}?workflowType=machine_learning")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_metric_that_is_no_number_is_refused_by_name(tracking: MlflowClient, value: float) -> None:
    with pytest.raises(InvalidInput, match="mape: is no finite number"):
        tracking.log(tracking.parent_run("broken"), metrics={"r2": 0.5, "mape": value})


def test_what_mlflow_refuses_is_said_with_its_reason(tracking: MlflowClient) -> None:
    with pytest.raises(TrackingRefused, match=r"refused .*runs/get with 404") as refused:
        tracking.log_files("0" * 32, Path())
    assert refused.value.code == "RESOURCE_DOES_NOT_EXIST"


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """A server that gives every request the same answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_server_that_is_gone_is_unavailable() -> None:
    with answering(200, b"{}") as url:
        pass
    with pytest.raises(TrackingUnavailable, match=r"MLflow at http://127.0.0.1:"):
        tracking_at(url).parent_run("any")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_in_trouble_is_unavailable(status: int) -> None:
    with answering(status, b"busy") as url, pytest.raises(TrackingUnavailable, match=rf"answered {status} .*busy"):
        tracking_at(url).parent_run("any")


@pytest.mark.parametrize("body", [b"<html>Invalid Host header", b"[]", b'{"message": "no code"}'])
def test_a_refusal_that_is_not_mlflows_own_is_shown_as_it_is(body: bytes) -> None:
    with (
        answering(403, body) as url,
        pytest.raises(TrackingRefused, match=r"refused .*experiments/get-by-name with 403") as refused,
    ):
        tracking_at(url).parent_run("any")
    assert refused.value.code == ""


def test_another_server_at_mlflow_s_address_is_said_to_be_another() -> None:
    with answering(200, b'{"status": "ok"}') as url, pytest.raises(TrackingRefused, match=r"ok.* it is not MLflow"):
        tracking_at(url).parent_run("any")


def test_a_server_that_does_not_proxy_artifacts_is_an_error_that_names_the_option(tmp_path: Path) -> None:
    run = {"run": {"info": {"artifact_uri": "s3://somewhere/else"}}}
    with answering(200, json.dumps(run).encode()) as url, pytest.raises(TrackingRefused, match="--serve-artifacts"):
        tracking_at(url).log_files("run", tmp_path)


# What people do in MLflow's pages. The server, its database and `mlflow gc` are real.


def experiment(tracking: MlflowClient) -> dict[str, str]:
    found = tracking.call("GET", "experiments/get-by-name", {"experiment_name": EXPERIMENT})["experiment"]
    return {"id": str(found["experiment_id"]), "stage": str(found["lifecycle_stage"])}


def delete_experiment(tracking: MlflowClient) -> None:
    tracking.call("POST", "experiments/delete", {"experiment_id": experiment(tracking)["id"]})


def rename_experiment(tracking: MlflowClient) -> None:
    number = experiment(tracking)["id"]
    tracking.call(
        "POST", "experiments/update", {"experiment_id": number, "new_name": f"renamed {secrets.token_hex(4)}"}
    )


def delete_run(tracking: MlflowClient) -> None:
    tracking.call("POST", "runs/delete", {"run_id": tracking.parent_run("clicked")})


def restored(tracking: MlflowClient, run_id: str) -> str:
    return str(stored(tracking, run_id)["tags"].get("homeprices.restored", ""))


CLICKS = {
    "deleted": (delete_experiment, "was deleted in MLflow and has been restored"),
    "renamed": (rename_experiment, r"was renamed renamed \w+ in MLflow"),
    "run deleted": (delete_run, r"The run \w+ was deleted in MLflow and has been restored"),
}


@pytest.mark.parametrize("click", CLICKS)
def test_a_later_process_goes_on_in_the_same_run_and_says_what_it_restored(
    tracking: MlflowClient, mlflow_uri: str, click: str
) -> None:
    act, sentence = CLICKS[click]
    run_id = tracking.parent_run("clicked")
    before = experiment(tracking)["id"]
    act(tracking)
    later = tracking_at(mlflow_uri)
    assert later.parent_run("clicked") == run_id
    child = later.child_run(run_id, f"child after {click}")
    later.log(child, params={"seed": 1}, metrics={"r2": 0.5})
    later.finish(child)
    assert experiment(tracking) == {"id": before, "stage": "active"}
    assert re.search(sentence, restored(tracking, run_id))
    assert stored(tracking, child)["info"]["lifecycle_stage"] == "active"


@pytest.mark.parametrize("click", CLICKS)
def test_a_process_that_has_the_run_open_goes_on(
    tracking: MlflowClient, mlflow_uri: str, click: str, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("a")
    run_id = tracking.parent_run("clicked")
    CLICKS[click][0](tracking_at(mlflow_uri))
    tracking.log(run_id, tags={"after": click})
    tracking.log_files(run_id, tmp_path)
    tracking.child_run(run_id, f"open child after {click}")
    tracking.finish(run_id)
    found = stored(tracking, tracking_at(mlflow_uri).parent_run("clicked"))
    assert (found["info"]["run_id"], found["info"]["status"], found["tags"]["after"]) == (run_id, "FINISHED", click)
    assert found["info"]["lifecycle_stage"] == experiment(tracking)["stage"] == "active"


def test_each_sentence_stands_once_in_the_run_whatever_was_restored_before(tracking: MlflowClient) -> None:
    run_id = tracking.parent_run("twice")
    for _ in range(2):
        delete_experiment(tracking)
        tracking.log(run_id, tags={"a": "b"})
    tracking.note(run_id, ["Another sentence."])
    assert restored(tracking, run_id).count("has been restored") == 1
    assert restored(tracking, run_id).endswith("Another sentence.")


def test_an_experiment_that_is_gone_for_good_is_made_again_with_its_runs(servers: Servers, mlflow_uri: str) -> None:
    tracking = tracking_at(mlflow_uri)
    parent = tracking.parent_run("cleared")
    child = tracking.child_run(parent, "ridge")
    number = experiment(tracking)["id"]
    delete_experiment(tracking)
    servers.clear_mlflow(number, "client")
    tracking.log(child, metrics={"r2": 0.5})
    tracking.finish(child)
    later = tracking_at(mlflow_uri)
    assert later.parent_run("cleared") != parent
    assert experiment(later)["stage"] == "active" and experiment(later)["id"] != number
    successor = later.child_run(parent, "ridge")
    assert stored(later, successor)["metrics"] == {"r2": 0.5}
    assert re.search(r"The run ridge \(\w+\) was gone from MLflow", restored(later, successor))
