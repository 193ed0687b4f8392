"""`python -m homeprices.training evaluate`: train on one file and score another."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from homeprices.cli import main as homeprices
from homeprices.data.schema import to_csv
from homeprices.errors import DatasetRefused
from homeprices.training.evaluate_files import COMPARED, MIN_TRAINING_ROWS, evaluate
from tests.integration.training.conftest import SEED, TINY

Files = tuple[Path, Path]
QUICKEST = ("distilled",)


@pytest.fixture(scope="module")
def found(csv_files: Files) -> dict[str, Any]:
    """The result of an evaluation of both files."""
    return evaluate(*csv_files, "all", seed=SEED, preset=TINY)


def test_it_says_how_far_off_the_estimates_are_and_how_sure_one_can_be(found: dict[str, Any]) -> None:
    assert found["estimator"] in COMPARED and set(found["cross_validation"]) == set(COMPARED)
    assert 0 < found["metrics"]["median_ape"] < found["constant_median_ape"]
    for name, value in found["metrics"].items():
        low, high = found["metric_intervals_95"][name]
        assert low <= value <= high
    assert 0.8 < found["interval"]["coverage"] <= 1 and set(found["interval"]["coverage_by_price"]) == {
        "cheap", "middle", "dear",
    }  # fmt: skip
    assert json.loads(json.dumps(found, allow_nan=False)) is not None


def test_every_row_of_both_files_is_accounted_for(found: dict[str, Any], csv_files: Files) -> None:
    for side, path in zip(("train", "test"), csv_files, strict=True):
        counts = found["rows"][side]
        assert counts["rows"] == len(path.read_bytes().splitlines()) - 1
        assert counts["rows"] == counts["used"] + counts["duplicates"] + counts["refused"]
    assert sum(group["count"] for group in found["groups"][:3]) == found["rows"]["test"]["used"]


def test_from_shuffled_prices_nothing_can_be_learned(csv_files: Files, raw: pd.DataFrame, tmp_path: Path) -> None:
    """Were a home's own price to leak into what it is priced by, this would show a small error."""
    shuffled = raw.iloc[:800].copy()
    shuffled["price"] = np.random.default_rng(5).permutation(shuffled["price"].to_numpy())
    (tmp_path / "train.csv").write_bytes(to_csv(shuffled))
    (tmp_path / "test.csv").write_bytes(
        to_csv(raw.iloc[800:].assign(price=np.random.default_rng(6).permutation(raw["price"].iloc[800:].to_numpy())))
    )
    train, test = tmp_path / "train.csv", tmp_path / "test.csv"
    scored = evaluate(train, test, "all", seed=SEED, preset=TINY, compared=QUICKEST)
    assert scored["metrics"]["median_ape"] > 0.9 * scored["constant_median_ape"]
    # The folds of the training rows say the same: neither encoders nor teacher have seen the prices they answer.
    for metric in ("median_ape", "all_median_ape"):
        assert scored["cross_validation"]["distilled"][metric] > 0.9 * scored["constant_median_ape"]


def test_a_location_that_only_the_test_has_is_priced_as_any_unknown_one(csv_files: Files, tmp_path: Path) -> None:
    train, test = csv_files
    listings = pd.read_csv(test, dtype=str, keep_default_na=False)
    scored = []
    for name in ("Nowhere Else", "Erewhon"):
        (tmp_path / "test.csv").write_bytes(to_csv(listings.assign(location=name)))
        scored.append(evaluate(train, tmp_path / "test.csv", "form", seed=SEED, preset=TINY, compared=QUICKEST))
    assert scored[0]["metrics"] == scored[1]["metrics"]
    assert [group["count"] for group in scored[0]["groups"] if group["name"] == "location never listed"] == [
        scored[0]["rows"]["test"]["used"]
    ]


def write(path: Path, body: bytes) -> Path:
    path.write_bytes(body)
    return path


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "is empty"),
        (b"a,b\n1,2\n", "has no column area_type"),
        (b"\xff\xfe\x00", "is not UTF-16"),
        (b"\xff,b\n1,2\n", "is not UTF-8"),
        (b"area_type;availability\n", "found area_type, availability"),
    ],
)
def test_a_broken_file_is_named_with_what_is_wrong(csv_files: Files, tmp_path: Path, body: bytes, says: str) -> None:
    broken = write(tmp_path / "broken.csv", body)
    for train, test in ((broken, csv_files[1]), (csv_files[0], broken)):
        with pytest.raises(DatasetRefused, match=r"broken\.csv") as caught:
            evaluate(train, test, "form", seed=SEED, preset=TINY)
        assert says in str(caught.value)


def test_prices_in_rupees_stop_the_training_with_the_column(csv_files: Files, tmp_path: Path) -> None:
    listings = pd.read_csv(csv_files[0], dtype=str, keep_default_na=False)
    rupees = listings["price"].map(lambda lakh: str(float(lakh) * 100_000) if lakh else "")
    train = write(tmp_path / "rupees.csv", to_csv(listings.assign(price=rupees)))
    with pytest.raises(DatasetRefused, match=r"rupees.csv: price.*no longer means"):
        evaluate(train, csv_files[1], "form", seed=SEED, preset=TINY)


def test_both_files_pass_the_checks_of_an_import_and_the_option_is_named(csv_files: Files, tmp_path: Path) -> None:
    listings = pd.read_csv(csv_files[0], dtype=str, keep_default_na=False)
    prices = listings["price"].mask(listings.index % 5 == 0, "11000000")
    fifth = write(tmp_path / "fifth.csv", listings.assign(price=prices, agent="x").to_csv(index=False).encode())
    for option, files in (("--train", (fifth, csv_files[1])), ("--test", (csv_files[0], fifth))):
        with pytest.raises(DatasetRefused) as caught:
            evaluate(*files, "form", seed=SEED, preset=TINY)
        assert set(caught.value.fields) == {f"{fifth}: price", f"{fifth}: ignored columns"}
        assert f"{option}: 20.0" in str(caught.value) and "Likely prices in rupees" in str(caught.value)


def test_the_homes_of_the_training_file_are_found_in_any_spelling(csv_files: Files, tmp_path: Path) -> None:
    listings = pd.read_csv(csv_files[0], dtype=str, keep_default_na=False)
    small = listings.assign(location=listings["location"].str.lower(), society=listings["society"].str.upper())
    again = write(tmp_path / "again.csv", to_csv(small))
    scored = evaluate(csv_files[0], again, "form", seed=SEED, preset=TINY, compared=QUICKEST)
    assert scored["rows"]["test_homes_that_are_in_train"] == scored["rows"]["test"]["used"] > 0
    assert scored["read"]["test"][0].startswith(f"{len(listings):,} rows: ")


def test_too_few_rows_to_learn_from_and_none_to_score_are_said(csv_files: Files, tmp_path: Path) -> None:
    listings = pd.read_csv(csv_files[0], dtype=str, keep_default_na=False)
    few = write(tmp_path / "few.csv", to_csv(listings.head(MIN_TRAINING_ROWS // 2)))
    with pytest.raises(DatasetRefused, match="usable rows; at least 50"):
        evaluate(few, csv_files[1], "form", seed=SEED, preset=TINY)
    none = write(tmp_path / "none.csv", to_csv(listings.head(5).assign(price="")))
    with pytest.raises(DatasetRefused, match=r"none of its 5 rows is valid \(no_price 5\)"):
        evaluate(csv_files[0], none, "form", seed=SEED, preset=TINY)


def test_sixty_homes_of_one_place_and_size_are_enough(tmp_path: Path) -> None:
    same = pd.DataFrame(
        [("", "", "Hebbal", "2 BHK", "", f"{1_000 + n}", "2", "", f"{50 + n % 7}") for n in range(60)],
        columns=["area_type", "availability", "location", "size", "society", "total_sqft", "bath", "balcony", "price"],
    )
    path = write(tmp_path / "same.csv", to_csv(same))
    scored = evaluate(path, path, "all", seed=SEED, preset=TINY)
    assert scored["metrics"]["median_ape"] < 0.1
    assert scored["rows"]["test_homes_that_are_in_train"] == 60


def main(words: list[str]) -> int:
    """Run `homeprices training ...` and return its exit code."""
    return homeprices(["training", *words])


def test_the_command_prints_one_json_object(
    csv_files: Files, found: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("homeprices.model.presets.preset", lambda name: TINY)
    train, test = map(str, csv_files)
    options = ["evaluate", "--train", train, "--test", test, "--inputs", "all", "--seed", str(SEED)]
    assert main([*options, "--jobs", "2", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {**printed, "seconds": 0} == json.loads(json.dumps({**found, "seconds": 0})), (
        "the same seed, the same figures, in two processes as in one"
    )
    monkeypatch.setattr("homeprices.training.evaluate_files.evaluate", lambda *_given, **_more: found)
    assert main(options) == 0
    said = capsys.readouterr().out
    assert "median_ape" in said and "within the 90% interval" in said and "repeated" in said


def test_the_command_refuses_in_json_too(csv_files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = write(tmp_path / "empty.csv", b"")
    command_line = ["evaluate", "--train", str(empty), "--test", str(csv_files[1]), "--inputs", "all", "--json"]
    assert main(command_line) == 1
    printed = capsys.readouterr()
    assert list(json.loads(printed.out)["fields"]) == [f"{empty}: file"] and "is empty" in printed.err
    assert main([*command_line[:2], "nowhere.csv", *command_line[3:]]) == 1
    assert "nowhere.csv" in json.loads(capsys.readouterr().out)["error"]


@pytest.mark.parametrize("wrong", [["--seed", "-1"], ["--seed", "x"], ["--inputs", "some"]])
def test_wrong_options_are_refused(csv_files: Files, wrong: list[str]) -> None:
    train, test = map(str, csv_files)
    assert main(["evaluate", "--train", train, "--test", test, "--inputs", "form", *wrong]) == 2
