"""`listed_on`: which cells are a day, which rows are rejected, and that a table without it is read as before."""

import io
from datetime import UTC, date, datetime

import pandas as pd
import pytest

from homeprices.data import contract
from homeprices.data.cleaning import clean, require_usable
from homeprices.data.listing_dates import AFTER_IMPORT, LISTED_ON, NO_DAY, local_day, parse_day
from homeprices.data.moving_prices import LAST_DAY, with_dates
from homeprices.data.schema import COLUMNS, read_file, to_csv
from homeprices.data.synthetic import make_listings
from homeprices.errors import DatasetRefused

TODAY = date(2026, 11, 30)


@pytest.fixture
def raw() -> pd.DataFrame:
    """Raw listings with dates."""
    return with_dates(make_listings(400, 3), 3, moving=True)


@pytest.mark.parametrize(
    ("cell", "day"),
    [
        ("2026-03-31", "2026-03-31"), (" 2024-02-29 ", "2024-02-29"), ("2026-03-31 00:00:00", "2026-03-31"),
        ("2026-03-31T23:59:59.123Z", "2026-03-31"), ("2026-03-31T10:00+05:30", "2026-03-31"), ("", ""), ("-", ""),
        ("2025-02-29", ""), ("31/03/2026", ""), ("03-31-2026", ""), ("2026-3-31", ""), ("20260331", ""), ("2026", ""),
        ("2026-W14", ""), ("2026-03-31 or so", ""), ("٢٠٢٦-03-31", ""), ("0000-01-01", ""), ("45382", ""),
    ],
)  # fmt: skip
def test_a_cell_is_one_day_or_none(cell: str, day: str) -> None:
    assert parse_day(cell) == day


def test_days_are_those_of_india() -> None:
    assert local_day(datetime(2026, 11, 29, 20, 0, tzinfo=UTC)) == date(2026, 11, 30)
    assert local_day(datetime(2026, 11, 29, 18, 0, tzinfo=UTC)) == date(2026, 11, 29)


def test_a_row_without_a_day_or_after_the_import_is_rejected_with_its_cell(raw: pd.DataFrame) -> None:
    good = clean(raw, TODAY).rows.index
    cells = {good[0]: "31/12/2025", good[1]: "", good[2]: "2026-12-01", good[3]: "2026-11-30"}
    raw.loc[list(cells), LISTED_ON] = list(cells.values())
    cleaned = clean(raw, TODAY)
    assert (cleaned.refused[NO_DAY], cleaned.refused[AFTER_IMPORT]) == (2, 1)
    assert cleaned.rows.loc[good[3], LISTED_ON] == "2026-11-30" and good[2] not in cleaned.rows.index
    said = "\n".join(cleaned.sentences())
    assert f"refused, no_listed_on: 2 (line {good[0]}: '31/12/2025', line {good[1]}: ''): " in said
    assert "listed_on must be a day such as 2026-03-31" in said
    assert f"(line {good[2]}: '2026-12-01'): listed_on must not be after the day of the import" in said


def test_a_table_whose_days_are_unreadable_is_refused_with_what_is_allowed(raw: pd.DataFrame) -> None:
    with pytest.raises(DatasetRefused, match=r"no_listed_on .*'31/12/2025': listed_on must be a day"):
        require_usable(clean(raw.assign(**{LISTED_ON: "31/12/2025"})))


def test_a_file_with_days_is_accepted_and_a_home_may_be_listed_on_two_days(raw: pd.DataFrame) -> None:
    line = clean(raw, TODAY).rows.index[0]
    twice = pd.concat([raw, raw.loc[[line]].assign(**{LISTED_ON: "2024-01-01"}), raw.loc[[line]]], ignore_index=True)
    accepted = contract.accept(to_csv(twice), TODAY)
    assert LISTED_ON not in str(accepted.listings.ignored)
    assert accepted.cleaned.duplicates == clean(raw, TODAY).duplicates + 1


@pytest.mark.parametrize("kind", ["date32", "timestamp", "ndjson"])
def test_days_of_parquet_and_json_are_read(raw: pd.DataFrame, kind: str) -> None:
    if kind == "ndjson":
        body = raw.to_json(orient="records", lines=True).encode()
    else:
        days = pd.to_datetime(raw[LISTED_ON])
        target = io.BytesIO()
        raw.assign(**{LISTED_ON: days if kind == "timestamp" else days.dt.date}).to_parquet(target, index=False)
        body = target.getvalue()
    read = clean(read_file(body).table, TODAY).rows
    assert read[LISTED_ON].tolist() == clean(raw, TODAY).rows[LISTED_ON].tolist()


def test_a_table_without_the_column_is_read_as_before() -> None:
    raw = make_listings(400, 3)
    cleaned = clean(raw, TODAY)
    assert LISTED_ON not in cleaned.rows and NO_DAY not in cleaned.refused
    assert to_csv(raw).splitlines()[0].decode() == ",".join(COLUMNS)


def test_a_clean_row_without_a_day_breaks_the_contract(raw: pd.DataFrame) -> None:
    cleaned = clean(raw, TODAY)
    cleaned.rows.loc[cleaned.rows.index[7], LISTED_ON] = "soon"
    with pytest.raises(DatasetRefused, match=NO_DAY):
        contract.require_training_rows(cleaned)


def test_the_same_seed_gives_the_same_dated_listings_up_to_the_last_day() -> None:
    listings = make_listings(2_000, 4)
    steady, moving = (with_dates(listings, 4, moving=moving) for moving in (False, True))
    pd.testing.assert_frame_equal(moving, with_dates(listings, 4, moving=True))
    pd.testing.assert_frame_equal(steady.drop(columns=LISTED_ON), listings)
    assert steady[LISTED_ON].equals(moving[LISTED_ON]) and steady[LISTED_ON].max() == LAST_DAY.isoformat()
    ratio = moving["price"].astype(float) / steady["price"].astype(float)
    late = steady[LISTED_ON] > "2026-06-01"
    assert ratio[late].median() > 1.1 > ratio[steady[LISTED_ON] < "2024-06-01"].median()
