"""A scrape of `/metrics` after thousands of killed workers, compared with one before: `make benchmark-metric-files`.

python -m benchmarks.metric_files --dead 3000 --out benchmarks/results/metric_files.json

Processes with the service's own metrics are forked, count, and are killed with SIGKILL. "Merged" merges after each exit
as gunicorn's parent does; "as they were" keeps all files, as prometheus_client does by itself. The scrape is read in
the same run with two living workers: processor seconds of one thread, median of the rounds, alternating.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import machine

LIVING = 2
ESTIMATES = 20
SIDES = ("no dead worker", "merged", "as they were")
ROUNDS = 15
ALLOWED_RATIO = 1.5


def main(arguments: list[str] | None = None) -> int:
    """Measure, print and write the result. Return 1 if merged files are slower than allowed or a count is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dead", type=int, default=3000)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        result = measured(Path(folder), chosen.dead)
    text = json.dumps(result, indent=2)
    print(text)
    if chosen.out:
        chosen.out.write_text(text + "\n")
    return 0 if result["ratio_merged"] <= ALLOWED_RATIO and result["counts_are_equal"] else 1


def measured(folder: Path, dead: int) -> dict[str, Any]:
    """Return scrape times and their ratios."""
    folders = {side: folder / side.replace(" ", "-") for side in SIDES}
    living: list[int] = []
    try:
        for side, place in folders.items():
            place.mkdir()
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(place)  # read when a process opens its files
            merge_seconds = kill_workers(place, 0 if side == SIDES[0] else dead, merges=side == "merged") or None
            if merge_seconds:
                merging = statistics.median(merge_seconds)
            living += [forked(wait_for_the_end) for _ in range(LIVING)]
        wait_for_files(folders)
        seconds: dict[str, list[float]] = {side: [] for side in SIDES}
        for _ in range(ROUNDS):
            for side, place in folders.items():
                seconds[side].append(timed(lambda place=place: scrape(place)))  # type: ignore[misc]
        counts = {side: estimates(scrape(place)) for side, place in folders.items()}
        files = {side: len(list(place.glob("*.db"))) for side, place in folders.items()}
    finally:
        for pid in living:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    milliseconds = {side: round(statistics.median(values) * 1000, 3) for side, values in seconds.items()}
    return {
        "machine": machine.describe(),
        "dead_workers": dead,
        "living_workers": LIVING,
        "files": files,
        "scrape_processor_milliseconds": milliseconds,
        "merge_processor_milliseconds": round(merging * 1000, 3),
        "ratio_merged": round(milliseconds["merged"] / milliseconds[SIDES[0]], 2),
        "ratio_as_they_were": round(milliseconds["as they were"] / milliseconds[SIDES[0]], 2),
        "counts_are_equal": counts["merged"] == counts["as they were"] == (dead + LIVING) * ESTIMATES,
    }


def kill_workers(place: Path, dead: int, *, merges: bool) -> list[float]:
    """Fork, kill and reap this many workers; return the CPU seconds of each merge."""
    from inference.backend.runtime.metric_files import merge_dead

    seconds = []
    for _ in range(dead):
        pid = forked(lambda: os.kill(os.getpid(), signal.SIGKILL))
        os.waitpid(pid, 0)
        if merges:
            seconds.append(timed(lambda pid=pid: merge_dead(place, pid)))  # type: ignore[misc]
        else:
            for path in place.glob(f"gauge_live*_{pid}.db"):  # as mark_process_dead does, and did
                path.unlink()
    return seconds


def forked(last: Callable[[], object]) -> int:
    """Return the id of a process that counts its estimates and then does `last`."""
    from inference.backend.runtime.service_metrics import Metrics

    pid = os.fork()
    if pid == 0:
        metrics = Metrics("production")
        for number in range(ESTIMATES):
            metrics.predictions.inc()
            metrics.duration.observe(number / 1024)
        metrics.spool_bytes.set(1)
        last()
        os._exit(1)
    return pid


def wait_for_the_end() -> None:
    """Wait until killed."""
    signal.pause()


def wait_for_files(folders: dict[str, Path]) -> None:
    """Wait until every living worker has counted."""
    while any((found := estimates(scrape(place))) == 0 or found % (LIVING * ESTIMATES) for place in folders.values()):
        time.sleep(0.1)
    time.sleep(1)


def scrape(place: Path) -> bytes:
    """Return what Prometheus gets, without HTTP."""
    from prometheus_client import CollectorRegistry, generate_latest

    from inference.backend.runtime.metric_files import WorkerMetrics

    registry = CollectorRegistry()
    registry.register(WorkerMetrics(place))
    return generate_latest(registry)


def estimates(text: bytes) -> float:
    """Return the estimates that a scrape counts."""
    found = [line for line in text.decode().splitlines() if line.startswith('predictions_total{variant="production"}')]
    return float(found[0].split()[-1]) if found else 0.0


def timed(act: Callable[[], object]) -> float:
    """Return processor seconds of this thread."""
    started = time.thread_time()
    act()
    return time.thread_time() - started


if __name__ == "__main__":
    raise SystemExit(main())
