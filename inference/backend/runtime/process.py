"""The last lines of this instance's log: each worker also writes its log as JSON lines to a small file of its own."""

from __future__ import annotations

import ctypes
import json
import logging
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import structlog
from flask import g, has_request_context

from homeprices.names import Variant

FILE_BYTES = 256 * 1024  # a file, of which a worker keeps two
FILES_KEPT = 16
_SUFFIX = ".jsonl"


def write_log_tail(folder: Path) -> logging.Handler | None:
    """Write this process's log to `folder` as well; None when the disk takes no file: one can serve without."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _forget_old(folder)
        handler = RotatingFileHandler(
            folder / f"{os.getpid()}{_SUFFIX}", maxBytes=FILE_BYTES, backupCount=1, encoding="utf-8"
        )
    except OSError as error:
        logging.getLogger(__name__).warning("no log file: %s", error)
        return None
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(default=str),
            ],
            foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True)],
        )
    )
    logging.getLogger().addHandler(handler)
    return handler


def read_log_tail(folder: Path, limit: int) -> list[dict[str, Any]]:
    """The newest `limit` entries of all workers of this instance, oldest first."""
    entries: list[dict[str, Any]] = []
    for path in folder.glob(f"*{_SUFFIX}*"):
        entries.extend(_entries(path, limit))
    return sorted(entries, key=lambda entry: str(entry.get("timestamp", "")))[-limit:]


def _entries(path: Path, limit: int) -> list[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            lines = deque(file, maxlen=limit)
    except FileNotFoundError:  # rolled over a moment ago
        return []
    return [entry for line in lines if (entry := _parse(line)) is not None]


def _parse(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:  # cut off by a kill
        return None
    return entry if isinstance(entry, dict) else None


def _forget_old(folder: Path) -> None:
    files = sorted(folder.glob(f"*{_SUFFIX}*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files[FILES_KEPT:]:
        path.unlink(missing_ok=True)


# What every line of a log says beside its event: the arm and, within a request, which, whose and which model.


def log_fields(variant: Variant) -> Callable[[], dict[str, Any]]:
    """What reads them at the moment of a line. The visitor is the keyed hash of the log, never an address."""

    def fields() -> dict[str, Any]:
        found: dict[str, Any] = {"variant": variant}
        if has_request_context():
            caller = g.get("caller")
            request = {
                "request_id": g.get("request_id"),
                "visitor": caller.visitor if caller else None,
                "version": g.get("model_version"),
            }
            found |= {name: value for name, value in request.items() if value is not None}
        return found

    return fields


# Memory that is not needed, given back to the machine.


# Of malloc.h, with what they are set to: all threads share two arenas, and a large block is a mapping of its own, which
# goes back when it is freed. By default each thread gets an arena, and the C library learns to keep large blocks.
_SETTINGS = {"M_ARENA_MAX": (-8, 2), "M_MMAP_THRESHOLD": (-3, 128 * 1024), "M_TRIM_THRESHOLD": (-1, 128 * 1024)}


def limit_allocator() -> None:
    """Have the C library keep less of what is freed: a worker has 6 MB less, and no request is slower.

    A thread holds the interpreter for nearly all that it allocates, so that threads do not wait for each other here.
    """
    with suppress(AttributeError, OSError):  # of a C library (musl, macOS) that has no such settings
        for parameter, value in _SETTINGS.values():
            ctypes.CDLL(None).mallopt(parameter, value)


def release_free_memory() -> None:
    """Have the C library return what is free; one that cannot (musl, macOS) keeps it for later."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
