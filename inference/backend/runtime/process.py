"""Process-wide settings of a worker: fields of its log lines, a tail of its log on disk, and malloc limits.

Each worker also writes its log as JSON lines to its own small file. `read_log_tail` merges the files of an instance.
"""

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

from homeprices.log import get_logger
from homeprices.names import Variant

FILE_BYTES = 256 * 1024  # a worker keeps two files of this size
FILES_KEPT = 16
_SUFFIX = ".jsonl"
# mallopt parameters (malloc.h) and values: all threads share two arenas, and a large block is a separate mapping, which
# is returned when it is freed. By default each thread gets an arena, and glibc learns to keep large blocks.
_MALLOC_OPTIONS = {"M_ARENA_MAX": (-8, 2), "M_MMAP_THRESHOLD": (-3, 128 * 1024), "M_TRIM_THRESHOLD": (-1, 128 * 1024)}

log = get_logger(__name__)


def log_fields(variant: Variant) -> Callable[[], dict[str, Any]]:
    """Return a function that gives the fields of every log line: the variant and, in a request, its ids and model.

    The visitor is the keyed hash of the prediction log, never an address.
    """

    def fields() -> dict[str, Any]:
        result: dict[str, Any] = {"variant": variant}
        if has_request_context():
            caller = g.get("caller")
            request = {
                "request_id": g.get("request_id"),
                "visitor": caller.visitor if caller else None,
                "version": g.get("model_version"),
            }
            result |= {name: value for name, value in request.items() if value is not None}
        return result

    return fields


def write_log_tail(folder: Path) -> logging.Handler | None:
    """Also write this process's log to `folder`. Return None if the disk takes no file; the worker serves without."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_old_files(folder)
        handler = RotatingFileHandler(
            folder / f"{os.getpid()}{_SUFFIX}", maxBytes=FILE_BYTES, backupCount=1, encoding="utf-8"
        )
    except OSError as error:
        log.warning("log_file_open_failed", reason=str(error))
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
    """Return the newest `limit` entries of all workers of this instance, oldest first."""
    entries: list[dict[str, Any]] = []
    for path in folder.glob(f"*{_SUFFIX}*"):
        entries.extend(_entries(path, limit))
    return sorted(entries, key=lambda entry: str(entry.get("timestamp", "")))[-limit:]


def _entries(path: Path, limit: int) -> list[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            lines = deque(file, maxlen=limit)
    except FileNotFoundError:  # rotated a moment ago
        return []
    return [entry for line in lines if (entry := _parse(line)) is not None]


def _parse(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:  # cut off when the worker was killed
        return None
    return entry if isinstance(entry, dict) else None


def _remove_old_files(folder: Path) -> None:
    files = sorted(folder.glob(f"*{_SUFFIX}*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files[FILES_KEPT:]:
        path.unlink(missing_ok=True)


def limit_allocator() -> None:
    """Limit the memory that the C library keeps after it was freed: 6 MB less a worker, and no request is slower.

    Two malloc arenas suffice, because allocations are serialised by the interpreter lock.
    """
    with suppress(AttributeError, OSError):  # other C libraries (musl, macOS) have no such options
        for parameter, value in _MALLOC_OPTIONS.values():
            ctypes.CDLL(None).mallopt(parameter, value)


def release_free_memory() -> None:
    """Return free memory to the operating system, if the C library can (not musl, not macOS)."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
