import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from homeprices.cli import main as homeprices
from homeprices.cli.drift import DRIFT_EXIT
from homeprices.data.schema import to_csv
from homeprices.data.synthetic import make_listings
from homeprices.pricing.manifest import REFERENCE_FILE
from tests.support.bundles import make_bundle

Check = dict[str, Any]


def main(words: list[str]) -> int:
    """Run `homeprices drift ...` and return its exit code."""
    return homeprices(["drift", *words])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Listings as they are downloaded: 3,000 to compare with, 600 like them, and the same 600 with larger areas."""
    made = tmp_path_factory.mktemp("listings")
    listings = make_listings(3600, 3)
    reference, current = listings[:3000], listings[3000:]
    (made / "reference.csv").write_bytes(to_csv(reference))
    (made / "current.csv").write_bytes(to_csv(current))
    larger = current.assign(total_sqft=[_larger(text) for text in current["total_sqft"]])
    (made / "larger.csv").write_bytes(to_csv(larger))
    return made


def _larger(text: str) -> str:
    return str(float(text) * 1.3) if text.replace(".", "").isdigit() else text


def check(folder: Path, capsys: pytest.CaptureFixture[str], *words: str, current: str = "current.csv") -> Check:
    assert (
        main(["check", "--reference", str(folder / "reference.csv"), "--current", str(folder / current), *words]) == 0
    )
    return dict(json.loads(capsys.readouterr().out))


def test_two_files_of_the_same_listings_have_not_changed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = check(folder, capsys, "--json")
    again = found["repeated_rows"]["current"]
    assert (found["status"], found["data_points"] + again, found["overall_drift_detected"]) == ("ok", 600, False)
    names = {"total_sqft", "bhk", "bath", "balcony", "price", "location", "area_type", "availability", "society"}
    assert set(found["drift_indicators"]) == names
    assert all(i["status"] == "ok" for i in found["drift_indicators"].values())


def test_larger_homes_are_found(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = check(folder, capsys, "--json", current="larger.csv")
    assert (found["overall_drift_detected"], found["drifted"]) == (True, ["total_sqft"])


def test_drift_ends_with_a_code_of_its_own_where_that_is_asked(folder: Path) -> None:
    both = ["check", "--reference", str(folder / "reference.csv"), "--fail-on-drift", "--current"]
    assert main([*both, str(folder / "larger.csv")]) == DRIFT_EXIT
    assert main([*both, str(folder / "current.csv")]) == 0


def test_lines_for_people_say_what_changed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--reference", str(folder / "reference.csv"), "--current", str(folder / "larger.csv")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("The area has changed: its mean is ")
    assert [line for line in lines if line.startswith("DRIFT")] == [f"DRIFT  {lines[0]}"]


def test_the_page_has_a_picture_for_each_feature_and_stands_alone(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "report.html"
    found = check(folder, capsys, "--json", "--html", str(page), current="larger.csv")
    text = page.read_text()
    assert text.count("<svg") == len(found["drift_indicators"])
    assert "src=" not in text
    assert text.count('href="') == text.count('href="#')
    assert text.index('class="bad">Area') < text.index("<h2>")


def test_a_name_in_a_file_is_text_and_not_a_piece_of_the_page(folder: Path, tmp_path: Path) -> None:
    rows = pd.read_csv(folder / "current.csv").assign(location="<script>alert(1)</script>")
    rows.to_csv(tmp_path / "odd.csv", index=False)
    page = tmp_path / "report.html"
    words = ["--reference", str(folder / "reference.csv"), "--current", str(tmp_path / "odd.csv"), "--html", str(page)]
    assert main(["check", *words]) == 0
    assert "<script" not in page.read_text()


LOGGED = {"total_sqft": 1200, "location": "Whitefield", "bhk": 2, "bath": 2}


def logged(rows: int, seed: int) -> list[dict[str, Any]]:
    chance = np.random.default_rng(seed)
    return [{**LOGGED, "total_sqft": float(area)} for area in chance.normal(1200, 200, rows)]


def written(folder: Path, form: str, rows: list[dict[str, Any]]) -> Path:
    path = folder / f"rows.{form}"
    if form == "jsonl":
        path.write_text("\n".join(json.dumps({"inputs": row, "estimate": 60.0}) for row in rows))
    elif form == "json":
        path.write_text(
            json.dumps({"type": "predictions", "logs": [{"inputs": row, "estimate": 60.0} for row in rows]})
        )
    elif form == "inputs.csv":
        pd.DataFrame({"inputs": [json.dumps(row) for row in rows], "Estimate": 60.0}).to_csv(path, index=False)
    else:
        separator = {"csv": ",", "semicolon.csv": ";", "tab.csv": "\t"}[form]
        pd.DataFrame([{**row, "estimate": 60.0} for row in rows]).to_csv(path, index=False, sep=separator)
    return path


@pytest.mark.parametrize("form", ["csv", "semicolon.csv", "tab.csv", "inputs.csv", "json", "jsonl"])
def test_logged_features_are_read_in_every_form(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").mkdir()
    before, after = written(tmp_path / "a", "csv", logged(400, 1)), written(tmp_path, form, logged(300, 2))
    assert main(["check", "--reference", str(before), "--current", str(after), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["data_points"], found["overall_drift_detected"]) == (300, False)
    assert set(found["drift_indicators"]) == {"total_sqft", "bhk", "bath", "estimated_price", "location"}
    assert {i["data_points"] for i in found["drift_indicators"].values()} == {300}


def test_the_reference_of_a_bundle_can_be_compared_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference = make_bundle(tmp_path / "BO1", "BO1") / REFERENCE_FILE
    after = written(tmp_path, "csv", logged(100, 2))
    assert main(["check", "--reference", str(reference), "--current", str(after), "--json"]) == 0
    assert "location" in json.loads(capsys.readouterr().out)["drifted"]


def test_odd_cells_are_missing_and_people_s_areas_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head = "Size,Total_sqft , bath,location,id\n"
    lines = ["3 BHK,1056 - 1200,2,Here,1", "2 BHK,34.46Sq. Meter,n/a,nan,2", "?,,-3,,3"] * 20
    path = tmp_path / "odd.csv"
    path.write_text("\ufeff" + head + "\n".join(lines) + "\n", encoding="utf-8")
    assert main(["check", "--reference", str(path), "--current", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ignored_columns"] == ["id"]
    indicators = found["drift_indicators"]
    assert {n: i["missing_share"]["current"] for n, i in indicators.items()} == pytest.approx(
        {"total_sqft": 1 / 3, "bhk": 1 / 3, "bath": 2 / 3, "location": 2 / 3}
    )


def test_decimal_commas_are_read_in_every_column_of_numbers(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = tmp_path / "commas.csv"
    written.write_text("total_sqft;location;bhk;bath\n1050,5;Here;2,0;2,0\n900;Here;3;2\n")
    assert main(["check", "--reference", str(folder / "reference.csv"), "--current", str(written), "--json"]) == 0
    indicators = json.loads(capsys.readouterr().out)["drift_indicators"]
    assert {name: indicators[name]["current_mean"] for name in ("total_sqft", "bhk", "bath")} == pytest.approx(
        {"total_sqft": (1050.5 * 900) ** 0.5, "bhk": 2.5, "bath": 2}, rel=0.01
    )


def test_a_file_without_a_row_is_insufficient_data(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty.csv"
    empty.write_text("total_sqft,location,bhk,bath\n")
    assert main(["check", "--reference", str(folder / "reference.csv"), "--current", str(empty), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["status"], found["data_points"], found["overall_drift_detected"]) == ("insufficient_data", 0, False)


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("a.csv", b"", "is empty"),
        (
            "a.csv",
            b"bhk,bath\n1,2\n=======\n3,4\n",
            "a.csv: line 3: is a merge marker, '=======';",
        ),
        ("a.json", b'{"bhk": 1, "bhk": 2}', "a.json: line 1, column bhk: is given more than once"),
        ("a.csv", b"colour,smell\nred,none\n", "has none of the columns total_sqft"),
        ("a.csv", b"\xff\xfe\x00", "line 1: is not UTF-16; expected CSV"),
        ("a.json", b'{"rows": 3, "features": {}}', "is no reference of a bundle: prediction"),
        ("a.json", b"[1, 2]", "a.json: line 1: must be a JSON object; line 1: must be"),
        ("a.json", b'{"a": ', "a.json: line 1: is not JSON: Expecting value"),
        ("a.csv", b"bhk,bhk\n1,2\n", "a.csv: line 1, column bhk: is given more than once"),
        ("a.json", b'[{"location": ["a"]}]', "line 1, column location: must be a word or a number, not"),
        ("a.csv", b"bhk,bath\n1,2,3,4\n1,2\n", "a.csv: line 2: has 4 cells; the header has 2"),
    ],
)
def test_what_is_no_table_is_refused_in_a_line(
    name: str, body: bytes, said: str, tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(body)
    for words in (
        ["--reference", str(tmp_path / name), "--current", str(folder / "current.csv")],
        ["--reference", str(folder / "reference.csv"), "--current", str(tmp_path / name)],
    ):
        code = main(["check", *words])
        error = capsys.readouterr().err
        if name == "a.json" and "reference of a bundle" in said and words[1] != str(tmp_path / name):
            continue
        assert (code, error.count("\n")) == (1, 1), error
        assert said in error


def test_what_was_found_in_a_file_and_what_is_not_compared_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference, current = tmp_path / "reference.csv", tmp_path / "current.csv"
    reference.write_text("total_sqft,location,price,price_unit\n" + "1200,Here,1.1,Cr\n1300,There,90,L\n" * 40)
    current.write_text("total_sqft;plaza;price\n" + "1200,5;Here;110\n1300;There;90\n" * 40)
    assert main(["check", "--reference", str(reference), "--current", str(current)]) == 0
    assert capsys.readouterr().out.splitlines()[-5:] == [
        "--reference: price_unit: honoured as the unit of price (Cr 40, L 40)",
        "--current: file: cells are separated by semicolons",
        "--current: total_sqft: a decimal comma in 40 cells, read as one; first line 2: '1200,5', line 4: '1200,5', "
        "line 6: '1200,5' and 37 more",
        "--current: has no location, which is not compared",
        "ignored columns: plaza",
    ]
    assert main(["check", "--reference", str(reference), "--current", str(current), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (
        found["drift_indicators"]["price"]["reference_mean"]
        == found["drift_indicators"]["price"]["current_mean"]
        == 100
    )
    assert [len(found["read"][side]) for side in ("reference", "current")] == [1, 3]


@pytest.mark.parametrize("cell", ["two", "Rs. 45", "1e400", "9" * 400])
def test_a_number_that_is_none_is_refused_as_an_import_refuses_it(
    cell: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "odd.csv"
    path.write_text(f"bath,location\n2,Here\n{cell},There\n")
    assert main(["check", "--reference", str(folder / "reference.csv"), "--current", str(path)]) == 1
    assert (
        capsys.readouterr().err
        == f"drift: file: odd.csv: bath: expected a number or nothing; found line 3: {cell[:40]!r}\n"
    )


@pytest.mark.parametrize("body", ["[" * 100_000, '[{"bath": ' + "9" * 5_000 + "}]"])
def test_json_that_cannot_be_read_is_no_reference_of_a_bundle(
    body: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.json"
    path.write_text(body)
    assert main(["check", "--reference", str(path), "--current", str(folder / "current.csv")]) == 1
    assert "a.json: line 1: is not JSON: " in capsys.readouterr().err


@pytest.mark.parametrize("change", ["trailing commas", "parquet", "UTF-16 and CR"])
def test_the_same_rows_in_another_spelling_have_not_changed(
    change: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, path = (folder / "current.csv").read_text(), tmp_path / "again.csv"
    if change == "parquet":
        pd.read_csv(folder / "current.csv", dtype=str).to_parquet(path)
    elif change == "trailing commas":
        path.write_text("".join(f"{line},,\n" for line in text.splitlines()))
    else:
        path.write_bytes(text.replace("\n", "\r").encode("utf-16"))
    expected = check(folder, capsys, "--json")["drift_indicators"]
    assert check(folder, capsys, "--json", current=str(path))["drift_indicators"] == expected


def test_a_file_that_is_not_there_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--reference", "nowhere.csv", "--current", str(folder / "current.csv")]) == 1
    assert "nowhere.csv cannot be read" in capsys.readouterr().err


def test_a_report_that_cannot_be_written_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = ["--reference", str(folder / "reference.csv"), "--current", str(folder / "current.csv")]
    assert main(["check", *both, "--html", "/nowhere/report.html"]) == 1
    assert "/nowhere/report.html cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--alpha", "0"], ["--alpha", "1.5"], ["--least-rows", "1"]])
def test_an_option_out_of_range_is_refused(folder: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--reference", "a", "--current", "b", *words]) == 2
    assert words[1] in capsys.readouterr().err
