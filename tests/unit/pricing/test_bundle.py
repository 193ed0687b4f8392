import json
from pathlib import Path

import pytest

from homeprices.errors import BundleRefused
from homeprices.pricing.bundle import NEEDED_FILES, Bundle
from tests.support.bundles import make_bundle, make_draft

FILES = ("model.onnx", "columns.json", "reference.json", "validation.html", "plots/actual.png")


def test_a_complete_bundle_opens_with_its_version_and_columns(tmp_path: Path) -> None:
    bundle = Bundle.open(make_bundle(tmp_path / "price_check_BO4", "BO4"))
    assert (bundle.version, bundle.columns.interval.coverage) == ("BO4", 0.9)
    assert [spec.name for spec in bundle.columns.inputs] == ["total_sqft", "location", "bhk", "bath"]
    assert bundle.reference().features["location"].type == "text"


def test_a_draft_opens_as_a_draft_and_not_as_a_bundle(tmp_path: Path) -> None:
    folder = make_draft(tmp_path / "draft")
    assert Bundle.open_draft(folder).version == "draft"
    with pytest.raises(BundleRefused, match=r"manifest\.json cannot be read"):
        Bundle.open(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    folder = make_bundle(tmp_path / "bundle", "BO1")
    (folder / name).unlink()
    with pytest.raises(BundleRefused, match=f"{name} cannot be read"):
        Bundle.open(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_file_with_one_other_byte_is_refused(tmp_path: Path, name: str) -> None:
    folder = make_bundle(tmp_path / "bundle", "BO1")
    body = bytearray((folder / name).read_bytes())
    body[-1] ^= 1
    (folder / name).write_bytes(body)
    with pytest.raises(BundleRefused, match=f"{name} has the digest"):
        Bundle.open(folder)


def test_a_file_that_was_cut_short_is_refused_by_its_size(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "bundle", "BO1")
    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes()[:-10])
    with pytest.raises(BundleRefused, match=r"model\.onnx has .* bytes, its manifest says"):
        Bundle.open(folder)


@pytest.mark.parametrize("name", NEEDED_FILES)
def test_a_manifest_that_leaves_a_needed_file_out_is_refused(tmp_path: Path, name: str) -> None:
    folder = make_bundle(tmp_path / "bundle", "BO1")
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"][name]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleRefused, match=f"does not list {name}"):
        Bundle.open(folder)


@pytest.mark.parametrize("body", ["", "{", "[]", '{"version": "BO1"}'])
def test_a_manifest_that_is_none_is_refused_with_what_is_wrong(tmp_path: Path, body: str) -> None:
    folder = make_bundle(tmp_path / "bundle", "BO1")
    (folder / "manifest.json").write_text(body)
    with pytest.raises(BundleRefused, match=r"manifest\.json is not of its schema"):
        Bundle.open(folder)


def test_an_empty_folder_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleRefused, match=r"manifest\.json cannot be read: No such file"):
        Bundle.open(tmp_path)
