from pathlib import Path

import pytest
from pydantic import ValidationError

from homeprices.pricing.manifest import DRAFT_FILE, Draft, Manifest
from tests.support.bundles import make_bundle, make_draft


def draft(tmp_path: Path) -> Draft:
    return Draft.model_validate_json((make_draft(tmp_path / "draft") / DRAFT_FILE).read_bytes())


def test_publishing_a_draft_adds_the_version_and_changes_nothing_else(tmp_path: Path) -> None:
    before = draft(tmp_path)
    after = before.publish(version="CO3", promoted_from=None, published_by="a test")
    assert (after.version, after.kind, after.promoted_from, after.published_by) == ("CO3", "CO", None, "a test")
    assert Draft.model_validate(after.model_dump()) == before


def test_a_promotion_keeps_everything_but_the_version(tmp_path: Path) -> None:
    candidate = draft(tmp_path).publish(version="CO3", promoted_from=None, published_by="a test")
    promoted = candidate.publish(version="BO2", promoted_from="CO3", published_by="evaluation")
    assert (promoted.version, promoted.kind, promoted.promoted_from) == ("BO2", "BO", "CO3")
    assert (promoted.files, promoted.golden, promoted.created_at) == (
        candidate.files,
        candidate.golden,
        candidate.created_at,
    )


def test_a_manifest_survives_json(tmp_path: Path) -> None:
    manifest = draft(tmp_path).publish(version="BO1", promoted_from=None, published_by="a test")
    assert Manifest.model_validate_json(manifest.model_dump_json(indent=2)) == manifest


@pytest.mark.parametrize("version", ["BO0", "XO1", "BO", "BO1/../x", "train_V1"])
def test_a_version_that_is_none_is_refused(tmp_path: Path, version: str) -> None:
    with pytest.raises(ValidationError):
        draft(tmp_path).publish(version=version, promoted_from=None, published_by="a test")


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "plots/../../x", ".hidden", "a//b", ""])
def test_a_file_outside_the_bundle_cannot_be_listed(tmp_path: Path, name: str) -> None:
    content = draft(tmp_path).model_dump()
    content["files"][name] = {"sha256": "0" * 64, "size": 1}
    with pytest.raises(ValidationError):
        Draft.model_validate(content)


def test_a_manifest_whose_kind_is_not_its_versions_is_refused(tmp_path: Path) -> None:
    content = draft(tmp_path).publish(version="BO1", promoted_from=None, published_by="a test").model_dump()
    with pytest.raises(ValidationError, match="BO1 is not of kind CO"):
        Manifest.model_validate(content | {"kind": "CO"})


def test_a_field_of_a_newer_writer_is_ignored_and_a_newer_schema_refused(tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle", "BO1")
    content = Manifest.model_validate_json((tmp_path / "bundle/manifest.json").read_bytes()).model_dump()
    assert Manifest.model_validate(content | {"carbon_grams": 3}).version == "BO1"
    with pytest.raises(ValidationError):
        Manifest.model_validate(content | {"schema_version": 2})
