"""The routers' counts of prediction requests and of failed ones, by five minutes.

A failed request leaves no row in the prediction log, and a dead service counts nothing. Only a router sees every
request. Each router rewrites one object per day with all its counts, so that nothing is counted twice after a crash.
The post-promotion analysis adds the counts up.
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
"""The number of prediction requests, and of those that failed."""


class DailyTrafficCounts(BaseModel):
    """One router's counts of one day (UTC): by slot (Unix time of its start) and by the variant that served."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    router: str
    day: date
    slots: dict[int, dict[Variant, Counts]] = {}

    @property
    def key(self) -> str:
        """The key in the bucket."""
        return f"{PREFIX}{self.day.isoformat()}/{self.router}.json"


def bucket_start(moment: float) -> int:
    """Return the start of the five minutes that contain a Unix time."""
    return int(moment // SLOT_SECONDS) * SLOT_SECONDS


def day_of(slot: int) -> date:
    """Return the day (UTC) of a slot."""
    return datetime.fromtimestamp(slot, UTC).date()


def production(bucket: Bucket, since: datetime, until: datetime) -> list[Counts]:
    """Production's requests and failures, of all routers, in each slot that lies wholly between two moments.

    A slot without a request is omitted. Raises StorageUnavailable. An object that cannot be parsed is skipped and
    logged.
    """
    begin, end = -bucket_start(-since.timestamp()), bucket_start(until.timestamp())
    sums: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    day, last = since.astimezone(UTC).date(), until.astimezone(UTC).date()
    while day <= last:
        for counts in _of_day(bucket, day):
            for slot, variants in counts.slots.items():
                requests, failed = variants.get("production", (0, 0))
                if begin <= slot < end and requests:
                    sums[slot][0] += requests
                    sums[slot][1] += failed
        day += timedelta(days=1)
    return [(requests, failed) for _, (requests, failed) in sorted(sums.items())]


def _of_day(bucket: Bucket, day: date) -> list[DailyTrafficCounts]:
    counts = []
    for entry in bucket.list(f"{PREFIX}{day.isoformat()}/"):
        try:
            counts.append(DailyTrafficCounts.model_validate_json(bucket.get(entry.key).body))
        except ObjectNotFound:  # removed since it was listed
            continue
        except ValidationError as error:
            log.warning("traffic_counts_rejected", key=entry.key, error=str(error.errors()[0]["msg"]))
    return counts
