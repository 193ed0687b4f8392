"""The addresses of simulated visitors, which a trusted network names to the router in `X-Forwarded-For`."""

from __future__ import annotations

import random


def new_address() -> str:
    """Return an address in one of 65,536 networks of this machine.

    All are trusted where loopback is, so the router names the variant to these visitors, and a run can compare both.
    """
    return f"127.{random.randrange(256)}.{random.randrange(256)}.{random.randrange(1, 255)}"
