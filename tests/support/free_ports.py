"""Free ports of the loopback address that no other test process on this machine is given."""

from __future__ import annotations

import fcntl
import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

from local.ports import is_free

FIRST, LAST, BLOCK = 20_000, 32_000, 50
"""Below the ports that systems choose for outgoing connections: one of those could take a port before its server."""


def free_ports(count: int) -> list[int]:
    """Return ports on which nothing listens. No port is returned twice, in this process or in another."""
    return [next(_ports) for _ in range(count)]


def _own_ports() -> Iterator[int]:
    """Yield the free ports of one block after the other. A block belongs to the process that holds its lock file."""
    folder = Path(tempfile.gettempdir()) / f"homeprices-test-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for block in random.sample(range(FIRST, LAST, BLOCK), (LAST - FIRST) // BLOCK):
        lock = os.open(folder / str(block), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        yield from filter(is_free, range(block, block + BLOCK))  # the lock ends with this process
    raise RuntimeError("no port is left for tests")


_ports = _own_ports()
