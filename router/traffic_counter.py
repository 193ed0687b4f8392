"""Traffic counts: requests and errors of predictions per five minutes and variant, uploaded within a minute.

A thread follows Nginx's log, so that a hanging bucket never blocks the router. The counts and the position in the log
are written to one file atomically: after a kill, the next agent continues at exactly that line.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime
from http import HTTPStatus
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from homeprices.adapters.object_store import Bucket
from homeprices.errors import HomePricesError
from homeprices.files import write_atomic
from homeprices.keys.key_usage import MOST_KEYS, KeyUse, RouterKeyUsage
from homeprices.log import get_logger
from homeprices.names import Variant
from homeprices.release.traffic_counts import Counts, DailyTrafficCounts, bucket_start, day_of
from router.access_log import AccessLogEntry, LogFollower, LogOffset, parse

FILE = "traffic.json"
COUNT_SECONDS = 5.0
UPLOAD_SECONDS = 60.0
KEPT_DAYS = 2  # no log file on disk has older lines

Slots = dict[int, dict[Variant, Counts]]

log = get_logger("router")


class Standing(BaseModel):
    """The file's content: the router's id, the position in the log, the counts, and what is to be uploaded."""

    model_config = ConfigDict(extra="forbid")

    router: str
    mark: LogOffset | None = None
    days: dict[date, Slots] = {}
    pending: set[date] = Field(default=set(), alias="due")  # the stored name
    keys: dict[str, KeyUse] = {}
    keys_pending: bool = False


class TrafficCounter:
    """The counts of one router. `count_new_lines` and `upload` are the two steps; `start` repeats them in a thread."""

    def __init__(self, folder: Path, bucket: Bucket) -> None:
        self._file, self._bucket = folder / FILE, bucket
        self._standing = _load(self._file)
        self._log = LogFollower(folder / "access.log", replay_bytes=0, mark=self._standing.mark)
        if self._standing.mark is None:
            self._log.read()  # on the first start, skip existing lines; count from here
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic-counter", daemon=True)
        self._failing: set[str] = set()

    def start(self) -> None:
        """Start counting."""
        self._thread.start()

    def close(self, timeout_seconds: float = 10.0) -> None:
        """Count and upload the remaining lines, and stop. After the timeout, the rest is left to the next agent."""
        self._closing.set()
        if self._thread.ident is None:
            self._log.close()
        else:
            self._thread.join(timeout_seconds)

    def count_new_lines(self) -> None:
        """Count new lines and store the counts. Raises OSError if the disk takes no data."""
        for entry in parse(self._log.read()):
            if entry is not None and _is_counted(entry):
                self._add(entry)
            if entry is not None and entry.key:
                self._add_key(entry)
        mark = self._log.mark
        if mark != self._standing.mark:
            self._standing.mark = mark
            unused = set() if self._standing.keys else {"keys", "keys_pending"}  # unknown to the release before
            write_atomic(self._file, self._standing.model_dump_json(by_alias=True, exclude=unused))

    def upload(self) -> None:
        """Write changed days and the use of keys to the bucket. Raises HomePricesError; they stay pending then."""
        for day in sorted(self._standing.pending):
            counts = DailyTrafficCounts(router=self._standing.router, day=day, slots=self._standing.days[day])
            self._bucket.put(counts.key, counts.model_dump_json().encode())
            self._standing.pending.discard(day)
        for day in sorted(self._standing.days)[:-KEPT_DAYS]:
            del self._standing.days[day]
        if self._standing.keys_pending:
            usage = RouterKeyUsage(router=self._standing.router, keys=self._standing.keys)
            self._bucket.put(usage.key, usage.model_dump_json().encode())
            self._standing.keys_pending = False

    def _add(self, entry: AccessLogEntry) -> None:
        slot = bucket_start(entry.at)
        day = day_of(slot)
        if day not in self._standing.days and any(day < kept for kept in self._standing.days):
            return
        variants = self._standing.days.setdefault(day, {}).setdefault(slot, {})
        variant: Variant = "candidate" if entry.served == "candidate" else "production"
        requests, failed = variants.get(variant, (0, 0))
        variants[variant] = requests + 1, failed + (entry.status >= HTTPStatus.INTERNAL_SERVER_ERROR)
        self._standing.pending.add(day)

    def _add_key(self, entry: AccessLogEntry) -> None:
        at = datetime.fromtimestamp(entry.at, UTC)
        use = KeyUse(last_used=at, **{entry.key_outcome: 1})
        if entry.is_operation and entry.key_outcome == "allowed":
            use.operations, use.last_operation = 1, at
        keys = self._standing.keys
        keys.setdefault(entry.key, KeyUse()).add(use)
        if len(keys) > MOST_KEYS:
            del keys[min(keys, key=lambda name: keys[name].last_used or at)]
        self._standing.keys_pending = True

    def _run(self) -> None:
        waited = UPLOAD_SECONDS  # what the previous agent has left is uploaded at once
        while not self._closing.is_set():
            self._try(self.count_new_lines)
            if waited >= UPLOAD_SECONDS:
                self._try(self.upload)
                waited = 0.0
            self._closing.wait(COUNT_SECONDS)
            waited += COUNT_SECONDS
        for step in (self.count_new_lines, self.upload):
            self._try(step)
        self._log.close()

    def _try(self, step: Callable[[], None]) -> None:
        """Run a step. Log its failure once; the next round tries again."""
        try:
            step()
        except (HomePricesError, OSError) as error:
            if step.__name__ not in self._failing:
                log.warning("traffic_count_failed", step=step.__name__, error=str(error))
            self._failing.add(step.__name__)
        else:
            self._failing.discard(step.__name__)


def _is_counted(entry: AccessLogEntry) -> bool:
    """Whether the entry is a prediction that succeeded or failed. Invalid requests (4xx) are not counted.

    Responses of Nginx without an upstream are not counted either, because the post-promotion analysis would revert
    production for them.
    """
    return entry.is_prediction and (entry.status < HTTPStatus.BAD_REQUEST or entry.status >= 500)


def _load(file: Path) -> Standing:
    with contextlib.suppress(OSError, ValidationError):
        return Standing.model_validate_json(file.read_text(encoding="utf-8"))
    return Standing(router=secrets.token_hex(8))
