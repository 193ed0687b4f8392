from pathlib import Path

import pytest

from homeprices.adapters.object_store import MemoryBucket
from homeprices.cli import main
from homeprices.cli.data import import_file
from homeprices.data.schema import COLUMNS, read_listings, to_csv
from homeprices.data.synthetic import make_listings
from homeprices.errors import Unavailable
from homeprices.registry.datasets import Dataset, latest
from homeprices.resources import Resources
from homeprices.settings import Settings

NO_SERVER = "http://127.0.0.1:9"  # the discard port: nothing answers there


@pytest.fixture
def resources() -> Resources:
    """Resources with a bucket in memory and without servers."""
    return Resources(Settings(airflow_url=NO_SERVER), MemoryBucket())


@pytest.fixture
def listings(tmp_path: Path) -> Path:
    """Synthetic listings."""
    path = tmp_path / "listings.csv"
    path.write_bytes(to_csv(make_listings(60, 1)))
    return path


def test_an_import_stores_the_file_and_announces_it(
    resources: Resources, listings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    announced: list[Dataset] = []
    import_file(resources, listings, announced.append)
    assert announced == [latest(resources.bucket)]
    assert "data/raw/train_V1.csv: 60 rows" in capsys.readouterr().out


def test_an_import_says_what_was_read_and_a_refusal_what_is_wrong(
    resources: Resources, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listings = make_listings(300, 1).assign(agent="x")
    path = tmp_path / "listings.csv"
    path.write_text(listings.to_csv(index=False))
    import_file(resources, path, None)
    said = capsys.readouterr().out
    assert "ignored columns: agent" in said and "300 rows: " in said
    path.write_text(listings.assign(price=(listings["price"].astype(float) * 1e5).astype(str)).to_csv(index=False))
    assert main(["data", "import", str(path), "--no-notify"], resources) == 1
    error = capsys.readouterr().err
    assert "Likely prices in rupees" in error and "ignored columns: agent" in error and "nothing was uploaded" in error


def test_an_import_without_notification_calls_no_scheduler(
    resources: Resources, listings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "import", str(listings), "--no-notify"], resources) == 0
    assert capsys.readouterr().err == ""


def test_without_a_scheduler_the_dataset_is_stored_and_the_message_names_the_weekly_run(
    resources: Resources, listings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "import", str(listings)], resources) == 0
    assert latest(resources.bucket) is not None
    assert "stored, but no training was started" in (error := capsys.readouterr().err)
    assert "the weekly run will take it" in error


def test_a_scheduler_that_fails_does_not_fail_the_import(
    resources: Resources, listings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: Dataset) -> None:
        raise Unavailable("asleep")

    import_file(resources, listings, fail)
    assert "asleep" in capsys.readouterr().err


def test_a_refused_file_is_explained_and_nothing_is_uploaded(
    resources: Resources, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.csv"
    path.write_text("a;b;c\n1;2;3\n")
    assert main(["data", "import", str(path)], resources) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"other.csv: line 1: has no column {', '.join(COLUMNS)}; found a, b, c",
        "nothing was uploaded",
    ]
    assert list(resources.bucket.list("")) == []


def test_a_file_that_is_not_there_is_named(
    resources: Resources, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "import", str(tmp_path / "none.csv")], resources) == 1
    assert "none.csv" in capsys.readouterr().err


def test_synthetic_listings_are_written_to_the_named_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "deep/listings.csv"
    assert main(["data", "synthesize", "--rows", "25", "--seed", "3", "--out", str(out)]) == 0
    assert len(read_listings(out.read_bytes())) == 25
    assert "25 synthetic listings from seed 3" in capsys.readouterr().out


@pytest.mark.parametrize("rows", ["0", "500001", "many"])
def test_a_number_of_rows_out_of_range_is_refused(rows: str, tmp_path: Path) -> None:
    assert main(["data", "synthesize", "--rows", rows, "--out", str(tmp_path / "x.csv")]) == 2
