"""Memory that was needed for a moment, given back to the machine."""

from __future__ import annotations

import ctypes


def give_back() -> None:
    """Have the C library return what is free; one that cannot (musl, macOS) keeps it for later."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        return
