"""A raw input is declared once: no other module names it, and adding one changes at most four source files."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import recipes

ROOT = Path(__file__).parents[2]
RECIPE = recipes.recipe("raw-input")
NAMES = re.compile(r"\b(total_sqft|bhk|bath|society)\b")
SEARCHED = ("homeprices", "inference", "router", "monitoring", "local", "dags", "compose", "iac", "kubernetes",
            "benchmarks", "tests/load")  # fmt: skip
ALLOWED = {
    "homeprices/pricing/inputs.py": "the declaration",
    "homeprices/data/": "the raw table of listings, how it is cleaned, and synthetic listings",
    "homeprices/tables/units.py": "the spellings of a size, such as `3 bhk`",
    "homeprices/tables/quantities.py": "which numbers of a home go together",
    "homeprices/model/features_by_estimator.py": "what the model computes from each input",
    "inference/openapi.json": "generated",
    "inference/frontend/index.": "generated",
    "monitoring/grafana/dashboards/business.json": "generated",
    "benchmarks/": "requests and tables as a client writes them, partly in environments without this library",
}

ON_THE_COPY = """
import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from homeprices.batch.feature_reader import FeatureReader
from homeprices.data import contract
from homeprices.data.cleaning import clean
from homeprices.data.preparation import prepare
from homeprices.data.synthetic import make_listings
from homeprices.drift.file_samples import sample_of_frame
from homeprices.drift.findings import NAMES
from homeprices.drift.samples import sample_of_visits
from homeprices.errors import InvalidInput
from homeprices.model.presets import Preset
from homeprices.pricing.features import Locations
from homeprices.pricing.home import FEATURES, Home
from homeprices.pricing.inputs import INPUTS
from homeprices.pricing.manifest import DatasetReference
from homeprices.training.bundle_builder import build_bundle
from homeprices.training.mlflow_model import MLMODEL_FILE
from homeprices.pricing.bundle import Bundle
from homeprices.pricing.predictor import Predictor
from inference import generated
from inference.backend.api.openapi import document
from tests.load.listings import listings_of

form = {field.name: field.example for field in INPUTS if field.required}
found = {}

home = Home.parse({**form, "parking": " 2 "})
found["home"] = home.parking == 2 and Home.parse(form).parking is None
try:
    Home.parse({**form, "parking": 11})
except InvalidInput as error:
    found["errors"] = error.fields == {"parking": "must be a whole number from 0 to 10"}
found["log"] = home.model_dump(exclude_none=True)["parking"] == 2
schema = document()["components"]["schemas"]["Home"]
found["schema"] = schema["properties"]["parking"]["maximum"] == 10 and "parking" not in schema["required"]

batch = pa.RecordBatch.from_pylist([{**form, "parking": 2}, {**form, "parking": None}, {**form, "parking": 11}])
features = FeatureReader(Locations([])).read(batch)
found["batch"] = features.columns["parking"][0] == 2 and np.isnan(features.columns["parking"][1])
found["batch errors"] = [refused.row for refused in features.refused] == [2]

visits = sample_of_visits([{**form, "parking": 3, "estimate": 60.0}])
found["drift of traffic"] = visits.features["parking"].mean == 3
found["drift names"] = NAMES["parking"] == "number of parking spaces"

raw = make_listings(400, seed=11)
raw["parking"] = np.where(np.arange(len(raw)) % 3 == 0, "", (np.arange(len(raw)) % 4).astype(str))
cleaned = clean(raw)
contract.require_raw(raw)
contract.require_training_rows(cleaned)
found["cleaning"] = cleaned.rows["parking"].max() == 3 and cleaned.quality()["missing"]["parking"] > 0
found["drift of files"] = sample_of_frame(raw).counted.sample.features["parking"].present > 0
found["load"] = any(listing.home.get("parking") == 3 for listing in listings_of(raw))

tiny = Preset("quick", folds=2, repeats=1, trees=2, rounds=5, teachers=2, knots=6, copies=1, trials=0)
prepared = prepare(cleaned)
out = Path("draft")
dataset = DatasetReference(version=1, key="data/raw/train_V1.csv", sha256="a" * 64, rows=len(raw),
                           rows_used=len(cleaned.rows))
build_bundle("boosting", prepared, dataset=dataset, out=out, seed=3, git_revision="b" * 40, mlflow_run_id=None,
             preset=tiny)
columns = json.loads((out / "columns.json").read_text())
found["columns.json"] = {"name": "parking", "type": "number"} in columns["inputs"]
found["reference.json"] = "parking" in json.loads((out / "reference.json").read_text())["features"]
signature = json.loads((out / MLMODEL_FILE).read_text())["signature"]["inputs"]
found["MLflow signature"] = "parking" in [column["name"] for column in json.loads(signature)]
found["model card"] = "number of parking spaces" in (out / "model_card.md").read_text()
found["served"] = Predictor(Bundle.open_draft(out)).estimate([home])[0].price > 0

found["stale before"] = generated.main(["--check"]) == 1
generated.main([])
found["OpenAPI document"] = "parking spaces of the home" in generated.OPENAPI.read_text()
found["form"] = 'id="parking" name="parking" type="number"' in generated.FORM.read_text()
found["documents"] = "| `parking` | parking spaces of the home |" in generated.DOCUMENT.read_text()
found["stale after"] = generated.main(["--check"]) == 0

print("missing:", sorted(place for place, there in found.items() if not there), "of", len(found))
"""


def sources(*places: str) -> list[str]:
    """The files of these folders, without what programs leave beside them; git may not be installed."""
    found = [path for place in places for path in [ROOT / place, *(ROOT / place).rglob("*")]]
    kept = (path for path in found if path.is_file() and "__pycache__" not in path.parts and path.name[0] != ".")
    return [path.relative_to(ROOT).as_posix() for path in kept]


def names_an_input(name: str) -> bool:
    try:
        return bool(NAMES.search((ROOT / name).read_text(encoding="utf-8")))
    except UnicodeDecodeError:
        return False


def test_no_other_module_names_an_input() -> None:
    naming = {name for name in sources(*SEARCHED) if names_an_input(name)}
    assert {name for name in naming if not name.startswith(tuple(ALLOWED))} == set()
    assert {entry for entry in ALLOWED if not any(name.startswith(entry) for name in naming)} == set(), "too many"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree with one more input, `parking`."""
    folder = tmp_path_factory.mktemp("tree")
    changed = [name for name, _ in RECIPE.files()]
    for name in {*sources("homeprices", "inference", "tests/load", "documentations/inference.md"), *changed}:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    RECIPE.apply(folder)
    return folder


def test_a_new_optional_input_takes_four_files_and_is_everywhere(copy: Path) -> None:
    sources_changed = {name for name, _ in RECIPE.files() if name.startswith("homeprices/")}
    assert len(sources_changed - {"homeprices/data/synthetic.py"}) <= 4

    done = subprocess.run(
        [sys.executable, "-c", ON_THE_COPY], cwd=copy, env={"PYTHONPATH": str(copy), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=False, timeout=540,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "missing: [] of" in done.stdout, done.stdout
