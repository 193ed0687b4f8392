"""The signature of a visitor's cookie, as the router's Nginx checks it (`secure_link_md5 "$cookie_id key"`).

Nginx can check it and cannot make one, so the service does for a visitor who is new, with the key that the router sends
along. MD5 is what Nginx knows; the key stands behind an id of fixed length, so a signature says nothing of another id.
"""

from __future__ import annotations

import base64
import hashlib


def signature(visitor: str, key: str) -> str:
    """22 characters of base64, for URLs, without padding."""
    digest = hashlib.md5(f"{visitor} {key}".encode(), usedforsecurity=False).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
