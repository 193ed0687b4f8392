"""How often each key was used, and when last: counted by the routers, summed for `homeprices keys list`.

Each router rewrites one object with all its counts, so that nothing is counted twice after a crash.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, ValidationError

from homeprices.adapters.object_store import Bucket
from homeprices.errors import ObjectNotFound
from homeprices.log import get_logger

PREFIX = "keys/usage/"
MOST_KEYS = 1000  # of a router; those that were used longest ago go first

log = get_logger(__name__)


class KeyUse(BaseModel):
    """Requests with a key by outcome, those of them for operations (logs, metrics, drift), and the last of each.

    `limited`: over the quota. `refused`: the key is not valid, or lacks the scope.
    """

    model_config = ConfigDict(extra="forbid")

    allowed: int = 0
    refused: int = 0
    limited: int = 0
    operations: int = 0
    last_used: datetime | None = None
    last_operation: datetime | None = None

    def add(self, other: KeyUse) -> None:
        """Add the counts of another router."""
        self.allowed += other.allowed
        self.refused += other.refused
        self.limited += other.limited
        self.operations += other.operations
        self.last_used = _later(self.last_used, other.last_used)
        self.last_operation = _later(self.last_operation, other.last_operation)


class RouterKeyUsage(BaseModel):
    """One router's counts, by key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    router: str
    keys: dict[str, KeyUse] = {}

    @property
    def key(self) -> str:
        """The key in the bucket."""
        return f"{PREFIX}{self.router}.json"


def read(bucket: Bucket) -> dict[str, KeyUse]:
    """Return the use of each key, of all routers. An object that cannot be read counts nothing, and is logged."""
    total: dict[str, KeyUse] = {}
    for entry in bucket.list(PREFIX):
        try:
            usage = RouterKeyUsage.model_validate_json(bucket.get(entry.key).body)
        except ObjectNotFound:
            continue
        except ValidationError as error:
            log.warning("key_usage_rejected", key=entry.key, error=str(error.errors()[0]["msg"]))
            continue
        for key_id, use in usage.keys.items():
            total.setdefault(key_id, KeyUse()).add(use)
    return total


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    moments = [moment for moment in (one, other) if moment is not None]
    return max(moments, default=None)
