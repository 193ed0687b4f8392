"""The ledger: how many estimates were asked for and failed, five minutes at a time, in the bucket within a minute.

It follows Nginx's log in a thread of its own, so that a bucket that hangs never stops the router. Counts and how far
they reach in the log lie in one file, written whole: after a kill the next agent goes on at that very line.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Callable
from datetime import date
from http import HTTPStatus
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from homeprices.adapters.object_store import Bucket
from homeprices.errors import HomePricesError
from homeprices.log import get_logger
from homeprices.names import Variant
from homeprices.release.traffic_counts import Counts, DailyTrafficCounts, bucket_start, day_of
from router.access_log import AccessLogEntry, LogFollower, LogOffset, parse
from router.render import write_whole

FILE = "traffic.json"
COUNT_SECONDS = 5.0
UPLOAD_SECONDS = 60.0
KEPT_DAYS = 2  # a line that is older than yesterday comes from no log that is still there

Slots = dict[int, dict[Variant, Counts]]

log = get_logger("router")


class Standing(BaseModel):
    """What the file holds: who counts, up to where, and what; `due` are the days that the bucket lacks something of."""

    model_config = ConfigDict(extra="forbid")

    router: str
    mark: LogOffset | None = None
    days: dict[date, Slots] = {}
    pending: set[date] = Field(default=set(), alias="due")  # the stored name


class TrafficCounter:
    """The counts of one router. `count` and `hand_in` are the two steps; `start` takes them in a thread."""

    def __init__(self, folder: Path, bucket: Bucket) -> None:
        self._file, self._bucket = folder / FILE, bucket
        self._standing = _load(self._file)
        self._tail = LogFollower(folder / "access.log", replay_bytes=0, mark=self._standing.mark)
        if self._standing.mark is None:
            self._tail.read()  # what is there before the first ledger is nobody's; from here on nothing is missed
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._failing: set[str] = set()

    def start(self) -> None:
        """Begin to count."""
        self._thread.start()

    def close(self, timeout_seconds: float = 10.0) -> None:
        """Count and hand in what is there, and stop; what takes longer than that, the next agent does."""
        self._closing.set()
        if self._thread.ident is None:
            self._tail.close()
        else:
            self._thread.join(timeout_seconds)

    def count_new_lines(self) -> None:
        """Add the lines that came, and keep the sums. Raises OSError when the disk does not take them."""
        for answer in parse(self._tail.read()):
            if answer is not None and _counts(answer):
                self._add(answer)
        mark = self._tail.mark
        if mark != self._standing.mark:
            self._standing.mark = mark
            write_whole(self._file, self._standing.model_dump_json(by_alias=True))

    def upload(self) -> None:
        """Write the days that changed into the bucket. Raises HomePricesError; they stay due."""
        for day in sorted(self._standing.pending):
            told = DailyTrafficCounts(router=self._standing.router, day=day, slots=self._standing.days[day])
            self._bucket.put(told.key, told.model_dump_json().encode())
            self._standing.pending.discard(day)
        for day in sorted(self._standing.days)[:-KEPT_DAYS]:
            del self._standing.days[day]

    def _add(self, answer: AccessLogEntry) -> None:
        slot = bucket_start(answer.at)
        day = day_of(slot)
        if day not in self._standing.days and any(day < kept for kept in self._standing.days):
            return
        arms = self._standing.days.setdefault(day, {}).setdefault(slot, {})
        arm: Variant = "candidate" if answer.served == "candidate" else "production"
        requests, failed = arms.get(arm, (0, 0))
        arms[arm] = requests + 1, failed + (answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR)
        self._standing.pending.add(day)

    def _run(self) -> None:
        waited = UPLOAD_SECONDS  # what an agent before this one has left is handed in at once
        while not self._closing.is_set():
            self._try(self.count_new_lines)
            if waited >= UPLOAD_SECONDS:
                self._try(self.upload)
                waited = 0.0
            self._closing.wait(COUNT_SECONDS)
            waited += COUNT_SECONDS
        for step in (self.count_new_lines, self.upload):
            self._try(step)
        self._tail.close()

    def _try(self, step: Callable[[], None]) -> None:
        """Take a step; what fails is said once, and tried again at the next."""
        try:
            step()
        except (HomePricesError, OSError) as error:
            if step.__name__ not in self._failing:
                log.warning("the counts of the traffic are not in the bucket yet", error=str(error))
            self._failing.add(step.__name__)
        else:
            self._failing.discard(step.__name__)


def _counts(answer: AccessLogEntry) -> bool:
    """Whether somebody got an estimate, or should have: what was wrong with the question itself is no failure."""
    return answer.is_prediction and (answer.status < HTTPStatus.BAD_REQUEST or answer.status >= 500)


def _load(file: Path) -> Standing:
    with contextlib.suppress(OSError, ValidationError):
        return Standing.model_validate_json(file.read_text(encoding="utf-8"))
    return Standing(router=secrets.token_hex(8))
