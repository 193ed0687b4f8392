"""Saving and loading a bucket restores the same bucket."""

from __future__ import annotations

import io
import tarfile

import pytest

from compose import bucket
from homeprices.adapters.object_store import MemoryBucket


def filled() -> MemoryBucket:
    source = MemoryBucket()
    source.put("control/experiment.json", b"{}")
    source.put("models/price_check_BO1/model.onnx", bytes(range(256)) * 1000)
    source.put("data/raw/empty.csv", b"")
    return source


def contents(of: MemoryBucket) -> dict[str, bytes]:
    return {entry.key: of.get(entry.key).body for entry in of.list("")}


def test_loading_restores_the_saved_objects_and_removes_the_others() -> None:
    source, target, stream = filled(), MemoryBucket(), io.BytesIO()
    target.put("models/price_check_BO2/manifest.json", b"later")
    assert bucket.save(source, stream) == 3
    stream.seek(0)
    assert bucket.load(target, stream) == 3
    assert contents(target) == contents(source)


def test_a_truncated_archive_removes_nothing() -> None:
    stream, target = io.BytesIO(), filled()
    bucket.save(filled(), stream)
    target.put("kept", b"yes")
    with pytest.raises(tarfile.TarError):
        bucket.load(target, io.BytesIO(stream.getvalue()[:200_000]))
    assert target.exists("kept")


@pytest.mark.parametrize("arguments", [[], ["burn"], ["save", "load"]])
def test_unknown_commands_are_rejected(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert bucket.main(arguments) == 2
    assert "create | save | load" in capsys.readouterr().err
