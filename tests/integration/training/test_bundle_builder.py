"""From training rows to a bundle that is verified, checked, and can be read by a person."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from homeprices.data.cleaning import clean
from homeprices.data.preparation import SALT, prepare, to_homes, to_priced_homes
from homeprices.errors import PublicationRefused
from homeprices.model.price_model import PriceModel
from homeprices.pricing.accuracy import kinds_of
from homeprices.pricing.bundle import Bundle
from homeprices.pricing.explanation import explain
from homeprices.pricing.home import Home
from homeprices.pricing.inputs import INPUT, INPUTS
from homeprices.pricing.manifest import TextReference
from homeprices.pricing.predictor import Predictor
from homeprices.training import bundle_builder, ratio_study, validation
from homeprices.training.validation_report import model_card
from tests.integration.training.conftest import SEED, TINY, encoded

Split = tuple[pd.DataFrame, pd.DataFrame]

AS_MLFLOW_DOES = """
import importlib.util, json, sys
# As where this project is not installed: without the finder of `make install`.
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
assert importlib.util.find_spec("homeprices") is None
import mlflow.pyfunc
model = mlflow.pyfunc.load_model(sys.argv[1])
assert not [name for name in sys.modules if name.split(".")[0] in ("homeprices", "sklearn", "skops", "pickle5")]
columns = lambda schema: {spec.name: spec.required for spec in schema}
print(json.dumps({
    "taken": columns(model.metadata.get_input_schema()),
    "given": columns(model.metadata.get_output_schema()),
    "example": model.predict(model.input_example).to_dict("split"),
}))
"""
"""In a folder from which `homeprices` cannot be imported."""


@pytest.fixture(scope="module")
def folder(raw: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a draft bundle that was trained."""
    out = tmp_path_factory.mktemp("bundle") / "draft"
    prepared = prepare(clean(raw))
    bundle_builder.build_bundle(
        "distilled",
        prepared,
        dataset=prepared.reference(version=4, key="data/raw/train_V4.csv", sha256="a" * 64),
        out=out,
        seed=SEED,
        git_revision="b" * 40,
        mlflow_run_id=None,
        preset=TINY,
        created_at=datetime(2026, 2, 1, tzinfo=UTC),
    )
    return out


def test_serving_answers_what_the_model_says_with_its_interval(
    folder: Path, split: Split, distilled: PriceModel
) -> None:
    predictor = Predictor(Bundle.open_draft(folder))
    for form in (True, False):
        expected = distilled.estimate(encoded(distilled, split[1], form=form))
        answers = predictor.estimate(to_homes(split[1], form=form))
        assert len(answers) == len(split[1])
        np.testing.assert_allclose([answer.price for answer in answers], expected.price, rtol=1e-4)
        np.testing.assert_allclose([answer.low for answer in answers], expected.low, rtol=1e-4)
        np.testing.assert_allclose([answer.high for answer in answers], expected.high, rtol=1e-4)
    widths = [answer.high / answer.low for answer in answers]
    assert max(widths) > 1.2 * min(widths), "an interval is scaled to its home"


def test_it_passes_every_check_and_one_that_fails_names_the_homes(folder: Path) -> None:
    report = validation.check(folder)
    assert report.passed and len(report.checks) == 7


def test_the_manifest_says_which_rows_were_kept_apart_and_how_well_they_are_priced(folder: Path) -> None:
    draft = Bundle.open_draft(folder).manifest
    assert draft.dataset.holdout == SALT
    assert draft.metrics["all_median_ape"] < draft.metrics["constant_median_ape"]
    assert 0.75 < draft.metrics["interval_coverage"] <= 1
    assert 0 < draft.metrics["all_interval_log_width"] < draft.metrics["interval_log_width"]


def test_the_reference_has_every_input_the_societies_too(folder: Path, split: Split) -> None:
    reference = Bundle.open_draft(folder).reference()
    assert {"total_sqft", "bhk", "bath", "balcony", "location", "area_type", "availability", "society"} == set(
        reference.features
    )
    societies = reference.features["society"]
    assert isinstance(societies, TextReference)
    assert sum(societies.counts.values()) + societies.missing == len(split[0])


def test_a_bundle_has_a_card_a_report_and_its_pictures(folder: Path) -> None:
    card = (folder / "model_card.md").read_text()
    assert "train_V4" in card and "asking price" in card and "location never listed" in card
    assert "{{" not in card and "{%" not in card
    assert "Not stored\nare ids, societies, addresses, names and any other text." in card
    assert "of an unknown source, and the rights in them are those of that source" in card
    pictures = {path.stem for path in (folder / "plots").glob("*.png")}
    assert pictures == {
        "actual_and_estimated", "error_by_location", "intervals", "relative_errors", "residuals", "what_matters",
    }  # fmt: skip
    page = (folder / "validation.html").read_text()
    assert page.count("<svg") == len(pictures)
    report = json.loads((folder / "validation.json").read_text())
    assert report["slices"]
    for inputs, studies in report["ratio_study"].items():
        assert [study["homes"] for study in studies] == ["all", "cheap third", "middle third", "dear third"]
        assert studies[0]["count"] == sum(group["count"] for group in report["slices"] if group["by"] == "price")
        told = (
            f"{studies[0]['values']['prd']:.3f} ({' to '.join(f'{end:.3f}' for end in studies[0]['intervals']['prd'])})"
        )
        for text in (card, page):
            assert told in text and f"{ratio_study.INPUTS[inputs]}: of all homes" in text and "asking prices" in text
    for name in ("median_ape", "all_median_ape", "all_within_20", "r2"):
        low, high = report["metric_intervals"][name]
        assert low < report["metrics"][name] < high and f"({low:.4g} to {high:.4g})" in page


def test_mlflow_opens_the_bundle_knows_its_signature_and_prices_the_example(folder: Path, tmp_path: Path) -> None:
    # In a process of its own: MLflow changes what warnings do, and takes seconds to import.
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", AS_MLFLOW_DOES, folder],
        capture_output=True, text=True, check=True, timeout=600, cwd=tmp_path,
    )  # fmt: skip
    answer = json.loads(done.stdout)
    optional = {"bhk", "size", "area_type", "balcony", "availability", "society"}  # `size` may stand for `bhk`
    assert answer["taken"] == {name: name not in optional for name in (*INPUT, "size")}
    assert answer["given"] == dict.fromkeys(["estimated_price", "low", "high"], True)
    full = {field.name: field.example for field in INPUTS}
    least = {field.name: field.example for field in INPUTS if field.required}
    expected = Predictor(Bundle.open_draft(folder)).estimate([Home.parse(full), Home.parse(least)])
    assert answer["example"]["data"] == [
        [round(one.price, 2), round(one.low, 2), round(one.high, 2)] for one in expected
    ]


def test_a_graph_that_gives_other_prices_or_bounds_is_never_published_and_names_the_rows(
    folder: Path, split: Split, distilled: PriceModel
) -> None:
    def parity(model: PriceModel) -> float:
        score = bundle_builder.score_holdout(model, split[1])
        return bundle_builder.require_onnx_parity(model, folder / "model.onnx", score)

    assert parity(distilled) <= 1e-4
    assert distilled.curves is not None and distilled.interval is not None
    dearer = replace(distilled, curves=replace(distilled.curves, curves=distilled.curves.curves + np.float32(0.01)))
    with pytest.raises(PublicationRefused, match=r"the price of the ONNX graph .* differs on \d+ rows \(lines"):
        parity(dearer)
    wider = replace(distilled, interval=replace(distilled.interval, form=distilled.interval.form + 0.1))
    with pytest.raises(PublicationRefused, match="the low of the ONNX graph"):
        parity(wider)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("synthetic listings", "These listings are synthetic: a program made them, no seller did"),
        ("listings.example, 2017", "These listings are listings.example, 2017, and the rights in them"),
    ],
)
def test_the_card_says_whose_listings_an_explanation_shows(folder: Path, source: str, sentence: str) -> None:
    bundle = Bundle.open_draft(folder)
    dataset = bundle.manifest.dataset.model_copy(update={"source": source})
    quality = json.loads((folder / "quality.json").read_text())
    slices = json.loads((folder / "validation.json").read_text())["slices"]
    draft = bundle.manifest.model_copy(update={"dataset": dataset})
    assert sentence in model_card(draft, bundle.columns, bundle.market(), quality, slices, {})


def test_the_error_that_is_stated_of_a_home_is_that_of_such_homes_in_the_hold_out(folder: Path, split: Split) -> None:
    """Counted again from the prices that the bundle's own graph gives to the hold-out."""
    predictor, card = Predictor(Bundle.open_draft(folder)), (folder / "model_card.md").read_text()
    market = predictor.market
    assert market is not None and market.accuracy is not None
    homes, prices = to_priced_homes(split[1], form=True)
    estimates = np.array([round(estimate.price, 2) for estimate in predictor.estimate(homes)])
    error = np.abs(estimates - prices) / prices
    places = [predictor.place_of(home) for home in homes]
    listings = [market.places[place].homes if place in market.places else 0 for place in places]
    kinds = [
        set(kinds_of(listed, home.bhk, price, market.accuracy.bands))
        for listed, home, price in zip(listings, homes, estimates.tolist(), strict=True)
    ]
    assert len(market.accuracy.segments) > 2
    for segment in market.accuracy.segments:
        alike = np.array([segment.kind in of_home for of_home in kinds])
        assert segment.homes == alike.sum() and segment.median_ape == pytest.approx(np.median(error[alike]), abs=1e-3)
        assert segment.within_20 == pytest.approx(np.mean(error[alike] <= 0.2), abs=0.02)
        assert f"| {market.accuracy.described(segment)} | {segment.homes} | {100 * segment.median_ape:.1f} % |" in card
    stated = [market.accuracy_of(*one) for one in zip(homes, places, estimates.tolist(), strict=True)]
    for grade, measured in market.accuracy.grades.items():
        graded = np.array([one is not None and one.grade == grade for one in stated])
        assert measured.homes == graded.sum()
        assert measured.median_ape == pytest.approx(np.median(error[graded]), abs=1e-3)
        assert f"| {grade} | {measured.homes} | {100 * measured.median_ape:.1f} % |" in card


def test_the_market_of_a_bundle_is_that_of_its_training_homes(folder: Path, split: Split) -> None:
    bundle = Bundle.open_draft(folder)
    market = bundle.market()
    assert market is not None and market.city.homes == len(split[0])
    assert set(market.places) <= set(bundle.columns.locations)
    predictor = Predictor(bundle)
    for home in to_homes(split[1])[:20]:
        found = explain(predictor, home, predictor.typical_home(home.location))
        assert round(found.baseline + sum(found.added.values()), 2) == found.price
        assert found.price == round(predictor.estimate([home])[0].price, 2)
