"""What the routers answered, five minutes at a time: how many estimates were asked for, and how many of them failed.

A failed answer leaves no row in the prediction log, and a dead service counts nothing: only a router sees every one.
Each writes its counts into an object a day, whole, again and again, so that nothing is counted twice however often it
is killed. The watch over a new production adds them up.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta

from pydantic import BaseModel, ConfigDict, ValidationError

from homeprices.adapters.object_store import Bucket
from homeprices.errors import ObjectNotFound
from homeprices.log import get_logger
from homeprices.names import Variant

PREFIX = "traffic/"
SLOT_SECONDS = 300

log = get_logger(__name__)

Counts = tuple[int, int]
"""Requests for an estimate that were answered or failed, and those that failed."""


class DailyTrafficCounts(BaseModel):
    """What one router counted on one day (UTC): by slot (Unix time of its beginning) and by the arm that answered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    router: str
    day: date
    slots: dict[int, dict[Variant, Counts]] = {}

    @property
    def key(self) -> str:
        """Where it lies in the bucket."""
        return f"{PREFIX}{self.day.isoformat()}/{self.router}.json"


def bucket_start(moment: float) -> int:
    """The beginning of the five minutes that a Unix time lies in."""
    return int(moment // SLOT_SECONDS) * SLOT_SECONDS


def day_of(slot: int) -> date:
    """The day (UTC) of a slot."""
    return datetime.fromtimestamp(slot, UTC).date()


def production(bucket: Bucket, since: datetime, until: datetime) -> list[Counts]:
    """Production's requests and failures, of all routers, in each slot that lies wholly between two moments.

    A slot without a request is left out. Raises StorageUnavailable; an object that cannot be read counts nothing, and
    is said in the log.
    """
    begin, end = -bucket_start(-since.timestamp()), bucket_start(until.timestamp())
    found: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    day, last = since.astimezone(UTC).date(), until.astimezone(UTC).date()
    while day <= last:
        for told in _of_day(bucket, day):
            for slot, arms in told.slots.items():
                requests, failed = arms.get("production", (0, 0))
                if begin <= slot < end and requests:
                    found[slot][0] += requests
                    found[slot][1] += failed
        day += timedelta(days=1)
    return [(requests, failed) for _, (requests, failed) in sorted(found.items())]


def _of_day(bucket: Bucket, day: date) -> list[DailyTrafficCounts]:
    told = []
    for entry in bucket.list(f"{PREFIX}{day.isoformat()}/"):
        try:
            told.append(DailyTrafficCounts.model_validate_json(bucket.get(entry.key).body))
        except ObjectNotFound:  # removed since it was listed
            continue
        except ValidationError as error:
            log.warning("the counts of a router cannot be read", key=entry.key, error=str(error.errors()[0]["msg"]))
    return told
