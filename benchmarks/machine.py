"""Description of the measured machine, and its load."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import psutil


def describe() -> dict[str, str]:
    """Return a description of the machine in words."""
    return {
        "processor": _processor(),
        "cores": str(psutil.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"Linux {platform.release()}" if platform.system() == "Linux" else platform.platform(),
        "Python": platform.python_version(),
    }


def busy_share(seconds: float = 3.0) -> float:
    """Return the share of the CPU that other processes use. Above a few percent, figures are imprecise."""
    return psutil.cpu_percent(interval=seconds) / 100


def cores() -> tuple[int, int]:
    """Return the core of the server and that of the load. Raises RuntimeError on a machine with one core."""
    free = sorted(os.sched_getaffinity(0))
    if len(free) < 2:
        raise RuntimeError("two cores are needed, one for the server and one for the load")
    return free[0], free[-1]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
