"""Rounds, durations and sizes: `CHAOS=ci` (the default) or `CHAOS=full`; CHAOS_KILLS and the like change one."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, replace


@dataclass(frozen=True)
class Counts:
    """`writer_kills` and `kills` are rounds, `changes` promotions and reloads each, `posts` the minimum of requests."""

    writer_kills: int = 20
    kills: int = 20
    changes: int = 10
    posts: int = 5_000
    fault_seconds: float = 4.0
    soak_seconds: float = 60.0
    rows: int = 1_000_000


FULL = Counts(
    writer_kills=1000, kills=1000, changes=20, posts=10_000, fault_seconds=60.0, soak_seconds=1800.0, rows=10_000_000
)


def chosen() -> Counts:
    """Return the counts that the environment selects."""
    counts = {"ci": Counts(), "full": FULL}[os.environ.get("CHAOS", "ci")]
    asked = {field.name: os.environ.get(f"CHAOS_{field.name.upper()}") for field in fields(Counts)}
    return replace(
        counts, **{name: type(getattr(counts, name))(value) for name, value in asked.items() if value is not None}
    )
