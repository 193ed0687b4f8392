"""Processes that count with the real prometheus_client and are killed: `python metric_workers.py FOLDER STEP...`.

Steps: `worker:N` forks a process that counts N times and kills itself; `merge` merges as gunicorn's parent does after
an exit; `stop:NAME` makes the next merge kill its process at the call of that function or method; `show` prints what a
scrape shows; `stock` what prometheus_client alone shows.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = Path(sys.argv[1])
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(FOLDER)

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary  # noqa: E402
from prometheus_client.multiprocess import MultiProcessCollector  # noqa: E402

from inference.backend.runtime import metric_files  # noqa: E402


def count(times: int) -> None:
    registry = CollectorRegistry()
    counter = Counter("asked", "Asked", ["reason"], registry=registry)
    histogram = Histogram("took_seconds", "Took", registry=registry, buckets=(0.1, 1.0))
    summary = Summary("size", "Size", registry=registry)
    gauges = [
        Gauge(f"level_{mode}", "Level", registry=registry, multiprocess_mode=mode)
        for mode in ("min", "max", "sum", "mostrecent", "all", "livesum", "livemax", "livemostrecent")
    ]
    for number in range(times):
        counter.labels("odd" if number % 2 else "even").inc()
        histogram.observe(number / 16)  # exact in binary, in whatever order it is added up
        summary.observe(number)
    for gauge in gauges:
        if gauge._multiprocess_mode.endswith("mostrecent"):
            gauge.set_to_current_time()
        else:
            gauge.set(times)
    os.kill(os.getpid(), signal.SIGKILL)


def forked(act: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        act()
        os._exit(0)
    return pid


def stop_at(name: str) -> None:
    """Kill the process at the N-th call of `name` (`name:N`), before it runs."""
    name, _, after = name.partition("@")
    owner: Any = Path if hasattr(Path, name) else metric_files
    real, calls = getattr(owner, name), iter(range(int(after or 0), -1, -1))

    def killing(*arguments: Any, **named: Any) -> Any:
        if next(calls) == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **named)

    setattr(owner, name, killing)


def samples(metrics: Any) -> dict[str, float]:
    return {f"{s.name}{sorted(s.labels.items())}": s.value for m in metrics for s in m.samples}


def merging(stop: str) -> None:
    if stop:
        stop_at(stop)
    metric_files.merge_dead(FOLDER)


def main(steps: list[str]) -> None:
    stop, pid = "", 0
    for step in steps:
        name, _, value = step.partition(":")
        if name == "worker":
            times = int(value)
            pid = forked(lambda times=times: count(times))  # type: ignore[misc]
            os.waitpid(pid, 0)
        elif name == "stop":
            stop = value
        elif name == "merge":
            _, status = os.waitpid(forked(lambda stop=stop: merging(stop)), 0)  # type: ignore[misc]
            print(json.dumps({"killed": os.WIFSIGNALED(status), "failed": os.WIFEXITED(status) and status != 0}))
            stop = ""
        elif name == "exit":
            metric_files.merge_dead(FOLDER, pid)
        elif name == "stock":
            print(json.dumps(samples(MultiProcessCollector(None, str(FOLDER)).collect())))  # type: ignore[no-untyped-call]
        else:
            print(json.dumps(samples(metric_files.WorkerMetrics(FOLDER).collect())))


if __name__ == "__main__":
    main(sys.argv[2:])
