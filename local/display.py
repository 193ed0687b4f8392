"""Terminal output of the commands: the progress of `up`, the table of `status`, and the lines of `logs`.

Memory is the proportional set size, so that shared pages count once.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from homeprices.foreign_text import printable
from local.supervision import processes
from local.supervision.status_board import Entry, Phase, Status

STYLE = {
    Phase.READY: "green",
    Phase.DONE: "green",
    Phase.SILENT: "yellow",
    Phase.BACKING_OFF: "yellow",
    Phase.FAILED: "bold red",
    Phase.STOPPED: "dim",
}

Show = Callable[[Status, str], None]
"""Shows the state of a stack, and the current activity of `up` itself."""

LINES = 40
"""The lines of each log that `logs` prints first."""

LONGEST_LINE = 10_000
"""Characters of a line of a log that are shown."""

MAX_LOG_BYTES = 20 * 2**20
"""A log that is larger when the stack starts is rotated; it replaces the one rotated before."""

PSS = re.compile(r"^Pss:\s+(\d+) kB$", re.MULTILINE)


@contextmanager
def progress(console: Console) -> Iterator[Show]:
    """Show progress as a live table on a terminal, elsewhere as one line for each change."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    with Live(console=console, refresh_per_second=8, transient=True) as live:
        yield lambda status, activity: live.update(_live(status, activity))


def status_table(status: Status, memory: Mapping[str, int]) -> Table:
    """Return the table of services with their phase, ports, restarts and memory, and the sum of memory."""
    total = sum(memory.values())
    table = Table(box=None, pad_edge=False, show_footer=True)
    table.add_column("SERVICE", footer="sum")
    for title in ("STATE", "SINCE", "PROCESS", "PORTS", "RESTARTS"):
        table.add_column(title)
    table.add_column("MEMORY", justify="right", footer=megabytes(total))
    table.add_column("")
    for name, entry in status.services.items():
        table.add_row(
            name,
            Text(entry.phase, STYLE.get(entry.phase, "")),
            ago(time.time() - entry.since),
            str(entry.pid or ""),
            " ".join(str(port) for port in entry.ports.values()),
            str(entry.restarts or ""),
            megabytes(memory[name]) if name in memory else "",
            Text(entry.detail, "dim"),
        )
    for name in memory.keys() - status.services.keys():
        table.add_row(name, "", "", "", "", "", megabytes(memory[name]), "")
    return table


def megabytes(size: int) -> str:
    """1.5e9 -> "1431 MB" (of 2^20 bytes)."""
    return f"{size / 2**20:.0f} MB"


def ago(seconds: float) -> str:
    """Format a duration: 42 -> "42 s", 150 -> "2 min", 4000 -> "1 h 6 min"."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{rest} s"


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: dict[str, Phase] = {}
        self._activity = ""

    def __call__(self, status: Status, activity: str) -> None:
        for name, entry in status.services.items():
            if self._shown.get(name) is not entry.phase and entry.phase is not Phase.WAITING:
                self._shown[name] = entry.phase
                self._line(status, f"{name}: {entry.phase}{f' ({entry.detail})' if entry.phase not in STYLE else ''}")
        if activity and activity != self._activity:
            self._line(status, activity)
        self._activity = activity

    def _line(self, status: Status, text: str) -> None:
        self._console.print(f"{time.time() - status.started:6.1f} s  {text}", highlight=False, soft_wrap=True)


def _live(status: Status, activity: str) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for name, entry in status.services.items():
        table.add_row(
            _mark(entry), name, Text(entry.phase, STYLE.get(entry.phase, "")), Text(printable(entry.detail, 80), "dim")
        )
    line = f"{time.time() - status.started:4.0f} s  {activity or 'starting the stack'}"
    return Group(table, Text(line, "bold"))


def _mark(entry: Entry) -> RenderableType:
    if entry.phase in (Phase.READY, Phase.DONE):
        return Text("✓", "green")
    if entry.phase in (Phase.FAILED, Phase.BACKING_OFF):
        return Text("✗", "red")
    return Text("·", "dim") if entry.phase is Phase.WAITING else Spinner("dots")


def show_end(files: Iterable[Path]) -> dict[Path, int]:
    """Print the last lines of each file; return the offset up to which each was read."""
    positions = {}
    several = len(names := list(files)) > 1
    for file in names:
        content = file.read_bytes()
        positions[file] = len(content)
        for line in content.decode(errors="replace").splitlines()[-LINES:]:
            print(_line(file, line, several))
    return positions


def show_new(positions: Mapping[Path, int]) -> dict[Path, int]:
    """Print the complete lines added after `positions`; return the new offsets."""
    advanced = dict(positions)
    for file, position in positions.items():
        with file.open("rb") as log:
            if log.seek(0, 2) < position:  # rotated meanwhile
                position = 0
            log.seek(position)
            added = log.read()
        whole = added[: added.rfind(b"\n") + 1]
        advanced[file] = position + len(whole)
        for line in whole.decode(errors="replace").splitlines():
            print(_line(file, line, len(positions) > 1), flush=True)
    return advanced


def rotate_logs(folder: Path) -> None:
    """Rename the logs above `MAX_LOG_BYTES` to `*.log.1`."""
    for file in folder.glob("*.log"):
        if file.stat().st_size > MAX_LOG_BYTES:
            file.replace(file.with_suffix(".log.1"))


def _line(file: Path, line: str, named: bool) -> str:
    line = printable(line.expandtabs(), LONGEST_LINE)  # a log may contain input of visitors, such as control characters
    return f"{file.stem:>22} | {line}" if named else line


def memory_by_service(mark: str, folder: Path, pids: Mapping[str, int]) -> dict[str, int]:
    """Return the bytes of each service; `pids` has the first process of each, the rest counts as "other"."""
    total: dict[str, int] = defaultdict(int)
    names = {pid: name for name, pid in pids.items()}
    for process in processes.marked(mark, folder):
        total[_service_of(process, names)] += pss(process.pid)
    return dict(total)


def pss(pid: int) -> int:
    """Return the bytes of one process; the resident set size where the PSS is not readable, 0 when it has ended."""
    try:
        match = PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_text())
    except OSError:
        return _resident(pid)
    return int(match.group(1)) * 1024 if match else 0


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
