"""Rows that repeat a home: dropped where they are copies, and never evidence of drift."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from homeprices.cli.drift import compare_files
from homeprices.data.cleaning import clean
from homeprices.data.schema import read_listings
from homeprices.data.synthetic import make_listings
from homeprices.drift.findings import Rules
from homeprices.drift.repetitions import repeated, without_repetitions
from tests.support.programs import ROOT

CASES = ROOT.parent / "shared" / "cases"
HOME = {"total_sqft": 1200.0, "location": "Whitefield", "bhk": 2.0, "bath": 2.0}
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def frame(*homes: dict[str, Any]) -> dict[str, list[Any]]:
    names = {name: None for home in homes for name in home}
    return {name: [home.get(name, np.nan if name != "location" else "") for home in homes] for name in names}


def mask(*homes: dict[str, Any], **other: Any) -> list[bool]:
    return [bool(one) for one in repeated(frame(*homes), len(homes), **other)]


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"location": " WHITEFIELD "}, True),
        ({"total_sqft": 1201.0}, False),
        ({"location": "Hebbal"}, False),
        ({"price": 61.0}, False),
        ({"society": "Prestige"}, False),
    ],
)
def test_a_row_repeats_another_when_all_columns_agree_in_any_spelling(change: dict[str, Any], same: bool) -> None:
    first = {**HOME, "price": 60.0, "society": ""}
    assert mask(first, {**first, **change}) == [False, same]


def test_a_row_without_area_and_place_is_no_home_and_repeats_none() -> None:
    """Otherwise a file whose rows are blank would not show it."""
    blank = {**HOME, "location": "", "total_sqft": np.nan}
    assert mask(HOME, blank, blank) == [False] * 3
    bathless = {**HOME, "bath": np.nan}
    assert mask(bathless, bathless) == [False, True]
    assert repeated({"location": ["Hebbal"] * 9}, 9).sum() == 0, "a column of places holds no homes"
    assert repeated({name: [] for name in HOME}, 0).tolist() == []


def minutes(*values: float | None) -> list[str | None]:
    return [None if value is None else (NOON + timedelta(minutes=value)).isoformat() for value in values]


def test_a_visitor_who_asks_for_the_same_home_within_a_session_has_asked_once() -> None:
    asked = [HOME] * 6
    moments = minutes(0, 29, 58, 90, 5, 200)
    assert mask(*asked, visitors=list("aaaaba"), moments=moments) == [False, True, True, False, False, False]
    assert mask(*asked, visitors=list("aaaaba")) == [False, True, True, True, False, True]
    other = {**HOME, "bhk": 3.0}
    assert mask(HOME, other, HOME, other, visitors=list("aaaa"), moments=minutes(0, 1, 2, 3)) == [0, 0, 1, 1]


def test_the_order_of_the_rows_does_not_matter() -> None:
    """`/api/logs` answers the newest first."""
    moments = minutes(90, 58, 29, 0)
    assert mask(*[HOME] * 4, visitors=list("aaaa"), moments=moments) == [False, True, True, False]


def test_two_bundles_that_answer_one_request_have_one_home() -> None:
    homes = [{**HOME, "estimated_price": 60.0}, {**HOME, "estimated_price": 61.0}]
    assert mask(*homes, visitors=["a", "a"], moments=minutes(0, 1)) == [False, True]
    assert mask(*homes) == [False, False]


def test_an_odd_moment_is_unknown_and_rows_without_one_share_a_session() -> None:
    moments = [*minutes(0), "now", None, *minutes(2)]
    assert mask(*[HOME] * 4, visitors=list("aaaa"), moments=moments) == [False, False, True, True]


def test_listings_drop_repetitions_and_requests_keep_them_for_a_second_look() -> None:
    listings = frame(*[{**HOME, "price": 60.0}] * 3)
    counted = without_repetitions(listings, 3)
    assert (counted.sample.rows, counted.distinct.rows, counted.repetitions) == (1, 1, 2)
    requests = without_repetitions(frame(*[HOME] * 3), 3, visitors=[None, "", " "])
    assert (requests.sample.rows, requests.distinct.rows, requests.repetitions) == (3, 1, 2)
    logged = without_repetitions(frame(*[HOME] * 3), 3, visitors=["a", "b", None])
    assert (logged.sample.rows, logged.repetitions) == (3, 0)


def test_as_many_rows_are_dropped_as_in_cleaning() -> None:
    raw = make_listings(4000, 3)
    cleaned = clean(pd.concat([raw, raw, raw[::-1]], ignore_index=True))
    assert cleaned.duplicates > 4000
    rows = clean(raw).rows
    columns = {str(name): pd.concat([rows[name]] * 3).tolist() for name in rows}
    assert int(repeated(columns, 3 * len(rows)).sum()) == 2 * len(rows)


# The command on files.


def times(count: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda rows: pd.concat([rows] * count, ignore_index=True)


def as_requests(rows: pd.DataFrame) -> pd.DataFrame:
    return clean(rows).rows[list(HOME)]


def written(folder: Path, name: str, rows: pd.DataFrame) -> Path:
    path = folder / name
    if path.suffix == ".csv":
        rows.to_csv(path, index=False)
    else:
        path.write_text("\n".join(json.dumps({"inputs": row}) for row in rows.to_dict("records")))
    return path


def check(reference: Path, current: Path, alpha: float = 0.05) -> dict[str, Any]:
    return compare_files(reference, current, Rules(alpha=alpha))


@pytest.mark.parametrize("copies", [1, 2, 5, 50])
@pytest.mark.parametrize("form", ["listings.csv", "requests.jsonl"])
@pytest.mark.parametrize("side", ["current", "reference"])
def test_a_file_that_holds_its_homes_several_times_has_not_drifted(
    form: str, side: str, copies: int, tmp_path: Path
) -> None:
    raw = make_listings(3400, 11)
    made = raw if form == "listings.csv" else as_requests(raw)
    many, few = made[:-300], made[-300:]
    current, reference = (times(copies)(few), many) if side == "current" else (many, times(copies)(few))
    found = check(written(tmp_path, f"a-{form}", reference), written(tmp_path, f"b-{form}", current))
    assert (found["status"], found["drifted"]) == ("ok", [])
    assert found["repeated_rows"][side] >= (copies - 1) * 250


def test_listings_in_other_spellings_are_the_same(tmp_path: Path) -> None:
    raw = make_listings(3400, 11)
    few = raw[3100:]
    spelt = few.assign(location=few["location"].str.upper() + " ", society=few["society"].str.lower())
    current = pd.concat([few, spelt, few], ignore_index=True)
    found = check(written(tmp_path, "a.csv", raw[:3100]), written(tmp_path, "b.csv", current))
    once = check(written(tmp_path, "a.csv", raw[:3100]), written(tmp_path, "b.csv", few))
    assert found["drifted"] == []
    assert found["data_points"] == once["data_points"]
    assert found["repeated_rows"]["current"] == once["repeated_rows"]["current"] + 600


@pytest.mark.parametrize("form", ["listings.csv", "requests.jsonl"])
def test_drift_is_found_among_repeated_rows(form: str, tmp_path: Path) -> None:
    raw = make_listings(3400, 11)
    made = raw if form == "listings.csv" else as_requests(raw)
    current = times(3)(made[-300:]).assign(location="Whitefield")
    found = check(written(tmp_path, f"a-{form}", made[:-300]), written(tmp_path, f"b-{form}", current))
    assert "location" in found["drifted"]


def test_a_home_that_a_probe_asks_for_again_and_again_is_no_drift(tmp_path: Path) -> None:
    made = as_requests(make_listings(4400, 11))
    probe = pd.DataFrame([{**HOME, "location": "a probe's place"}] * 48)
    current = pd.concat([made[-1000:], probe], ignore_index=True)
    found = check(written(tmp_path, "a.jsonl", made[:-1000]), written(tmp_path, "b.jsonl", current))
    assert found["drifted"] == []


def test_equal_requests_of_many_people_are_evidence_and_no_drift(tmp_path: Path) -> None:
    """Of rounded areas half of the rows are equal by chance, the more so the larger the file."""
    raw = as_requests(make_listings(12_000, 11))
    made = raw.assign(total_sqft=(raw["total_sqft"] / 100).round() * 100)
    shuffled = made.sample(frac=1, random_state=1)
    found = check(written(tmp_path, "a.jsonl", shuffled[:-500]), written(tmp_path, "b.jsonl", shuffled[-500:]), 0.001)
    assert found["repeated_rows"]["reference"] > 1000
    assert (found["data_points"], found["drifted"]) == (500, [])


def test_the_columns_of_the_prediction_log_are_used_and_not_ignored(tmp_path: Path) -> None:
    chance = np.random.default_rng(1)
    rows: list[Any] = []
    for number in range(200):
        home = {**HOME, "total_sqft": float(round(chance.normal(1200, 200)))}
        for minute in (0, 10, 20, 400):
            ts = (NOON + timedelta(minutes=minute)).isoformat()
            rows.append({"id": len(rows), "ts": ts, "visitor": f"v{number}", "inputs": home, "estimate": 60.0})
    path = tmp_path / "logs.json"
    path.write_text(json.dumps({"type": "predictions", "logs": rows[::-1]}))
    found = check(path, path)
    assert found["repeated_rows"] == {"reference": 400, "current": 400}
    assert (found["data_points"], found["ignored_columns"]) == (400, ["id"])


@pytest.mark.skipif(not CASES.exists(), reason="needs ../shared/cases")
@pytest.mark.parametrize(("name", "dropped"), [("two_hundred_once.csv", 0), ("two_hundred_five_times.csv", 800)])
def test_the_homes_that_were_seen_to_drift_when_given_five_times(name: str, dropped: int) -> None:
    found = check(CASES / "reference_3000.csv", CASES / name)
    assert found["drifted"] == []
    assert found["repeated_rows"]["current"] == dropped
    assert read_listings((CASES / name).read_bytes()).shape[0] == 200 + dropped
