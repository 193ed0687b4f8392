from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from homeprices.cli import main
from homeprices.data import synthetic
from homeprices.model import presets
from homeprices.training import evaluate_files
from homeprices.training.evaluate_files import as_markdown, compare_estimators
from tests.integration.training.conftest import SEED, TINY

ROOT = Path(__file__).parents[3]


def test_the_table_has_a_line_an_estimator_and_says_what_it_was_measured_on(rows: pd.DataFrame) -> None:
    results = compare_estimators(rows, SEED, TINY, ("ridge", "decision_tree"))
    text = as_markdown(results, len(rows), SEED, TINY)
    lines = text.splitlines()
    assert f"{len(rows):,} homes, 2 folds, 1 repeat for publishable estimators, seed {SEED}" in lines[0]
    assert lines[-2].startswith("| Ridge regression | yes |") and "no: not monotone" in lines[-1]
    assert f"{results[0].mean['median_ape']:.1%}" in lines[-2]


def test_the_command_writes_both_tables_of_the_page(
    csv_files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raw: pd.DataFrame
) -> None:
    page = tmp_path / "models.md"
    page.write_text((ROOT / "documentations/models.md").read_text())
    monkeypatch.setattr(presets, "preset", lambda _name: TINY)
    monkeypatch.setattr(synthetic, "make_listings", lambda: raw)
    monkeypatch.setattr(evaluate_files, "compare_estimators", partial(compare_estimators, names=["ridge"]))
    for more in ([], ["--listings", str(csv_files[0])]):
        assert main(["training", "compare", "--page", str(page), "--jobs", "1", *more]) == 0
    assert page.read_text().count("| Ridge regression | yes |") == 2


def test_a_back_end_that_is_not_installed_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["training", "compare", "--page", str(tmp_path / "page.md"), "--backend", "dask"]) == 1
    assert "dask" in capsys.readouterr().err
