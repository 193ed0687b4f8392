"""The key ring: all API keys, in one object of the bucket, `keys/ring.json`. It holds digests, never a key.

Routers and services read nothing else, so keys work while PostgreSQL is away. Every change is a conditional PUT over
the ring that was read, as with the control record. A key has at most two valid texts: the newest, and the one that it
replaces (`rotate`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from homeprices.adapters.object_store import Bucket
from homeprices.errors import Conflict, HomePricesError, InvalidInput, NotFound, ObjectNotFound, PreconditionFailed
from homeprices.foreign_text import printable
from homeprices.keys import key_token

KEY = "keys/ring.json"
MOST_KEYS = 500
MOST_QUOTAS = 32  # different ones: Nginx checks each request against a zone for each
KEPT_AFTER_END = timedelta(days=90)  # so that `list` still explains a key that was refused
LONGEST_NOTE = 200
LONGEST_LIFE = timedelta(days=1095)
SHORTEST_LIFE = timedelta(minutes=1)
CHANGE_ATTEMPTS = 20

Scope = Literal["predict", "batch", "feedback", "operate"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
Clock = Callable[[], datetime]

_QUOTA = re.compile(r"([1-9][0-9]{0,4})/([sm])")
_MOST_REQUESTS = {"s": 10_000, "m": 60_000}


class Quota(NamedTuple):
    """A number of requests per second (`s`) or per minute (`m`)."""

    requests: int
    unit: str

    @property
    def retry_seconds(self) -> int:
        """Return the time after which another request is allowed, in whole seconds."""
        return 1 if self.unit == "s" else max(1, -(-60 // self.requests))


def parse_quota(text: str) -> Quota:
    """Return a quota such as 100/s or 30/m. Raises InvalidInput."""
    found = _QUOTA.fullmatch(text)
    if not found or int(found[1]) > _MOST_REQUESTS[found[2]]:
        raise InvalidInput({"quota": f"{text!r} is not allowed; 1/s to 10000/s, or 1/m to 60000/m"})
    return Quota(int(found[1]), found[2])


class KeySecret(BaseModel):
    """One text of a key: its tag, the SHA-256 of the whole text in hex, and its time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tag: str = Field(pattern=f"^[a-z0-9]{{{key_token.TAG_LENGTH}}}$")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    created_at: datetime
    expires_at: datetime


class ApiKey(BaseModel):
    """A key: what it may do, how often, and its texts, the newest last. Times in UTC."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=f"^[a-z0-9]{{{key_token.ID_LENGTH}}}$")
    scopes: tuple[Scope, ...] = Field(min_length=1)
    quota: Annotated[str, StringConstraints(pattern=f"^{_QUOTA.pattern}$")]
    note: str = Field(default="", max_length=LONGEST_NOTE)
    created_at: datetime
    created_by: str = ""
    revoked_at: datetime | None = None
    revoked_by: str = ""
    secrets: tuple[KeySecret, ...] = Field(min_length=1, max_length=2)

    @property
    def ends_at(self) -> datetime:
        """When the key stops working, or stopped."""
        return self.revoked_at or max(secret.expires_at for secret in self.secrets)

    def valid_secrets(self, now: datetime) -> tuple[KeySecret, ...]:
        """Return the texts that are valid now."""
        return () if self.revoked_at else tuple(secret for secret in self.secrets if now < secret.expires_at)

    def state(self, now: datetime) -> Literal["valid", "revoked", "expired"]:
        """Return whether the key works now."""
        return "revoked" if self.revoked_at else "valid" if self.valid_secrets(now) else "expired"


class KeyRing(BaseModel):
    """All keys, also those that ended in the last 90 days."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    keys: tuple[ApiKey, ...] = Field(default=(), max_length=MOST_KEYS)

    def find(self, key_id: str) -> ApiKey:
        """Return the key with this id. Raises NotFound."""
        for key in self.keys:
            if key.id == key_id:
                return key
        raise NotFound(f"there is no key {printable(key_id)}; `homeprices keys list` shows all")


class NewKey(NamedTuple):
    """A key and its text, which is stored nowhere and cannot be shown again."""

    key: ApiKey
    text: str


def utc_now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


def read(bucket: Bucket) -> KeyRing:
    """Return the ring; without one, an empty ring. Raises StorageUnavailable, HomePricesError (damaged)."""
    return _read(bucket)[0]


def parse(body: bytes) -> KeyRing:
    """Return the ring of these bytes. Raises HomePricesError."""
    try:
        return KeyRing.model_validate_json(body)
    except ValidationError as error:
        raise HomePricesError(f"{KEY} is no key ring: {error.errors()[0]['msg']}") from error


def create(
    bucket: Bucket,
    scopes: Sequence[Scope],
    quota: str,
    life: timedelta,
    actor: str,
    note: str = "",
    *,
    clock: Clock = utc_now,
) -> NewKey:
    """Add a key that is valid for `life`. Raises InvalidInput; Conflict when there are too many keys."""
    parse_quota(quota)
    _check_scopes(scopes)
    _check_life("expires", life)
    if len(note) > LONGEST_NOTE:
        raise InvalidInput({"note": f"has {len(note)} characters; at most {LONGEST_NOTE}"})
    now, key_id = clock(), key_token.new_id()
    text, secret = _new_secret(key_id, now, life)
    made = ApiKey(
        id=key_id,
        scopes=tuple(scope for scope in SCOPES if scope in scopes),
        quota=quota,
        note=printable(note, LONGEST_NOTE),
        created_at=now,
        created_by=actor,
        secrets=(secret,),
    )

    def add(ring: KeyRing) -> KeyRing:
        if made in ring.keys:
            return ring
        kept = tuple(key for key in ring.keys if key.ends_at > now - KEPT_AFTER_END)
        if len(kept) >= MOST_KEYS:
            raise Conflict(f"there are {MOST_KEYS} keys, and no more are allowed; those that ended go after 90 days")
        quotas = {key.quota for key in kept if key.valid_secrets(now)}
        if len(quotas | {quota}) > MOST_QUOTAS:
            raise Conflict(f"valid keys have {MOST_QUOTAS} different quotas; take one of {', '.join(sorted(quotas))}")
        return KeyRing(keys=(*kept, made))

    _change(bucket, add)
    return NewKey(made, text)


def rotate(
    bucket: Bucket, key_id: str, overlap: timedelta, life: timedelta | None = None, *, clock: Clock = utc_now
) -> NewKey:
    """Give a key a new text; the present one stays valid for `overlap` (0: ends now).

    `life` is that of the new text, by default as long as that of the present one. Raises NotFound; Conflict for a key
    that has ended, and while two texts are valid, unless `overlap` is 0.
    """
    if overlap < timedelta(0):
        raise InvalidInput({"overlap": f"{overlap} is not allowed; 0 or longer"})
    now = clock()
    present = read(bucket).find(key_id)
    newest = present.secrets[-1]
    life = newest.expires_at - newest.created_at if life is None else life
    _check_life("expires", life)
    text, secret = _new_secret(key_id, now, life)

    def replace(key: ApiKey) -> ApiKey:
        if secret in key.secrets:
            return key
        valid = key.valid_secrets(now)
        if not valid:
            raise Conflict(f"key {key_id} is {key.state(now)}; create another one")
        if overlap and len(valid) > 1:
            until = f"{valid[0].expires_at:%Y-%m-%d %H:%M} UTC"
            raise Conflict(f"two texts of key {key_id} are valid until {until}; `--overlap 0s` ends both at once")
        kept = valid[-1].model_copy(update={"expires_at": min(valid[-1].expires_at, now + overlap)})
        return key.model_copy(update={"secrets": (kept, secret) if overlap else (secret,)})

    ring = _change(bucket, lambda ring: _replaced(ring, key_id, replace))
    return NewKey(ring.find(key_id), text)


def revoke(bucket: Bucket, key_id: str, actor: str, *, clock: Clock = utc_now) -> ApiKey:
    """End a key with all its texts. A revoked key stays as it is. Raises NotFound."""
    now = clock()

    def end(key: ApiKey) -> ApiKey:
        return key if key.revoked_at else key.model_copy(update={"revoked_at": now, "revoked_by": actor})

    return _change(bucket, lambda ring: _replaced(ring, key_id, end)).find(key_id)


def _new_secret(key_id: str, now: datetime, life: timedelta) -> tuple[str, KeySecret]:
    text = key_token.new_key(key_id)
    token = key_token.read_key(text)
    if token is None:
        raise AssertionError("a new key cannot be read")
    return text, KeySecret(tag=token.tag, sha256=token.digest.hex(), created_at=now, expires_at=now + life)


def _replaced(ring: KeyRing, key_id: str, fn: Callable[[ApiKey], ApiKey]) -> KeyRing:
    changed = fn(ring.find(key_id))
    return KeyRing(keys=tuple(changed if key.id == key_id else key for key in ring.keys))


def _change(bucket: Bucket, fn: Callable[[KeyRing], KeyRing]) -> KeyRing:
    """Apply `fn` and write the result; repeat with the newer ring when another writer was first.

    `fn` returns a ring unchanged that has the change already: the answer to our own write may have been lost.
    """
    for _ in range(CHANGE_ATTEMPTS):
        before, etag = _read(bucket)
        after = fn(before)
        if after == before:
            return before
        try:
            bucket.put(KEY, after.model_dump_json(indent=1).encode(), if_absent=etag is None, if_match=etag)
        except (PreconditionFailed, ObjectNotFound):  # S3 answers "not found" if the ring was deleted meanwhile
            continue
        return after
    raise Conflict(f"{KEY} was changed by others {CHANGE_ATTEMPTS} times in a row; try again")


def _read(bucket: Bucket) -> tuple[KeyRing, str | None]:
    try:
        held = bucket.get(KEY)
    except ObjectNotFound:
        return KeyRing(), None
    return parse(held.body), held.etag


def _check_scopes(scopes: Sequence[str]) -> None:
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        named = ", ".join(map(printable, unknown)) or "none"
        raise InvalidInput({"scope": f"{named} is not allowed; any of {', '.join(SCOPES)}"})


def _check_life(name: str, life: timedelta) -> None:
    if not SHORTEST_LIFE <= life <= LONGEST_LIFE:
        raise InvalidInput({name: f"{life} is not allowed; from 1m to {LONGEST_LIFE.days}d"})
