"""A clean image is not scanned again until the image, the secrets or the scanner change."""

from pathlib import Path

import pytest

from compose.scan_images import MAX_CACHED, CleanImages


def memory(folder: Path, secret: str = "hush", scanner: bytes = b"1") -> CleanImages:
    return CleanImages(folder / "kept" / "clean.json", {"REDIS_PASSWORD": secret}, scanner)


def test_a_clean_image_is_remembered_by_another_process(tmp_path: Path) -> None:
    memory(tmp_path).remember(["sha256:1"])
    assert memory(tmp_path).knows("sha256:1") and not memory(tmp_path).knows("sha256:2")


def test_another_secret_or_another_scanner_scans_again(tmp_path: Path) -> None:
    memory(tmp_path).remember(["sha256:1"])
    assert not memory(tmp_path, secret="other").knows("sha256:1")
    assert not memory(tmp_path, scanner=b"2").knows("sha256:1")


def test_no_secret_is_stored(tmp_path: Path) -> None:
    memory(tmp_path).remember(["sha256:1"])
    assert "hush" not in (tmp_path / "kept" / "clean.json").read_text()


@pytest.mark.parametrize("rubbish", ["{", "7", "null"])
def test_a_file_that_cannot_be_read_remembers_nothing(tmp_path: Path, rubbish: str) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "clean.json").write_text(rubbish)
    assert not memory(tmp_path).knows("sha256:1")


def test_the_cache_is_bounded(tmp_path: Path) -> None:
    memory(tmp_path).remember(str(number) for number in range(MAX_CACHED + 1))
    assert not memory(tmp_path).knows("0") and memory(tmp_path).knows(str(MAX_CACHED))
