"""A thousand homes have one price: in the API, in a notebook, from `mlflow models serve` and in a batch job.

The service, MLflow's tracking server, MLflow's scoring server, PostgreSQL and the bucket are real.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from homeprices.adapters.mlflow_client import MlflowClient
from homeprices.adapters.object_store import S3Bucket
from homeprices.data.cleaning import clean
from homeprices.data.preparation import prepare
from homeprices.data.synthetic import make_listings
from homeprices.model.presets import Preset
from homeprices.pricing.inputs import INPUTS
from homeprices.registry import bundle_publisher, mlflow_mirror
from homeprices.settings import load_settings
from homeprices.training.bundle_builder import build_bundle
from homeprices.workflows.score_batch import BatchRun
from tests.integration.inference.instance import Instance, eventually
from tests.support.factories import NOW
from tests.support.free_ports import free_ports
from tests.support.servers import Servers, clean_environment

HOMES = 1_000
TINY = Preset("quick", folds=2, repeats=1, trees=4, rounds=15, teachers=2, knots=12, copies=2, trials=0)
URI = f"models:/{mlflow_mirror.REGISTERED_MODEL}@candidate"
ANSWERED = ("estimated_price", "low", "high")
NOTEBOOK = """
import importlib.util, json, sys
# As where this project is not installed: without the finder of `make install`.
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
assert importlib.util.find_spec("homeprices") is None
import mlflow.pyfunc
import pandas as pd
homes = pd.DataFrame(json.load(sys.stdin))
print(mlflow.pyfunc.load_model(sys.argv[1]).predict(homes).to_json(orient="values", double_precision=10))
"""


def homes(locations: list[str], societies: list[str]) -> list[dict[str, Any]]:
    """Homes with odd spellings, unknown places, ints and floats, and optional inputs that are absent or None."""
    rng = random.Random(5)

    def spelled(text: str) -> str:
        return rng.choice([text, text.lower(), text.upper(), f" {text}  ", text.replace(" ", "  ")])

    made = []
    for _ in range(HOMES):
        area = rng.uniform(350, 6_000)
        home: dict[str, Any] = {
            "total_sqft": rng.choice([int(area), round(area, 1), float(int(area))]),
            "location": spelled(rng.choice([*locations[:40], "Atlantis", "A Place Nobody Knows"])),
            "bhk": rng.randint(1, 6),
            "bath": rng.choice([1, 2, 3, 2.0]),
        }
        optional = {
            "area_type": spelled(rng.choice(["Super built-up Area", "Built-up  Area", "Plot  Area", "Carpet Area"])),
            "balcony": rng.choice([0, 1, 2.0, 3]),
            "availability": rng.choice(["Ready To Move", "ready  to move", "18-Dec", "Immediate Possession", " "]),
            "society": spelled(rng.choice([*societies, "Nobody's Own"])),
        }
        made.append(home | {name: rng.choice([value, value, None]) for name, value in optional.items()})
    return made


@pytest.fixture(scope="module")
def mlflow_uri(servers: Servers) -> str:
    """Address of an MLflow server that no other test uses, because the alias of the candidate is moved."""
    return servers.mlflow("same_prices")


@pytest.fixture(scope="module")
def asked(s3: S3Bucket, mlflow_uri: str, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Publish and register a trained CO1; return homes of places and societies that it knows and does not know."""
    prepared = prepare(clean(make_listings(1_000, seed=11)))
    folder = tmp_path_factory.mktemp("trained") / "draft"
    build_bundle(
        "distilled",
        prepared,
        dataset=prepared.reference(version=4, key="data/raw/train_V4.csv", sha256="a" * 64),
        out=folder,
        seed=3,
        git_revision="b" * 40,
        mlflow_run_id=None,
        preset=TINY,
    )
    bundle_publisher.stage(s3, "run", folder)
    bundle_publisher.publish(s3, "run", "CO")
    tracking = MlflowClient(load_settings({"MLFLOW_TRACKING_URI": mlflow_uri}, ()))
    assert mlflow_mirror.sync_registered_model(tracking, s3)["candidate"] == "CO1"
    rows = prepared.training
    return homes(sorted(rows["location"].unique()), sorted({*rows["society"]} - {""})[:30])


@pytest.fixture(scope="module")
def answers_of_the_api(
    asked: list[dict[str, Any]], variables: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> list[list[float]]:
    """Price and interval of each home, as a real service answers them."""
    instance = Instance(tmp_path_factory.mktemp("service"), {**variables, "MODEL_PREFIX": "candidate_model"})
    instance.start()
    try:
        eventually(lambda: instance.serves("CO1"), "CO1 served")
        connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=60)
        found = [_ask(connection, home) for home in asked]
        connection.close()
    finally:
        instance.stop()
    assert len({tuple(answer) for answer in found}) > HOMES // 2
    return found


def _ask(connection: http.client.HTTPConnection, home: dict[str, Any]) -> list[float]:
    body = json.dumps({name: value for name, value in home.items() if value is not None})
    connection.request("POST", "/api/predict_home_price", body, {"Content-Type": "application/json"})
    answer = json.loads(connection.getresponse().read())
    return [answer["estimated_price"], answer["interval"]["low"], answer["interval"]["high"]]


@pytest.fixture(scope="module")
def outside(mlflow_uri: str, s3_settings: dict[str, str]) -> dict[str, str]:
    """The environment of a data scientist: MLflow's address and the bucket's credentials, and no `homeprices`."""
    return {
        **clean_environment(),
        **s3_settings,
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "MLFLOW_TRACKING_URI": mlflow_uri,
        "MLFLOW_S3_ENDPOINT_URL": s3_settings["AWS_ENDPOINT_URL_S3"],
        "PYTHONWARNINGS": "ignore",
    }


def as_the_dataset_spells(home: dict[str, Any]) -> dict[str, Any]:
    """The home with the dataset's own column for bedrooms."""
    rest = {name: value for name, value in home.items() if name != "bhk"}
    return {**rest, "size": f"{home['bhk']} {'BHK' if home['bhk'] % 2 else 'Bedroom'}"}


@pytest.mark.parametrize("columns", ["of the API", "of the dataset"])
def test_a_notebook_prices_as_the_api_does(
    columns: str,
    asked: list[dict[str, Any]],
    answers_of_the_api: list[list[float]],
    outside: dict[str, str],
    tmp_path: Path,
) -> None:
    given = asked if columns == "of the API" else [as_the_dataset_spells(home) for home in asked]
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK, URI], input=json.dumps(given), env=outside, cwd=tmp_path,
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    assert json.loads(done.stdout) == answers_of_the_api


@pytest.fixture(scope="module")
def scoring_url(asked: object, outside: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `mlflow models serve` with the candidate."""
    folder = tmp_path_factory.mktemp("scoring")
    [port] = free_ports(1)
    command = ["mlflow", "models", "serve", "-m", URI, "--env-manager", "local", "-p", str(port), "-w", "1"]
    log = folder / "serve.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(Path(sys.executable).parent / command[0]), *command[1:]],
            env=outside, cwd=folder, stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: _is_up(url, process, log), "mlflow models serve answers", 300)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def _is_up(url: str, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()[-4000:]
    try:
        return httpx.get(f"{url}/ping", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def test_mlflow_models_serve_prices_as_the_api_does(
    asked: list[dict[str, Any]], answers_of_the_api: list[list[float]], scoring_url: str
) -> None:
    for given in (asked, [as_the_dataset_spells(home) for home in asked]):
        answer = httpx.post(f"{scoring_url}/invocations", json={"dataframe_records": given}, timeout=120)
        assert answer.status_code == 200, answer.text[-2000:]
        assert [[row[name] for name in ANSWERED] for row in answer.json()["predictions"]] == answers_of_the_api


def test_a_home_that_the_api_refuses_is_refused_by_name(asked: list[dict[str, Any]], scoring_url: str) -> None:
    wrong = [asked[0], {**asked[1], "bath": 0}]
    answer = httpx.post(f"{scoring_url}/invocations", json={"dataframe_records": wrong}, timeout=120)
    assert answer.status_code == 400
    assert "row 1: bath 0" in answer.text and "must be a whole number from 1 to 50" in answer.text


def test_a_batch_job_prices_as_the_api_does(
    asked: list[dict[str, Any]], answers_of_the_api: list[list[float]], s3: S3Bucket
) -> None:
    columns = {field.name: [home.get(field.name) for home in asked] for field in INPUTS}
    columns = {name: [float(v) if isinstance(v, int) else v for v in values] for name, values in columns.items()}
    target = io.BytesIO()
    pq.write_table(pa.table(columns), target)
    s3.put("in/homes.parquet", target.getvalue())
    run = BatchRun(s3, "same-prices")
    for number in run.plan("in/", "CO1", NOW):
        run.score(number)
    assert run.finish(NOW)["refused"] == 0
    [key] = [entry.key for entry in s3.list("batch/same-prices/partitions/") if entry.key.endswith(".parquet")]
    rows = pq.read_table(io.BytesIO(s3.get(key).body), columns=["row", *ANSWERED]).sort_by("row").to_pylist()
    assert [[round(row[name], 2) for name in ANSWERED] for row in rows] == answers_of_the_api
