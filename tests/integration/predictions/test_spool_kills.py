"""Processes that die at any instant, and what their spools still hold."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from homeprices.predictions.spool import Spool
from tests.support.factories import PLENTY, bodies


def in_child(work: Callable[[], None]) -> int:
    """A forked process that does `work` until it is killed."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(1)
    return pid


@pytest.mark.parametrize("fsync", [False, True])
def test_killed_processes_lose_no_record_that_they_acknowledged(tmp_path: Path, fsync: bool) -> None:
    """The acknowledgement goes through a pipe after `append` has returned, as an answer goes to a visitor."""
    acknowledged: list[bytes] = []
    found: list[bytes] = []
    for round_number in range(40):
        reader, writer = os.pipe()

        def write(round_number: int = round_number, writer: int = writer) -> None:
            spool = Spool(tmp_path, limit_bytes=PLENTY, fsync=fsync)
            for number in range(1_000_000):
                body = b"%d.%d" % (round_number, number)
                spool.append("p", body)
                os.write(writer, body + b"\n")
                if number % 7 == 0:
                    spool.rotate()

        pid = in_child(write)
        os.close(writer)
        heard = os.read(reader, 1)  # it lives; now it may die at any instant
        time.sleep((round_number % 10) / 2000)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        while chunk := os.read(reader, 1 << 16):
            heard += chunk
        os.close(reader)
        acknowledged += heard.splitlines()
        survivor = Spool(tmp_path, limit_bytes=PLENTY)
        found += bodies(survivor)
        for segment in survivor.full_segments():
            survivor.delete(segment)
        survivor.close()
    assert len(acknowledged) >= 40
    assert set(acknowledged) <= set(found)
    assert len(found) == len(set(found))
