"""Starting and stopping the stack: every error names its reason, and no process remains."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local.supervision import processes, status_board
from tests.e2e.running_stack import ROOT, RunningStack, port_offset, wait_until
from tests.support.servers import open_s3

OFFSET = port_offset("lifecycle")
FRONTEND_PORT = 6500 + OFFSET

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[RunningStack]:
    """A stack in a folder of its own, on ports of its own."""
    one = RunningStack(tmp_path / "stack", OFFSET)
    yield one
    one.local("clean")


def test_a_busy_port_is_named_with_its_owner_before_anything_starts(stack: RunningStack) -> None:
    with socket.create_server(("127.0.0.1", FRONTEND_PORT)):
        done = up(stack).communicate(timeout=60)[0]
    assert f"port {FRONTEND_PORT} (frontend) is taken by" in done
    assert f"process {os.getpid()} of" in done
    assert "STACK_PORT_OFFSET" in done
    assert not (stack.folder / "logs" / "postgres.log").exists()
    assert left_behind(stack) == []


def test_ctrl_c_while_it_starts_leaves_no_process_behind(stack: RunningStack) -> None:
    starting = up(stack)
    wait_until(lambda: started(stack, "seaweedfs") and started(stack, "postgres"), 60, "the first services")
    assert left_behind(stack) != []
    starting.send_signal(signal.SIGINT)
    said = starting.communicate(timeout=120)[0]
    assert (starting.returncode, "Interrupted" in said) == (130, True), said
    assert left_behind(stack) == []


def test_a_start_that_fails_says_why_and_leaves_no_process_behind(stack: RunningStack) -> None:
    stack.environ["HOMEPRICES_NGINX"] = "/bin/false"
    failing = up(stack)
    said = failing.communicate(timeout=240)[0]
    assert failing.returncode == 1, said
    assert re.search(r"(router|frontend) could not be started", said), said
    assert left_behind(stack) == []


def test_what_a_killed_supervisor_leaves_is_ended_by_down(stack: RunningStack, s3_settings: dict[str, str]) -> None:
    """Uses a bucket outside the stack, to cover that case too."""
    stack.environ |= s3_settings
    starting = up(stack)
    wait_until(lambda: started(stack, "infer-prod"), 120, "infer-prod")
    status = status_board.read(stack.folder / "status.json")
    assert status is not None
    assert "seaweedfs" not in status.services
    starting.kill()
    starting.communicate(timeout=60)
    psutil.Process(status.supervisor).kill()
    assert left_behind(stack) != []
    said = stack.local("down").stdout
    assert "Stopped processes without a supervisor" in said
    assert "postgres" in said
    assert left_behind(stack) == []
    assert list(open_s3(s3_settings).list("")) == []


def up(stack: RunningStack) -> subprocess.Popen[str]:
    """Run `make up` as from a terminal. Tests in a background script inherit an ignored SIGINT, so this restores it."""
    return subprocess.Popen(
        [sys.executable, "-m", "local", "up"],
        cwd=ROOT, env=stack.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def started(stack: RunningStack, name: str) -> bool:
    status = status_board.read(stack.folder / "status.json")
    return status is not None and status.services[name].phase is status_board.Phase.READY


def left_behind(stack: RunningStack) -> list[psutil.Process]:
    """Return every process that carries the mark of the stack or writes to its logs."""
    mark = stack.folder / "id"
    return processes.marked(mark.read_text(), stack.folder) if mark.exists() else []
