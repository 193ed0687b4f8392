"""How many notices no attempt could deliver, by channel, in the bucket: processes that tell people live for minutes."""

from __future__ import annotations

import json

from homeprices.errors import HomePricesError, ObjectNotFound, PreconditionFailed
from homeprices.log import get_logger
from homeprices.storage import Bucket

KEY = "control/undelivered.json"
ATTEMPTS = 10  # to be the only writer at one moment

log = get_logger(__name__)


def count(bucket: Bucket, channel: str) -> None:
    """Count a notice that a channel did not take. Never raises: a notice changes no outcome, nor does its count."""
    try:
        for _ in range(ATTEMPTS):
            if _add(bucket, channel):
                return
        log.warning("an undelivered notice is not counted", channel=channel, error="other writers were always first")
    except HomePricesError as error:
        log.warning("an undelivered notice is not counted", channel=channel, error=str(error))


def read(bucket: Bucket) -> dict[str, int]:
    """The counts so far, by channel. Raises StorageUnavailable."""
    try:
        return _parsed(bucket.get(KEY).body)
    except ObjectNotFound:
        return {}


def _add(bucket: Bucket, channel: str) -> bool:
    """Whether nobody else wrote in between."""
    try:
        try:
            held = bucket.get(KEY)
        except ObjectNotFound:
            bucket.put(KEY, json.dumps({channel: 1}).encode(), if_absent=True)
            return True
        counts = _parsed(held.body)
        counts[channel] = counts.get(channel, 0) + 1
        bucket.put(KEY, json.dumps(counts).encode(), if_match=held.etag)
    except PreconditionFailed:
        return False
    return True


def _parsed(body: bytes) -> dict[str, int]:
    """What somebody else has written there counts nothing."""
    try:
        return {str(channel): int(number) for channel, number in json.loads(body).items()}
    except (ValueError, TypeError, AttributeError):
        return {}
