"""What a spool holds, as the drain would find it."""

from __future__ import annotations

from homeprices.predictions.spool import Spool
from homeprices.predictions.spool_segments import decode

PLENTY = 1 << 30


def bodies(spool: Spool) -> list[bytes]:
    """Everything that the drain would find, in its order."""
    spool.adopt()
    spool.rotate()
    lines = (line for segment in spool.full_segments() for line in segment.lines())
    return [record.body for line in lines if (record := decode(line))]
