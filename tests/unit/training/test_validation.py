"""Whether a bundle may be published, beside its behaviour."""

import json
from pathlib import Path

import pytest

from homeprices.errors import PublicationRefused
from homeprices.pricing.bundle import digest
from homeprices.training import validation
from tests.support.bundles import make_draft


def drafted(folder: Path, **metrics: float) -> Path:
    """A draft that is sound but for what is done to it."""
    make_draft(folder)
    return changed(folder, metrics={"median_ape": 0.2, "constant_median_ape": 0.5, **metrics})


def changed(folder: Path, **values: object) -> Path:
    draft = json.loads((folder / "draft.json").read_text()) | values
    (folder / "draft.json").write_text(json.dumps(draft))
    return folder


def test_a_sound_draft_passes_and_says_how_large_it_is(tmp_path: Path) -> None:
    report = validation.check(drafted(tmp_path / "draft"))
    [size] = [check for check in report.checks if "MB" in check.name]
    assert size.passed and size.detail.startswith("0.0 MB")


def test_a_bundle_of_more_than_25_megabytes_is_not_published_and_names_its_largest_file(tmp_path: Path) -> None:
    folder = drafted(tmp_path / "draft")
    large = folder / "plots" / "large.png"
    with large.open("wb") as file:
        file.truncate(25_000_001)
    files = json.loads((folder / "draft.json").read_text())["files"]
    changed(folder, files={**files, "plots/large.png": digest(large).model_dump()})
    with pytest.raises(PublicationRefused, match=r"at most 25 MB: 25\.0 MB, 25\.0 of them plots/large.png"):
        validation.check(folder)


def test_a_model_that_knows_no_more_than_a_constant_is_not_published(tmp_path: Path) -> None:
    with pytest.raises(PublicationRefused, match="smaller than a constant's: median error"):
        validation.check(drafted(tmp_path / "draft", median_ape=0.5))
