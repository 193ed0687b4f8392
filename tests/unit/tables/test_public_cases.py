"""Files of the kinds that other people had trouble with, made of synthetic listings, each with its right answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from homeprices.cli.drift import compare_files
from homeprices.data.contract import accept
from homeprices.data.synthetic import make_listings
from homeprices.drift.findings import Rules
from homeprices.errors import DatasetRefused
from homeprices.pricing.features import availability_feature
from homeprices.training.evaluate_files import accept_file, evaluate
from tests.contract.file_answers import LISTED, Reading

Table = pd.DataFrame
ROWS = 400
PLAIN = make_listings(ROWS, 3)
PRICES = PLAIN["price"].astype(float)
ASKING = ("import", "`evaluate --train`", "`evaluate --test`")


def every(step: int, changed: pd.Series, column: pd.Series) -> pd.Series:
    """The column with every `step`-th cell changed."""
    return column.where(pd.Series(range(len(column)), index=column.index) % step != 0, changed)


def written(folder: Path, table: Table, name: str = "homes.csv") -> Path:
    path = folder / name
    table.to_csv(path, index=False)
    return path


def crore_and_lakh(unit: str) -> Table:
    units = pd.Series(["L"] * ROWS, index=PLAIN.index)
    return PLAIN.assign(price=every(3, PRICES / 100, PRICES), **{unit: every(3, units.map({"L": "Cr"}), units)})


def test_prices_in_crore_and_lakh_are_read_by_the_column_that_says_which(tmp_path: Path) -> None:
    """`price_unit` is honoured, so there is nothing to refuse: the prices are those of the plain file."""
    path = written(tmp_path, crore_and_lakh("price_unit"))
    plain = written(tmp_path, PLAIN, "plain.csv")
    for name, read in LISTED.items():
        found = read(path)
        assert found.content == read(plain).content, name
        assert any("price_unit: honoured as the unit of price (L 266, Cr 134)" in said for said in found.said), name


@pytest.mark.parametrize(
    ("table", "said"),
    [
        pytest.param(crore_and_lakh("unit"), ["33.", "% of ", "Likely prices in crore", "First: line 2", "unit"],
                     id="crore and lakh, and a column that does not say so"),
        pytest.param(PLAIN.assign(price=every(5, PRICES * 1e5, PRICES)),
                     ["20.", "Likely prices in rupees", "First: line 2"], id="a fifth in rupees"),
        pytest.param(PLAIN.assign(price=PRICES * 1e5), ["100.00%", "Likely prices in rupees"], id="all in rupees"),
        pytest.param(PLAIN.assign(price=PLAIN["price"].str.replace(".", ",") + ",5 "), ["expected a number or nothing"],
                     id="two decimal commas"),
    ],
)  # fmt: skip
def test_what_import_refuses_both_files_of_an_evaluation_are_refused_for(
    table: Table, said: list[str], tmp_path: Path
) -> None:
    path = written(tmp_path, table)
    sentences = set()
    for name in ASKING:
        with pytest.raises(DatasetRefused) as caught:
            LISTED[name](path)
        problem = str(caught.value)
        assert all(word in problem for word in said), (name, problem)
        option = name.strip("`").partition(" ")[2]
        assert option in problem, name
        sentences.add(problem.replace(f"{path}: ", "").replace(f"{option}: ", "") if option else problem)
    assert len(sentences) == 1
    plain = written(tmp_path, PLAIN, "plain.csv")
    with pytest.raises(DatasetRefused, match="--test: "):
        evaluate(plain, path, "form", seed=1)


def test_a_test_file_in_small_letters_is_the_training_file_again(tmp_path: Path) -> None:
    from homeprices.training import evaluate_files

    small = PLAIN.assign(location=PLAIN["location"].str.lower(), society=PLAIN["society"].str.upper())
    training = accept_file(written(tmp_path, PLAIN), "--train").cleaned
    testing = accept_file(written(tmp_path, small, "small.csv"), "--test").cleaned
    assert evaluate_files._shared(training, testing) == len(testing.rows) == len(training.rows) > ROWS * 0.8


def only_plain_areas(table: Table) -> Table:
    return table[table["total_sqft"].str.fullmatch("[0-9]+")]


@pytest.mark.parametrize("name", LISTED)
def test_areas_with_a_decimal_comma_are_those_with_a_point(name: str, tmp_path: Path) -> None:
    plain = only_plain_areas(PLAIN)
    area = plain["total_sqft"]
    commas = written(tmp_path, plain.assign(total_sqft=every(10, area + ",5", area)))
    points = written(tmp_path, plain.assign(total_sqft=every(10, area + ".5", area)), "points.csv")
    found = LISTED[name](commas)
    assert found.content == LISTED[name](points).content
    assert any("total_sqft: a decimal comma in " in said for said in found.said)
    mixed = plain.assign(total_sqft=every(10, area + ",5", area))
    mixed.loc[mixed.index[1], "total_sqft"] = "1,200"
    with pytest.raises(
        DatasetRefused, match=r"a decimal comma in .* but a point or a comma between thousands in others"
    ):
        LISTED[name](written(tmp_path, mixed))


WORDS = ["NA", "NULL", "nan", "none", "-", "#N/A", "N/A"]


@pytest.mark.parametrize("name", LISTED)
def test_missing_values_that_are_words_are_missing(name: str, tmp_path: Path) -> None:
    words = pd.Series([WORDS[at % len(WORDS)] for at in range(ROWS)], index=PLAIN.index)
    columns = ("location", "society", "availability")
    said = PLAIN.assign(**{column: every(7, words, PLAIN[column]) for column in columns})
    blank = PLAIN.assign(**{column: every(7, words.map(lambda _: ""), PLAIN[column]) for column in columns})
    path, plain = written(tmp_path, said), written(tmp_path, blank, "blank.csv")
    assert LISTED[name](path).content == LISTED[name](plain).content
    quality = accept(path.read_bytes()).cleaned.quality()
    assert quality == accept(plain.read_bytes()).cleaned.quality()
    assert quality["refused"]["no_location"] == -(-ROWS // 7)  # type: ignore[index]


def test_a_home_that_is_almost_ready_is_not_ready(tmp_path: Path) -> None:
    texts = ["Almost_ready", "Not ready before 2028", "Ready to move from Dec 2028", "Ready To Move"]
    table = PLAIN.assign(availability=[texts[at % 4] for at in range(ROWS)])
    rows = accept(written(tmp_path, table).read_bytes()).cleaned.rows
    meant = rows["availability"].map(availability_feature)
    assert dict(zip(rows["availability"], meant, strict=True)) == dict(
        zip(texts, ["later"] * 3 + ["ready"], strict=True)
    )


def drifted(reference: Path, current: Path) -> list[str]:
    found = compare_files(reference, current, Rules())
    return [name for name, one in found["drift_indicators"].items() if one["significant_drift"]]


@pytest.mark.parametrize("times", [1, 5])
def test_the_same_two_hundred_listings_are_no_drift_however_often_they_stand_there(times: int, tmp_path: Path) -> None:
    reference = written(tmp_path, make_listings(3_000, 5), "reference.csv")
    current = written(tmp_path, pd.concat([make_listings(3_200, 5).tail(200)] * times))
    assert drifted(reference, current) == []


def trailing(path: Path) -> None:
    path.write_text("".join(line + ",,\n" for line in path.read_text().splitlines()))


def test_a_header_that_ends_in_commas_is_read(tmp_path: Path) -> None:
    path, plain = written(tmp_path, PLAIN), written(tmp_path, PLAIN, "plain.csv")
    trailing(path)
    readings: dict[str, Callable[[Path], Reading]] = LISTED
    assert [name for name, read in readings.items() if read(path).content != read(plain).content] == []
