"""Ending processes: also those that a leader left behind."""

from __future__ import annotations

import subprocess
import sys

import psutil

from local.supervision import processes

A_LEADER_AND_TWO_WORKERS = """
import os, time
for _ in range(2):
    if os.fork() == 0:
        time.sleep(100)
print("started", flush=True)
time.sleep(100)
"""


def test_the_session_of_a_killed_leader_is_stopped() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", A_LEADER_AND_TWO_WORKERS], start_new_session=True, stdout=subprocess.PIPE
    ) as leader:
        assert leader.stdout is not None
        leader.stdout.readline()
        workers = psutil.Process(leader.pid).children()
        leader.kill()
        leader.wait()
        assert len(workers) == 2 and all(worker.is_running() for worker in workers)
        processes.stop(leader.pid, grace_seconds=15)
        assert processes.wait(workers, 5) == []
