"""A DataFrame is priced as the API prices its rows, in every spelling that pandas gives them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import homeprices
from homeprices.errors import BundleRefused, InvalidInput
from homeprices.pricing import pyfunc_loader
from homeprices.pricing.frame_model import FrameModel
from homeprices.training.mlflow_model import write_mlflow_model
from tests.support.bundles import make_bundle, make_draft, price
from tests.support.factories import NOW

HOME = {"total_sqft": 1200, "location": "Whitefield", "bhk": 2, "bath": 2}
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> FrameModel:
    """The model of a small bundle, as MLflow loads it."""
    return FrameModel(make_bundle(tmp_path_factory.mktemp("bundle"), "BO1"))


def priced(model: FrameModel, frame: pd.DataFrame) -> list[float]:
    return model.predict(frame)["estimated_price"].tolist()


def test_the_answer_has_the_rows_of_the_question(model: FrameModel) -> None:
    frame = pd.DataFrame([HOME, {**HOME, "total_sqft": 900.5}], index=[7, "b"])
    answer = model.predict(frame)
    assert answer.index.tolist() == [7, "b"]
    assert answer.columns.tolist() == ["estimated_price", "low", "high"]
    assert answer["estimated_price"].tolist() == [
        pytest.approx(price(area, "Whitefield", 2), abs=0.01) for area in (1200, 900.5)
    ]
    assert answer["estimated_price"].round(2).tolist() == answer["estimated_price"].tolist()
    assert model.predict(frame.iloc[:0]).empty


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame([{**HOME, "bath": 2.0, "bhk": 2.0}]),
        pd.DataFrame([{**HOME, "balcony": None, "society": np.nan, "availability": pd.NA, "area_type": pd.NaT}]),
        pd.DataFrame([HOME]).astype({"bhk": "Int64", "bath": "float32", "location": "string"}),
        pd.DataFrame([HOME]).astype({"bhk": "int8", "location": "category"}),
        pd.DataFrame([HOME]).astype(str),
        pd.DataFrame([{name: np.array(value)[()] for name, value in HOME.items()}], dtype=object),
        pd.DataFrame([{**HOME, "size": "2 BHK", "price": 50.0, "unnamed": "x"}]),
        pd.DataFrame([{**HOME, "size": "2 Bedroom"}]).drop(columns="bhk"),
        pd.DataFrame([{**HOME, "size": " ", "location": " WHITEFIELD  "}]),
    ],
    ids=["floats", "missing", "nullable", "category", "text", "numpy", "extra", "size", "blank"],
)
def test_a_home_has_one_price_however_pandas_holds_it(model: FrameModel, frame: pd.DataFrame) -> None:
    assert priced(model, frame) == priced(model, pd.DataFrame([HOME]))


def test_a_column_of_sizes_and_bedrooms_takes_whichever_is_there(model: FrameModel) -> None:
    sizes = ("4 Bedroom", "4", 4, 4.0)
    frame = pd.DataFrame([{**HOME, "bhk": 4, "size": "NA"}, *({**HOME, "bhk": None, "size": size} for size in sizes)])
    assert len(set(priced(model, frame))) == 1


def test_more_homes_than_a_call_takes_keep_their_order(model: FrameModel) -> None:
    areas = np.linspace(300, 5000, 9_000).round(1)
    frame = pd.DataFrame([HOME] * len(areas)).assign(total_sqft=areas)
    expected = [round(price(area, "Whitefield", 2), 2) for area in areas]
    np.testing.assert_allclose(priced(model, frame), expected, atol=0.011)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"bath": 2.5}, r"row 1: bath 2\.5: must be a whole number from 1 to 50"),
        ({"bath": None}, r"row 1: bath is missing: is required"),
        ({"area_type": "Lake Area"}, r"row 1: area_type 'Lake Area': must be one of"),
        ({"location": "x" * 5_000}, r"row 1: location 'x{39}…: must be text of 1 to 100"),
        ({"bhk": None, "size": "two"}, r"row 1: size 'two': must be bedrooms such as 2 BHK"),
        ({"size": "3 BHK"}, r"row 1: size '3 BHK': is not 2, which bhk is"),
        ({"bhk": None, "size": f"{'9' * 5000} BHK"}, r"row 1: size '9{39}…: must be bedrooms"),
        ({"balcony": True}, r"row 1: balcony True: must be a number, not true"),
    ],
)
def test_a_wrong_row_is_named_with_its_value_and_what_is_allowed(
    model: FrameModel, values: dict[str, object], sentence: str
) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        model.predict(pd.DataFrame([HOME, {**HOME, **values}], dtype=object))


def test_a_column_that_is_given_twice_is_refused(model: FrameModel) -> None:
    frame = pd.DataFrame([HOME])
    with pytest.raises(InvalidInput, match="bath: is given more than once"):
        model.predict(pd.concat([frame, frame[["bath"]]], axis=1))


def test_of_many_wrong_rows_the_first_are_named_and_the_rest_counted(model: FrameModel) -> None:
    with pytest.raises(InvalidInput, match=r"row 0: .*row 2: .*and 997 more rows$"):
        model.predict(pd.DataFrame([{**HOME, "bath": 0}] * 1_000))
    with pytest.raises(InvalidInput, match=r"columns: none of total_sqft, location, .*but \['Area'\]"):
        model.predict(pd.DataFrame({"Area": [1]}))


def test_an_altered_bundle_is_refused(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "bundle", "BO1")
    (folder / "columns.json").write_text("{}")
    with pytest.raises(BundleRefused, match=r"columns\.json has 2 bytes"):
        FrameModel(folder)


def test_two_bundles_price_by_their_own_code_and_leave_the_process_its_package(tmp_path: Path) -> None:
    folders = [make_draft(tmp_path / name) for name in ("one", "two")]
    for folder in folders:
        write_mlflow_model(folder, created_at=NOW, run_id=None)
    digits = folders[1] / pyfunc_loader.LIBRARY / "homeprices/pricing/predictor.py"
    digits.write_text(digits.read_text().replace("PRICE_DIGITS = 2", "PRICE_DIGITS = 0"))
    before = {name: module for name, module in sys.modules.items() if name.startswith("homeprices")}
    one, two = (pyfunc_loader._load_pyfunc(str(folder)) for folder in folders)
    assert {name: module for name, module in sys.modules.items() if name.startswith("homeprices")} == before
    assert sys.modules["homeprices"] is homeprices
    [first], [second] = (priced(model, pd.DataFrame([HOME])) for model in (one, two))
    assert first != second == round(first)
    with pytest.raises(Exception, match="bath 0: must be a whole number"):  # the copy's own InvalidInput
        one.predict(pd.DataFrame([{**HOME, "bath": 0}]))


def test_the_code_of_a_bundle_imports_nothing_else_of_homeprices(tmp_path: Path) -> None:
    folder = make_draft(tmp_path / "bundle")
    write_mlflow_model(folder, created_at=NOW, run_id=None)
    script = (
        "import sys, homeprices_bundle as loader; before = {*sys.modules}; loader._load_pyfunc(sys.argv[1]); "
        "print(*sorted({name.split('.')[0] for name in {*sys.modules} - before} & "
        "{'mlflow', 'sklearn', 'pyarrow', 'boto3', 'httpx', 'sqlalchemy', 'flask', 'skops', 'matplotlib'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, folder], cwd=folder / "pyfunc", capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) <= {"pyarrow"}  # pandas imports it where it is installed
