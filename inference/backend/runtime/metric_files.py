"""Merge the metric files of dead workers, so that a scrape does not get slower with every worker that was killed.

prometheus_client keeps one file for each worker and kind of metric (`counter_4711.db`). A scrape adds up all of them,
also those of workers that have exited, because a counter must not go down. Here the files of dead workers become one
file for each kind, `counter_merged-{generation}.db`, with the same values.

`merged.json` is the commit. It names the generation that counts and the files that are merged into it, which a reader
leaves out until they are deleted. A merge that is killed before the commit has changed nothing; after it, only files
that no scrape reads are left. A lock excludes other merges, never a reader: a reader whose files change under it reads
again.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

STATE_FILE, LOCK_FILE = "merged.json", "merging.lock"
LOCK_SECONDS = 5.0
LOCK_POLL_SECONDS = 0.01
READS = 50

_OF_PROCESS = re.compile(r"(?P<kind>counter|histogram|summary|gauge_(?:min|max|sum|mostrecent))_(?P<pid>\d+)\.db")
"""What can be merged. A gauge `all` has a value for each process; live gauges of dead processes are deleted."""

_MERGED = re.compile(r"(?P<kind>.+)_merged-(?P<generation>\d+)\.db")

Values = dict[str, tuple[float, float]]
"""Value and timestamp by prometheus_client's key of a sample."""


@dataclass(frozen=True)
class State:
    """The generation of merged files that counts, and the files that it holds: they no longer count by themselves."""

    generation: int = 0
    sources: tuple[str, ...] = ()


class MergeFailed(Exception):
    """Merged files would show other values than the files they replace; nothing was changed."""


class WorkerMetrics:
    """A collector of all workers' metrics, living and dead, for a registry of prometheus_client."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Any]:
        """Return the metrics, from a set of files that holds every count once."""
        for _ in range(READS):
            before = _read_state(self._folder)
            try:
                found = _shown(_counted_files(self._folder, before))
            except FileNotFoundError:  # merged since
                continue
            if _read_state(self._folder) == before:
                return found
        raise TimeoutError(f"the metric files in {self._folder} changed during each of {READS} reads")


def merge_dead(folder: Path, exited: int | None = None) -> int:
    """Merge the files of dead processes; return their number. `exited` is the id of a process that is known to be dead.

    Does nothing while another process merges: its files are then merged after the next exit. Raises MergeFailed.
    """
    if exited is not None:
        mark_process_dead(exited, str(folder))  # type: ignore[no-untyped-call] # deletes its live gauges
    with _lock(folder, seconds=0) as locked:
        if not locked:
            return 0
        state = _finish(folder)
        sources: dict[str, list[Path]] = {}
        for path in sorted(folder.glob("*.db")):
            found = _OF_PROCESS.fullmatch(path.name)
            if found and (int(found["pid"]) == exited or not _is_alive(int(found["pid"]))):
                sources.setdefault(found["kind"], []).append(path)
        if sources:
            _merge(folder, state, sources)
    return sum(map(len, sources.values()))


def finish_merge(folder: Path) -> None:
    """Delete what a killed merge has left. A worker calls this before its first metric.

    A worker may get the process id of a dead one, and would then add its counts to a file that is already merged. Waits
    a bounded time for a running merge.
    """
    with _lock(folder, seconds=LOCK_SECONDS) as locked:
        if locked:
            _finish(folder)


def _merge(folder: Path, state: State, sources: dict[str, list[Path]]) -> None:
    """Write the next generation, commit it, and delete the files it replaces. The caller holds the lock."""
    following = State(state.generation + 1, tuple(path.name for paths in sources.values() for path in paths))
    held = {found["kind"]: path for path in folder.glob("*_merged-*.db") if (found := _MERGED.fullmatch(path.name))}
    for kind in held.keys() | sources.keys():
        files = [*([held[kind]] if kind in held else []), *sources.get(kind, [])]
        target = folder / f"{kind}_merged-{following.generation}.db"
        _write(target, _combined(kind, files))
        if _samples([target]) != _samples(files):
            for path in folder.glob(f"*_merged-{following.generation}.db"):
                path.unlink()
            raise MergeFailed(f"{target.name} shows other values than {', '.join(path.name for path in files)}")
    _write_state(folder, following)
    _finish(folder)


def _finish(folder: Path) -> State:
    """Delete every file that does not count, then remove their names from the state. The caller holds the lock."""
    state = _read_state(folder)
    for path in folder.glob("*_merged-*.db"):
        found = _MERGED.fullmatch(path.name)
        if found and int(found["generation"]) != state.generation:
            path.unlink()
    if state.sources:
        for name in state.sources:
            (folder / name).unlink(missing_ok=True)
        state = State(state.generation)
        _write_state(folder, state)
    return state


def _counted_files(folder: Path, state: State) -> list[Path]:
    """Return the files whose values count in this state."""
    files = []
    for path in sorted(folder.glob("*.db")):
        merged = _MERGED.fullmatch(path.name)
        if path.name not in state.sources and (not merged or int(merged["generation"]) == state.generation):
            files.append(path)
    return files


def _combined(kind: str, files: Iterable[Path]) -> Values:
    """Return the values of several files together, in the order in which prometheus_client adds them up."""
    combined: Values = {}
    for path in filter(_is_begun, files):
        for key, value, timestamp, _ in MmapedDict.read_all_values_from_file(str(path)):  # type: ignore[no-untyped-call]
            if key not in combined:
                combined[key] = (value, timestamp)
                continue
            before, earlier = combined[key]
            if kind == "gauge_mostrecent":
                combined[key] = (value, timestamp) if timestamp > earlier else (before, earlier)
            elif kind in ("gauge_min", "gauge_max"):
                combined[key] = (min(before, value) if kind == "gauge_min" else max(before, value), 0.0)
            else:
                combined[key] = (before + value, 0.0)
    return combined


def _write(path: Path, values: Values) -> None:
    path.unlink(missing_ok=True)
    file = MmapedDict(str(path))  # type: ignore[no-untyped-call]
    try:
        for key, (value, timestamp) in values.items():
            file.write_value(key, value, timestamp)  # type: ignore[no-untyped-call]
    finally:
        file.close()  # type: ignore[no-untyped-call]


def _shown(files: Iterable[Path]) -> list[Any]:
    """Return the metrics that prometheus_client reads from files."""
    return list(MultiProcessCollector.merge([str(path) for path in files if _is_begun(path)]))  # type: ignore[no-untyped-call]


def _is_begun(path: Path) -> bool:
    """Return whether a file has its header; prometheus_client fails on one whose worker was killed as it opened it."""
    return path.stat().st_size > 0


def _samples(files: Iterable[Path]) -> dict[tuple[Any, ...], str]:
    """Return every value of the files, as prometheus_client shows it; as text, because NaN does not equal NaN."""
    return {
        (metric.name, metric.type, sample.name, *sorted(sample.labels.items())): repr(sample.value)
        for metric in _shown(files)
        for sample in metric.samples
    }


def _read_state(folder: Path) -> State:
    try:
        held = json.loads((folder / STATE_FILE).read_bytes())
    except FileNotFoundError:
        return State()
    return State(held["generation"], tuple(held["sources"]))


def _write_state(folder: Path, state: State) -> None:
    """Replace the state at once. Nothing is synced to disk: gunicorn empties the folder when it starts."""
    written = folder / f"{STATE_FILE}.new"
    written.write_text(json.dumps(asdict(state)))
    written.replace(folder / STATE_FILE)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def _lock(folder: Path, seconds: float) -> Iterator[bool]:
    """Yield whether the lock of merges was taken within so many seconds. A process that is killed releases it."""
    with (folder / LOCK_FILE).open("a") as file:
        until = time.monotonic() + seconds
        while not (taken := _try_lock(file.fileno())) and time.monotonic() < until:
            time.sleep(LOCK_POLL_SECONDS)
        yield taken


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
