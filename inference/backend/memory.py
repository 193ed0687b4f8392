"""Memory that is not needed, given back to the machine."""

from __future__ import annotations

import ctypes
from contextlib import suppress

_ARENA_MAX = -8  # M_ARENA_MAX of malloc.h
ARENAS = 2


def share_arenas() -> None:
    """Have all threads share what the C library has free, where each would keep an arena of its own.

    A thread holds the interpreter for nearly all that it allocates: they do not wait for each other here.
    """
    with suppress(AttributeError, OSError):  # of a C library (musl, macOS) that has no such setting
        ctypes.CDLL(None).mallopt(_ARENA_MAX, ARENAS)


def give_back() -> None:
    """Have the C library return what is free; one that cannot (musl, macOS) keeps it for later."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
