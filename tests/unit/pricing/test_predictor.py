import json
import math
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from homeprices.errors import BundleRefused
from homeprices.pricing.bundle import Bundle, digest
from homeprices.pricing.explanation import explain
from homeprices.pricing.home import Home
from homeprices.pricing.predictor import Predictor
from tests.support.bundles import (
    LOCATION_LEVELS,
    LOWER_FACTOR,
    UPPER_FACTOR,
    make_bundle,
    make_draft,
    make_place_prices,
    price,
)

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


@pytest.fixture
def own_intervals(tmp_path: Path) -> Predictor:
    """The predictor of a graph with outputs for the interval, whose columns.json has wider factors."""
    return Predictor(with_outputs(tmp_path, low=LOWER_FACTOR, high=UPPER_FACTOR))


def with_outputs(folder: Path, **factors: float) -> Bundle:
    """A bundle whose graph also answers the estimate times each factor, by the name of the output."""
    made = make_bundle(folder / "own", "BO2")
    model = onnx.load(made / "model.onnx")
    for name, factor in factors.items():
        model.graph.initializer.append(helper.make_tensor(f"{name}_factor", onnx.TensorProto.FLOAT, [1], [factor]))
        model.graph.node.append(helper.make_node("Mul", ["estimate", f"{name}_factor"], [name]))
        model.graph.output.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, 1]))
    (made / "model.onnx").write_bytes(model.SerializeToString())
    if factors.keys() == {"low", "high"}:
        columns = json.loads((made / "columns.json").read_text())
        columns["interval"] |= {"lower_factor": 0.5, "upper_factor": 2.0}
        (made / "columns.json").write_text(json.dumps(columns))
    return reopened(made)


def as_columns(predictor: Predictor, homes: list[Home]) -> dict[str, np.ndarray]:
    """The homes as feature columns, in which a number has twice the precision that the graph takes."""
    return {name: np.array([getattr(home, name) for home in homes]) for name in predictor.inputs}


@pytest.mark.parametrize("of", ["predictor", "own_intervals"])
def test_columns_of_homes_have_the_prices_of_the_homes(of: str, request: pytest.FixtureRequest) -> None:
    model: Predictor = request.getfixturevalue(of)
    homes = [HOME.model_copy(update={"total_sqft": 500.0 + n, "bhk": 1 + n % 5}) for n in range(50)]
    prices, lows, highs = model.price_columns(as_columns(model, homes))
    assert prices.dtype == np.float64 and prices.shape == lows.shape == highs.shape == (50,)
    for *row, home in zip(prices, lows, highs, model.estimate(homes), strict=True):
        assert row == [home.price, home.low, home.high]
        assert (home.low / home.price, home.high / home.price) == pytest.approx((LOWER_FACTOR, UPPER_FACTOR))


def test_a_graph_that_answers_half_an_interval_has_that_of_its_columns(tmp_path: Path) -> None:
    half = Predictor(with_outputs(tmp_path, low=0.9))
    estimate = half.estimate([HOME])[0]
    assert estimate.low / estimate.price == pytest.approx(LOWER_FACTOR)


def test_an_interval_that_ends_at_its_price_is_one(tmp_path: Path) -> None:
    bundle = with_outputs(tmp_path, low=1.0, high=1.0)
    golden = [
        each.model_copy(update={"low": each.estimated_price, "high": each.estimated_price})
        for each in bundle.manifest.golden
    ]
    model = Predictor(replace(bundle, manifest=bundle.manifest.model_copy(update={"golden": golden})))
    (estimate,) = model.estimate([HOME])
    assert estimate.low == estimate.price == estimate.high
    assert [column[0] for column in model.price_columns(as_columns(model, [HOME]))] == [estimate.price] * 3


@pytest.mark.parametrize(("area", "wrong"), [(-1.0, "nan"), (0.0, "0.0"), (math.inf, "inf"), (math.nan, "nan")])
def test_columns_without_a_price_are_refused_with_the_first_such_price(
    predictor: Predictor, area: float, wrong: str
) -> None:
    columns = as_columns(predictor, [HOME, HOME, HOME])
    columns["total_sqft"] = np.array([1200.0, area, 1200.0])
    with pytest.raises(BundleRefused, match=rf"BO1: the model answers {wrong} lakh rupees \({wrong} to {wrong}\)"):
        predictor.price_columns(columns)


def test_a_price_of_less_than_a_lakh_is_one(tmp_path: Path) -> None:
    cheap = Predictor(Bundle.open(make_bundle(tmp_path / "BO1", "BO1", factor=0.001)))
    (estimate,) = cheap.estimate([HOME])
    assert 0 < estimate.price < 1
    assert cheap.price_columns(as_columns(cheap, [HOME]))[0] == [estimate.price]


def test_columns_whose_price_lies_outside_its_interval_are_refused(tmp_path: Path) -> None:
    for folder, low, high in (("low", 1.1, 1.5), ("high", 0.7, 0.9)):
        bundle = with_outputs(tmp_path / folder, low=low, high=high)
        unchecked = Predictor(replace(bundle, manifest=bundle.manifest.model_copy(update={"golden": []})))
        with pytest.raises(BundleRefused, match="the model answers"):
            unchecked.price_columns(as_columns(unchecked, [HOME]))
        with pytest.raises(BundleRefused, match="the model answers"):
            unchecked.estimate([HOME])


def test_it_names_the_inputs_that_the_model_uses(predictor: Predictor) -> None:
    assert predictor.inputs == tuple(spec.name for spec in predictor.bundle.columns.inputs)


def test_it_tells_an_unusual_home_and_a_location_that_was_meant(predictor: Predictor) -> None:
    assert predictor.unusual_inputs(HOME) == {}
    assert "total_sqft" in predictor.unusual_inputs(HOME.model_copy(update={"total_sqft": 90_000.0}))
    assert predictor.suggested_location("whitefeild") == "Whitefield"
    assert predictor.suggested_location("Atlantis") is None


def test_the_time_of_an_estimate_is_the_least_of_its_repetitions(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([10.0, 10.5, 20.0, 20.25, 30.0, 31.0])
    priced: list[list[Home]] = []
    monkeypatch.setattr(time, "thread_time", lambda: next(clock))
    monkeypatch.setattr(predictor, "estimate", priced.append)
    assert predictor.estimate_seconds(repeats=3) == 0.25
    assert priced == [[Home.parse(predictor.bundle.manifest.golden[0].input)]] * 3


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


THEN, NOW = date(2026, 1, 1), date(2026, 6, 1)


@pytest.fixture
def dated(tmp_path: Path) -> Predictor:
    """A model that uses place prices."""
    return Predictor(Bundle.open(make_bundle(tmp_path / "BO1", "BO1", place_prices=make_place_prices(THEN))))


def test_every_price_follows_the_level_of_its_place(dated: Predictor) -> None:
    unlisted = HOME.model_copy(update={"location": "Atlantis"})
    before, other = dated.estimate([HOME, unlisted])
    dated.use_place_prices(make_place_prices(NOW, whitefield=1.2, city=0.9))
    after, of_city = dated.estimate([HOME.model_copy(update={"location": " WHITEFIELD"}), unlisted])
    for name in ("price", "low", "high"):
        assert getattr(after, name) == pytest.approx(1.2 * getattr(before, name))
        assert getattr(of_city, name) == pytest.approx(0.9 * getattr(other, name))
    assert dated.place_prices_as_of == NOW
    dated.use_place_prices(None)
    assert dated.estimate([HOME]) == [before] and dated.place_prices_as_of == THEN


def test_an_explanation_follows_the_level_too(dated: Predictor) -> None:
    home = HOME.model_copy(update={"total_sqft": 2_000.0})
    before = explain(dated, home, {"total_sqft": 1_200.0, "bhk": 2.0, "bath": 2.0})
    dated.use_place_prices(make_place_prices(NOW, whitefield=1.5))
    after = explain(dated, home, {"total_sqft": 1_200.0, "bhk": 2.0, "bath": 2.0})
    assert (after.price, after.baseline) == pytest.approx((1.5 * before.price, 1.5 * before.baseline), abs=0.02)
    assert after.price == pytest.approx(after.baseline + sum(after.added.values()))


def test_a_table_that_is_older_than_the_model_changes_nothing(dated: Predictor) -> None:
    [before] = dated.estimate([HOME])
    dated.use_place_prices(make_place_prices(THEN, whitefield=2.0))
    assert dated.estimate([HOME]) == [before]


@pytest.mark.parametrize("level", [4.1, 0.2])
def test_a_table_whose_levels_differ_manyfold_is_refused_and_the_old_one_stays(dated: Predictor, level: float) -> None:
    dated.use_place_prices(make_place_prices(NOW, whitefield=1.2))
    before = dated.estimate([HOME])
    with pytest.raises(BundleRefused, match="4-fold is allowed"):
        dated.use_place_prices(make_place_prices(date(2026, 7, 1), whitefield=level))
    assert dated.estimate([HOME]) == before


def test_a_model_without_place_prices_ignores_a_table(predictor: Predictor) -> None:
    before = predictor.estimate([HOME])
    predictor.use_place_prices(make_place_prices(NOW, whitefield=2.0))
    assert predictor.estimate([HOME]) == before and predictor.place_prices_as_of is None
    assert "place_prices" not in predictor.bundle.manifest.model_dump_json()


def test_a_bundle_whose_table_is_missing_or_of_another_day_is_refused(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "BO1", "BO1", place_prices=make_place_prices(THEN))
    with pytest.raises(BundleRefused, match=r"place_prices.json is of 2026-01-01, not of 2026-01-02"):
        Predictor(reopened(folder, place_prices_as_of="2026-01-02"))
    bare = make_bundle(tmp_path / "BO2", "BO2")
    with pytest.raises(BundleRefused, match=r"does not list place_prices.json"):
        Predictor(reopened(bare, place_prices_as_of="2026-01-02"))
