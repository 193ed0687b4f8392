"""The spool: records on the local disk before the visitor has the answer, until PostgreSQL has them.

One folder an instance, shared by its worker processes; each appends to a segment file of its own, one `write` a record.
What `append` has returned for outlives a killed process, because the kernel has it. With `fsync` it outlives a power
loss too: one `fsync` serves all threads that wait at that moment (group commit).
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
    """What a thread has put into the group and waits for."""

    line: bytes
    records: int
    done: bool = False
    error: SpoolFull | None = None


class Spool:
    """What one process writes to, and what its drain reads from. Safe to use from several threads."""

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
        """Put a record (a JSON object without line breaks) on disk. Raises SpoolFull: then it was not acknowledged."""
        self.append_many(kind, (body,))

    def append_many(self, kind: Kind, bodies: Sequence[bytes]) -> None:
        """Put records on disk with one write, all or none. Raises SpoolFull: then none was acknowledged."""
        line = b"".join([encode(kind, body) for body in bodies])
        with self._changed:
            if self._bytes() + len(line) > self._limit_bytes:
                message = f"the spool holds {self._bytes():,} bytes, its limit is {self._limit_bytes:,}"
                raise SpoolFull(message, RETRY_AFTER_SECONDS)
            if self._fsync:
                self._append_with_group(line, len(bodies))
            else:
                self._put(line, len(bodies))

    def rotate(self) -> None:
        """Put the current segment among those to be drained, if it has records."""
        with self._changed:
            while self._flushing:
                self._changed.wait()
            self._retire()

    def full_segments(self) -> list[Segment]:
        """Segments to be drained, oldest first: this process's own, and adopted ones."""
        with self._changed:
            return sorted(self._full, key=lambda segment: segment.created)

    def forget(self, segment: Segment) -> None:
        """Delete a segment whose records are all in PostgreSQL. Raises OSError."""
        segment.remove()
        with self._changed:
            self._full.remove(segment)

    def adopt(self) -> int:
        """Take over the segments of processes that are gone, measure what the living ones hold; returns how many."""
        with self._changed:
            own = {segment.path for segment in self._held()}
        adopted = spool_segments.orphans(self.folder, own)
        total = spool_segments.total_bytes(self.folder)
        with self._changed:
            self._full.extend(adopted)
            self._others_bytes = max(0, total - sum(segment.size for segment in self._held()))
        return len(adopted)

    @property
    def size_bytes(self) -> int:
        """Bytes not yet in PostgreSQL, of all processes of this instance (the others' as last measured)."""
        with self._changed:
            return self._bytes()

    @property
    def records(self) -> int:
        """Records not yet in PostgreSQL that this process has written or adopted."""
        with self._changed:
            return sum(segment.records for segment in self._held())

    def oldest_seconds(self, now: float) -> float:
        """The age of the oldest segment with records; 0 when everything is drained. `now` is a Unix time."""
        with self._changed:
            return max((now - segment.created for segment in self._held() if segment.size), default=0.0)

    def holds_from_before(self, moment: float) -> bool:
        """Whether any process of this instance, dead or alive, has a segment that is older than a Unix time."""
        return spool_segments.any_from_before(self.folder, moment)

    def close(self) -> None:
        """Let go of the files. What is in them stays on disk for the next process."""
        with self._changed:
            for segment in self._held():
                if segment.size:
                    segment.close()
                else:
                    segment.remove()
            self._full, self._current = [], None

    def _append_with_group(self, line: bytes, records: int) -> None:
        """One thread at a time writes and syncs for all that wait. Called, and returns, with the lock held."""
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
            segment = self._put(data, records)
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

    def _put(self, data: bytes, records: int) -> Segment:
        try:
            if self._current is not None and self._current.size >= SEGMENT_BYTES:
                self._retire()
            if self._current is None:
                self._current = spool_segments.create(self.folder, durable=self._fsync)
            self._current.append(data, records, self._write)
        except OSError as error:
            self._repair()
            raise SpoolFull(f"the disk takes no record: {error.strerror or error}", RETRY_AFTER_SECONDS) from error
        return self._current

    def _repair(self) -> None:
        """After a failed write, no torn line may stand before a whole one."""
        if self._current is None:
            return
        try:
            self._current.undo()
        except OSError:  # then nothing more is written behind it
            self._full.append(self._current)
            self._current = None

    def _retire(self) -> None:
        if self._current is not None and self._current.size:
            self._full.append(self._current)
            self._current = None

    def _held(self) -> list[Segment]:
        return [*self._full, self._current] if self._current else self._full

    def _bytes(self) -> int:
        return self._others_bytes + sum(segment.size for segment in self._held())
