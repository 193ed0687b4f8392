"""Metric files of killed workers are merged and every count stays, with the installed prometheus_client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from inference.backend.runtime import metric_files
from inference.backend.runtime.metric_files import MergeFailed, WorkerMetrics, finish_merge, merge_dead
from tests.support.programs import ROOT

WORKERS = ["worker:5", "worker:9", "worker:2", "worker:30"]
KINDS = ["counter", "gauge_max", "gauge_min", "gauge_mostrecent", "gauge_sum", "histogram", "summary"]


def run(folder: Path, *steps: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "tests.unit.inference.metric_workers", str(folder), *steps]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def shown(folder: Path) -> dict[str, float]:
    return {f"{s.name}{sorted(s.labels.items())}": s.value for m in WorkerMetrics(folder).collect() for s in m.samples}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.db") if "_all_" not in path.name and "_live" not in path.name)


def test_the_counts_of_killed_workers_are_those_that_prometheus_client_adds_up(tmp_path: Path) -> None:
    before, merged, after = run(tmp_path, *WORKERS, "stock", "merge", "show")
    assert merged == {"killed": False, "failed": False}
    assert after == before
    assert before["asked_total[('reason', 'even')]"] == 3 + 5 + 1 + 15
    assert (before["took_seconds_count[]"], before["size_count[]"]) == (46, 46)
    levels = {mode: before[f"level_{mode}[]"] for mode in ("min", "max", "sum")}
    assert levels == {"min": 2, "max": 30, "sum": 46}
    assert names(tmp_path) == [f"{kind}_merged-1.db" for kind in KINDS]


def test_merging_after_every_exit_keeps_one_file_a_kind_and_drops_live_gauges(tmp_path: Path) -> None:
    steps = [step for worker in WORKERS * 3 for step in (worker, "exit")]
    (after,) = run(tmp_path, *steps, "show")
    assert after["asked_total[('reason', 'even')]"] == 3 * 24
    assert names(tmp_path) == [f"{kind}_merged-12.db" for kind in KINDS]
    assert not list(tmp_path.glob("gauge_live*"))


def test_a_living_worker_s_files_stay_its_own(tmp_path: Path) -> None:
    run(tmp_path, "worker:4")
    (dead,) = tmp_path.glob("counter_*.db")
    living = tmp_path / f"counter_{os.getpid()}.db"
    living.write_bytes(dead.read_bytes())
    before = shown(tmp_path)
    assert merge_dead(tmp_path) == len(KINDS)
    assert living.exists()
    assert shown(tmp_path) == before


STOPS = ["_write", "_write@3", "_samples", "_samples@7", "_write_state", "replace", "_finish", "_finish@1"]
STOPS += [f"unlink@{number}" for number in range(7, 24, 3)]


@pytest.mark.parametrize("stop", STOPS)
def test_a_merge_that_is_killed_at_any_point_counts_nothing_twice_and_loses_nothing(stop: str, tmp_path: Path) -> None:
    steps = [*WORKERS[:2], "merge", *WORKERS[2:], "show", f"stop:{stop}", "merge", "show", "merge", "show"]
    _, before, killed, interrupted, again, after = run(tmp_path, *steps)
    assert killed["killed"], "the function that should have killed it was not called so often"
    assert interrupted == before
    assert again == {"killed": False, "failed": False}
    assert after == before
    assert len(names(tmp_path)) == len(KINDS)


def test_a_worker_that_gets_the_id_of_a_merged_one_is_counted(tmp_path: Path) -> None:
    before, killed = run(tmp_path, *WORKERS, "show", "stop:_finish@1", "merge")
    assert killed["killed"]
    left = sorted(tmp_path.glob("counter_[0-9]*.db"))
    assert len(left) == 4, "the files that were merged are still there"
    body = left[0].read_bytes()
    finish_merge(tmp_path)
    assert shown(tmp_path) == before
    left[0].write_bytes(body)  # what a new process of this id counts
    assert shown(tmp_path) != before


def test_two_merges_at_once_and_readers_beside_them_agree(tmp_path: Path) -> None:
    (before,) = run(tmp_path, *WORKERS * 5, "show")
    seen: list[dict[str, float]] = []
    ends = threading.Event()

    def read() -> None:
        while not ends.is_set():
            seen.append(shown(tmp_path))

    reader = threading.Thread(target=read)
    reader.start()
    command = [sys.executable, "-m", "tests.unit.inference.metric_workers", str(tmp_path), *["merge"] * 5]
    both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [one.communicate(timeout=120)[0] for one in both]
    ends.set()
    reader.join()
    assert "true" not in "".join(said)
    assert all(one == before for one in [*seen, shown(tmp_path)])
    assert len(names(tmp_path)) == len(KINDS)


def test_a_worker_killed_as_it_opened_its_file_does_not_stop_the_scrape(tmp_path: Path) -> None:
    run(tmp_path, "worker:4")
    before = shown(tmp_path)
    (tmp_path / "counter_4194305.db").write_bytes(b"")
    assert shown(tmp_path) == before
    merge_dead(tmp_path)
    assert (shown(tmp_path), len(names(tmp_path))) == (before, len(KINDS))


def test_a_library_that_reads_the_merged_file_otherwise_stops_the_merge_and_no_count_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a release with another form of file would: the files stay as they were, and gunicorn logs an error."""
    run(tmp_path, *WORKERS)
    before, files = shown(tmp_path), names(tmp_path)
    real = metric_files._combined
    monkeypatch.setattr(metric_files, "_combined", lambda *given: dict(list(real(*given).items())[1:]))
    with pytest.raises(MergeFailed, match="shows other values than"):
        merge_dead(tmp_path)
    assert (shown(tmp_path), names(tmp_path)) == (before, files)
