"""The spool: a write-ahead log on the local disk that holds records until PostgreSQL has stored them.

All worker processes of an instance share one folder, and each appends to its own segment file, with one `write` per
record. An acknowledged record survives a killed process, because the kernel holds it. With `fsync` it also survives a
power loss: one `fsync` serves all threads that wait for it (group commit).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from homeprices.errors import SpoolFull
from homeprices.predictions import spool_segments
from homeprices.predictions.spool_segments import Kind, Segment, Write, encode

SEGMENT_BYTES = 4 * 2**20
RETRY_AFTER_SECONDS = 30  # a full disk is not emptied in less


@dataclass(eq=False)
class _Waiting:
    """Lines that a thread has added to the group, and their outcome."""

    line: bytes
    records: int
    done: bool = False
    error: SpoolFull | None = None


class Spool:
    """The spool of one process: threads append to it, and the drain reads it. Thread-safe."""

    def __init__(self, folder: Path, *, limit_bytes: int, fsync: bool = False, write: Write = os.write) -> None:
        self.folder = folder
        self._limit_bytes = limit_bytes
        self._fsync = fsync
        self._write = write
        self._changed = threading.Condition()
        self._flushing = False
        self._group: list[_Waiting] = []
        self._current: Segment | None = None
        self._full: list[Segment] = []
        self._others_bytes = 0

    def append(self, kind: Kind, body: bytes) -> None:
        """Write a record (a JSON object without line breaks) to disk. Raises SpoolFull; then it is not acknowledged."""
        self.append_many(kind, (body,))

    def append_many(self, kind: Kind, bodies: Sequence[bytes]) -> None:
        """Write records to disk with one write, all or none. Raises SpoolFull; then none is acknowledged."""
        line = b"".join([encode(kind, body) for body in bodies])
        with self._changed:
            if self._bytes() + len(line) > self._limit_bytes:
                message = f"the spool holds {self._bytes():,} bytes, its limit is {self._limit_bytes:,}"
                raise SpoolFull(message, RETRY_AFTER_SECONDS)
            if self._fsync:
                self._append_with_group(line, len(bodies))
            else:
                self._write_lines(line, len(bodies))

    def rotate(self) -> None:
        """Close the current segment to new records, so that it is drained, if it has any."""
        with self._changed:
            while self._flushing:
                self._changed.wait()
            self._close_current()

    def full_segments(self) -> list[Segment]:
        """Return the segments to drain, own and adopted ones, oldest first."""
        with self._changed:
            return sorted(self._full, key=lambda segment: segment.created)

    def delete(self, segment: Segment) -> None:
        """Delete a segment whose records are all in PostgreSQL. Raises OSError."""
        segment.remove()
        with self._changed:
            self._full.remove(segment)

    def adopt(self) -> int:
        """Adopt the segments of dead processes, measure those of living ones, and return how many were adopted."""
        with self._changed:
            own = {segment.path for segment in self._segments()}
        adopted = spool_segments.orphans(self.folder, own)
        total = spool_segments.total_bytes(self.folder)
        with self._changed:
            self._full.extend(adopted)
            self._others_bytes = max(0, total - sum(segment.size for segment in self._segments()))
        return len(adopted)

    @property
    def size_bytes(self) -> int:
        """Bytes not yet in PostgreSQL, of all processes of this instance (the others' as last measured)."""
        with self._changed:
            return self._bytes()

    @property
    def records(self) -> int:
        """The number of records not yet in PostgreSQL that this process has written or adopted."""
        with self._changed:
            return sum(segment.records for segment in self._segments())

    def oldest_seconds(self, now: float) -> float:
        """Return the age of the oldest segment with records; 0 if there is none. `now` is a Unix time."""
        with self._changed:
            return max((now - segment.created for segment in self._segments() if segment.size), default=0.0)

    def holds_from_before(self, moment: float) -> bool:
        """Return whether any process of this instance, dead or alive, has a segment older than a Unix time."""
        return spool_segments.any_from_before(self.folder, moment)

    def close(self) -> None:
        """Close the files. Their records stay on disk for the next process."""
        with self._changed:
            for segment in self._segments():
                if segment.size:
                    segment.close()
                else:
                    segment.remove()
            self._full, self._current = [], None

    def _append_with_group(self, line: bytes, records: int) -> None:
        """Write and sync the lines of all waiting threads, one thread at a time. Needs the lock, and keeps it."""
        mine = _Waiting(line, records)
        self._group.append(mine)
        while not mine.done:
            if self._flushing:
                self._changed.wait()
                continue
            group, self._group, self._flushing = self._group, [], True
            error = self._flush(b"".join(waiting.line for waiting in group), sum(w.records for w in group))
            self._flushing = False
            for waiting in group:
                waiting.done, waiting.error = True, error
            self._changed.notify_all()
        if mine.error:
            raise mine.error

    def _flush(self, data: bytes, records: int) -> SpoolFull | None:
        try:
            segment = self._write_lines(data, records)
        except SpoolFull as error:
            return error
        self._changed.release()  # others may queue for the next group meanwhile; `rotate` waits
        try:
            segment.sync()
        except OSError as error:
            return SpoolFull(f"the disk did not keep a record: {error.strerror or error}", RETRY_AFTER_SECONDS)
        finally:
            self._changed.acquire()
        return None

    def _write_lines(self, data: bytes, records: int) -> Segment:
        try:
            if self._current is not None and self._current.size >= SEGMENT_BYTES:
                self._close_current()
            if self._current is None:
                self._current = spool_segments.create(self.folder, durable=self._fsync)
            self._current.append(data, records, self._write)
        except OSError as error:
            self._repair()
            raise SpoolFull(f"the disk takes no record: {error.strerror or error}", RETRY_AFTER_SECONDS) from error
        return self._current

    def _repair(self) -> None:
        """Truncate a torn record after a failed write, so that no whole record follows it."""
        if self._current is None:
            return
        try:
            self._current.undo()
        except OSError:  # then nothing more is appended to this segment
            self._full.append(self._current)
            self._current = None

    def _close_current(self) -> None:
        if self._current is not None and self._current.size:
            self._full.append(self._current)
            self._current = None

    def _segments(self) -> list[Segment]:
        return [*self._full, self._current] if self._current else self._full

    def _bytes(self) -> int:
        return self._others_bytes + sum(segment.size for segment in self._segments())
