"""The text of an API key: `hp_{id}_{tag}_{secret}{checksum}`.

`hp_` lets secret scanners find a lost key. The id names the key in lists, logs and metrics. The tag (129 random bits)
lets Nginx, which cannot compute SHA-256, tell whose quota a request uses: who knows an id cannot use up its quota. Only
the services decide whether a key is valid, by the digest of the whole text, of which 256 bits are the random secret.
A fast hash is enough, because 2^256 secrets cannot be tried; slow hashes such as bcrypt protect passwords, which people
choose. The checksum finds a key that was copied in part, without looking it up.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import zlib
from typing import NamedTuple

PREFIX = "hp_"
_LOWER = string.ascii_lowercase + string.digits
_LETTERS = string.digits + string.ascii_uppercase + string.ascii_lowercase
ID_LENGTH, TAG_LENGTH, SECRET_LENGTH, CHECKSUM_LENGTH = 8, 25, 43, 6
HANDLE_PATTERN = f"{PREFIX}[a-z0-9]{{{ID_LENGTH}}}_[a-z0-9]{{{TAG_LENGTH}}}"
KEY_PATTERN = f"{HANDLE_PATTERN}_[A-Za-z0-9]{{{SECRET_LENGTH + CHECKSUM_LENGTH}}}"
KEY_LENGTH = len(PREFIX) + ID_LENGTH + 1 + TAG_LENGTH + 1 + SECRET_LENGTH + CHECKSUM_LENGTH

_KEY = re.compile(KEY_PATTERN)


class KeyToken(NamedTuple):
    """The parts of a key that are not secret alone, and the digest of its whole text (SHA-256, 32 bytes)."""

    id: str
    tag: str
    digest: bytes


def new_id() -> str:
    """Return a random id."""
    return _random(_LOWER, ID_LENGTH)


def new_key(key_id: str) -> str:
    """Return the text of a new key with this id."""
    body = f"{PREFIX}{key_id}_{_random(_LOWER, TAG_LENGTH)}_{_random(_LETTERS, SECRET_LENGTH)}"
    return body + _checksum(body)


def handle(key_id: str, tag: str) -> str:
    """Return the start of a key, by which Nginx finds its quota."""
    return f"{PREFIX}{key_id}_{tag}"


def read_key(text: str) -> KeyToken | None:
    """Return the parts of a key; None for a text that is none, or that was copied in part."""
    if (
        len(text) != KEY_LENGTH
        or not _KEY.fullmatch(text)
        or _checksum(text[:-CHECKSUM_LENGTH]) != text[-CHECKSUM_LENGTH:]
    ):
        return None
    start = len(PREFIX) + ID_LENGTH
    return KeyToken(
        text[len(PREFIX) : start], text[start + 1 : start + 1 + TAG_LENGTH], hashlib.sha256(text.encode()).digest()
    )


def _checksum(body: str) -> str:
    """Return CRC-32 in base 62, as in the keys of GitHub."""
    number = zlib.crc32(body.encode())
    digits = ""
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_LETTERS))
        digits = _LETTERS[digit] + digits
    return digits


def _random(letters: str, length: int) -> str:
    return "".join(secrets.choice(letters) for _ in range(length))
