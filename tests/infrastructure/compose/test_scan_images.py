"""The scan finds a secret in any layer, also a deleted one, and ignores examples in packages."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from compose.scan_images import known_values, scan

VALUES = {"POSTGRES_PASSWORD": "0f1e2d3c4b5a69788796a5b4c3d2e1f0"}
AWS_KEY = b"key = AKIA" + b"ABCDEFGHIJKLMNOP"


def saved(folder: Path, *layers: dict[str, bytes], configuration: bytes = b"{}") -> Path:
    """Write an archive in the format of `docker save`."""
    entries = {f"{number}/layer.tar": packed(files) for number, files in enumerate(layers)}
    manifest = [{"Config": "config.json", "Layers": list(entries), "RepoTags": ["image"]}]
    archive = folder / "image.tar"
    archive.write_bytes(
        packed({"manifest.json": json.dumps(manifest).encode(), "config.json": configuration, **entries})
    )
    return archive


def packed(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, body in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return stream.getvalue()


def found(archive: Path) -> list[str]:
    return scan(archive, VALUES)["image"]


def test_an_image_of_sources_alone_is_clean(tmp_path: Path) -> None:
    assert found(saved(tmp_path, {"app/homeprices/settings.py": b"import os", "etc/passwd": b"root:x:0:0"})) == []


@pytest.mark.parametrize("place", ["app/x.py", "opt/venv/lib/x.py", "etc/x", "root/.cache/x"])
def test_a_value_of_the_env_file_is_found_wherever_it_stands(tmp_path: Path, place: str) -> None:
    lines = found(saved(tmp_path, {place: b"x = '" + VALUES["POSTGRES_PASSWORD"].encode() + b"'"}))
    assert lines == [f"/{place} holds the value of POSTGRES_PASSWORD"]


def test_a_deleted_file_is_still_in_its_layer(tmp_path: Path) -> None:
    lines = found(saved(tmp_path, {"app/key.txt": AWS_KEY}, {"app/.wh.key.txt": b""}))
    assert lines == ["/app/key.txt holds an AWS access key"]


@pytest.mark.parametrize("name", [".env", ".env.local", ".git/config", ".stack/secrets.json", "home/.ssh/id_ed25519"])
def test_files_that_must_never_get_in_are_named(tmp_path: Path, name: str) -> None:
    assert found(saved(tmp_path, {f"app/{name}": b""})) == [f"/app/{name} must not be in an image"]


def test_a_secret_in_the_configuration_is_found(tmp_path: Path) -> None:
    lines = found(saved(tmp_path, {}, configuration=json.dumps({"Env": [f"P={VALUES['POSTGRES_PASSWORD']}"]}).encode()))
    assert lines == ["its configuration holds the value of POSTGRES_PASSWORD"]


def test_examples_in_packages_and_the_example_of_the_env_file_are_no_secret(tmp_path: Path) -> None:
    assert (
        found(saved(tmp_path, {"opt/venv/lib/botocore/doc.txt": AWS_KEY, "app/.env.example": b"POSTGRES_PASSWORD="}))
        == []
    )


def test_values_as_short_as_words_are_not_searched(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("POSTGRES_PASSWORD=pass\nREDIS_PASSWORD=0123456789abcdef\n")
    assert known_values(tmp_path / ".env") == {"REDIS_PASSWORD": "0123456789abcdef"}


def test_a_shared_layer_is_reported_for_each_image(tmp_path: Path) -> None:
    shared, own = packed({"app/key.txt": AWS_KEY}), packed({"app/x.py": b"import os"})
    entries = {"a/layer.tar": shared, "b/layer.tar": shared, "c/layer.tar": own}
    images = {"one": (["a/layer.tar"], ["1"]), "two": (["b/layer.tar", "c/layer.tar"], ["1", "2"])}
    manifest = [
        {"Config": f"{name}.json", "Layers": layers, "RepoTags": [name]} for name, (layers, _) in images.items()
    ]
    configurations = {
        f"{name}.json": json.dumps({"rootfs": {"diff_ids": ids}}).encode() for name, (_, ids) in images.items()
    }
    archive = tmp_path / "images.tar"
    archive.write_bytes(packed({"manifest.json": json.dumps(manifest).encode(), **configurations, **entries}))
    assert scan(archive, {}) == {name: ["/app/key.txt holds an AWS access key"] for name in images}
