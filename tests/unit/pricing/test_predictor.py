import json
import math
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from homeprices.errors import BundleRefused
from homeprices.pricing.bundle import Bundle, digest
from homeprices.pricing.home import Home
from homeprices.pricing.predictor import Predictor
from tests.support.bundles import LOCATION_LEVELS, LOWER_FACTOR, UPPER_FACTOR, make_bundle, make_draft, price

HOME = Home(total_sqft=1200, location="Whitefield", bhk=2, bath=2)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """The predictor of a small bundle."""
    return Predictor(Bundle.open(make_bundle(tmp_path_factory.mktemp("bundles") / "BO1", "BO1")))


def reopened(folder: Path, **changes: object) -> Bundle:
    """The bundle after its manifest was changed, with digests that fit its files again."""
    manifest = json.loads((folder / "manifest.json").read_text()) | changes
    manifest["files"] = {name: digest(folder / name).model_dump() for name in manifest["files"]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return Bundle.open(folder)


def test_an_estimate_is_the_graphs_price_with_its_interval(predictor: Predictor) -> None:
    estimate = predictor.estimate([HOME])[0]
    assert estimate.price == pytest.approx(price(1200, "Whitefield", 2), rel=1e-5)
    assert (estimate.low, estimate.high) == (estimate.price * LOWER_FACTOR, estimate.price * UPPER_FACTOR)
    assert (estimate.location, estimate.location_known) == ("Whitefield", True)


def test_an_unknown_location_is_priced_as_other_and_said_so(predictor: Predictor) -> None:
    estimate = predictor.estimate([HOME.model_copy(update={"location": "Atlantis"})])[0]
    assert (estimate.location, estimate.location_known) == ("other", False)
    assert estimate.price == pytest.approx(price(1200, "other", 2), rel=1e-5)


def test_capitals_and_spaces_of_a_location_change_nothing(predictor: Predictor) -> None:
    spellings = [HOME.model_copy(update={"location": text}) for text in ("whitefield", "  WHITEFIELD ")]
    assert set(predictor.estimate(spellings)) == set(predictor.estimate([HOME]))


def test_many_homes_are_answered_in_order_and_as_one_by_one(predictor: Predictor) -> None:
    homes = [HOME.model_copy(update={"total_sqft": 500.0 + n, "bhk": 1 + n % 5}) for n in range(50)]
    assert predictor.estimate(homes) == [predictor.estimate([home])[0] for home in homes]
    assert predictor.estimate([]) == []


def test_it_names_its_version_and_locations(predictor: Predictor) -> None:
    assert (predictor.version, predictor.locations) == ("BO1", tuple(sorted(LOCATION_LEVELS)))


def test_a_draft_can_be_loaded_before_its_release(tmp_path: Path) -> None:
    draft = Predictor(Bundle.open_draft(make_draft(tmp_path / "draft", factor=2.0)))
    assert draft.estimate([HOME])[0].price == pytest.approx(price(1200, "Whitefield", 2, factor=2.0), rel=1e-5)


def test_threads_share_one_predictor(predictor: Predictor) -> None:
    """Each asks for a home of its own, while threads take turns far oftener than they do by themselves."""
    homes = [HOME.model_copy(update={"total_sqft": 600.0 + 100 * number}) for number in range(8)]
    expected = [predictor.estimate([home]) * 50 for home in homes]
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(len(homes)) as threads:
            answers = list(threads.map(lambda home: [predictor.estimate([home])[0] for _ in range(50)], homes))
    finally:
        sys.setswitchinterval(usual)
    assert answers == expected


@settings(max_examples=50, deadline=None)
@given(
    area=st.floats(100, 100_000),
    bhk=st.integers(1, 50),
    bath=st.integers(1, 50),
    location=st.sampled_from([*LOCATION_LEVELS, "?"]),
)
def test_every_home_that_can_be_asked_about_has_a_finite_price(
    predictor: Predictor, area: float, bhk: int, bath: int, location: str
) -> None:
    estimate = predictor.estimate([Home(total_sqft=area, location=location, bhk=bhk, bath=bath)])[0]
    assert 0 < estimate.low <= estimate.price <= estimate.high < math.inf


def test_a_model_that_does_not_give_its_golden_prices_is_refused(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "bundle", "BO2")
    other = make_bundle(tmp_path / "other", "BO3", factor=1.001)
    (folder / "model.onnx").write_bytes((other / "model.onnx").read_bytes())
    with pytest.raises(BundleRefused, match="BO2: the price of golden input"):
        Predictor(reopened(folder))


def test_golden_prices_may_differ_in_their_last_digits(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "bundle", "BO2")
    other = make_bundle(tmp_path / "other", "BO3", factor=1.00001)
    (folder / "model.onnx").write_bytes((other / "model.onnx").read_bytes())
    assert Predictor(reopened(folder)).version == "BO2"


def test_an_interval_that_is_not_the_golden_one_is_refused(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "bundle", "BO2")
    columns = json.loads((folder / "columns.json").read_text())
    columns["interval"]["lower_factor"] = 0.5
    (folder / "columns.json").write_text(json.dumps(columns))
    with pytest.raises(BundleRefused, match="the low of golden input"):
        Predictor(reopened(folder))


def test_a_golden_input_that_is_no_home_refuses_the_bundle(tmp_path: Path) -> None:
    golden = [{"input": {"total_sqft": 1}, "estimated_price": 1, "low": 1, "high": 1}]
    bundle = reopened(make_bundle(tmp_path / "bundle", "BO2"), golden=golden)
    with pytest.raises(BundleRefused, match=r"golden input .* cannot be priced: total_sqft: must be"):
        Predictor(bundle)


@pytest.mark.parametrize("factor", [math.nan, -1.0, 0.0, math.inf])
def test_a_model_that_answers_no_price_is_refused(tmp_path: Path, factor: float) -> None:
    folder = make_bundle(tmp_path / "bundle", "BO2")
    other = tmp_path / "other"
    make_bundle(other, "BO3")
    model = onnx.load(other / "model.onnx")
    scale = next(tensor for tensor in model.graph.initializer if tensor.name == "factor")
    scale.CopyFrom(helper.make_tensor("factor", onnx.TensorProto.FLOAT, [1], [factor]))
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(BundleRefused, match="the model answers"):
        Predictor(reopened(folder))


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "bundle", "BO2")
    (folder / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(BundleRefused, match="BO2: the model cannot be loaded"):
        Predictor(reopened(folder))


def test_columns_that_are_not_the_graphs_inputs_are_refused(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "bundle", "BO2")
    columns = json.loads((folder / "columns.json").read_text())
    columns["inputs"].append({"name": "balcony", "type": "number"})
    (folder / "columns.json").write_text(json.dumps(columns))
    with pytest.raises(BundleRefused, match="its columns say"):
        Predictor(reopened(folder))


def test_a_graph_without_the_estimate_is_refused(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "bundle", "BO2")
    model = onnx.load(folder / "model.onnx")
    model.graph.node[-1].output[0] = model.graph.output[0].name = "guess"
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(BundleRefused, match="no output named estimate"):
        Predictor(reopened(folder))
