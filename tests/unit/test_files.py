"""Atomic writes of local files."""

import os
import stat
import threading
from pathlib import Path

import pytest

from homeprices.files import write_atomic


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_private_file_is_readable_by_its_user_alone_even_if_the_old_one_was_public(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_atomic(path, "old")
    assert mode(path) & stat.S_IRGRP
    write_atomic(path, "नया", private=True)
    assert (mode(path), path.read_text(encoding="utf-8")) == (0o600, "नया")


def test_a_draft_left_by_a_killed_process_of_the_same_id_does_not_lend_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "key"
    draft = tmp_path / f".key.{os.getpid()}.draft"
    draft.write_text("a longer text than the new one")
    draft.chmod(0o666)
    write_atomic(path, "new", private=True)
    assert (mode(path), path.read_text(), [*tmp_path.iterdir()]) == (0o600, "new", [path])


def test_a_reader_sees_a_whole_text_during_writes(tmp_path: Path) -> None:
    path, texts = tmp_path / "file", ["a" * 100_000, "b" * 100_000]
    write_atomic(path, texts[0])
    done = threading.Event()

    def rewrite() -> None:
        for n in range(200):
            write_atomic(path, texts[n % 2])
        done.set()

    writer = threading.Thread(target=rewrite)
    writer.start()
    seen = set()
    while not done.is_set():
        seen.add(path.read_text())
    writer.join()
    assert seen <= set(texts)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, "old")
    (tmp_path / f".file.{os.getpid()}.draft").mkdir()
    with pytest.raises(OSError):
        write_atomic(path, "new")
    assert path.read_text() == "old"
