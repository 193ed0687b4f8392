"""How much memory each service of a stack takes: proportional set size, so that shared pages are counted once."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import psutil

from local import processes

PSS = re.compile(r"^Pss:\s+(\d+) kB$", re.MULTILINE)


def by_service(mark: str, folder: Path, pids: Mapping[str, int]) -> dict[str, int]:
    """Bytes by service, `pids` naming the first process of each; what belongs to none is under "other"."""
    total: dict[str, int] = defaultdict(int)
    names = {pid: name for name, pid in pids.items()}
    for process in processes.marked(mark, folder):
        total[_service_of(process, names)] += pss(process.pid)
    return dict(total)


def pss(pid: int) -> int:
    """Bytes of one process; 0 when it has ended or belongs to another user."""
    try:
        found = PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_text())
    except OSError:
        return _resident(pid)
    return int(found.group(1)) * 1024 if found else 0


def _resident(pid: int) -> int:
    try:
        return psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return 0


def _service_of(process: psutil.Process, names: Mapping[int, str]) -> str:
    for pid in (process.pid, *_ancestors(process)):
        if pid in names:
            return names[pid]
    # An Nginx that outlives the agent that started it writes to the log of the same service.
    for output in processes.outputs(process.pid):
        if output.suffix == ".log" and output.stem in names.values():
            return output.stem
    return "other"


def _ancestors(process: psutil.Process) -> list[int]:
    try:
        return [parent.pid for parent in process.parents()]
    except psutil.NoSuchProcess:
        return []
