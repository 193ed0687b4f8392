"""Rows of homes for batch tests: valid ones by the million, and invalid ones."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from homeprices.predictions.spool import Spool
from homeprices.predictions.spool_segments import decode

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LOCATIONS = np.array(["Whitefield", "indira  nagar", "Rajaji Nagar", "Electronic City", "Nowhere"], dtype=object)


def table(rows: int, seed: int = 7) -> pa.Table:
    """Return valid homes, with every optional field present in most rows."""
    rng = np.random.default_rng(seed)
    societies = np.array([f"Society {n}" for n in range(2_000)], dtype=object)
    return pa.table(
        {
            "id": pa.array(np.arange(rows)),
            "total_sqft": rng.uniform(300, 5_000, rows).round(1),
            "location": pa.array(LOCATIONS[rng.integers(0, len(LOCATIONS), rows)], pa.string()),
            "bhk": pa.array(rng.integers(1, 6, rows), pa.int32()),
            "bath": pa.array(rng.integers(1, 5, rows), pa.int32()),
            "area_type": pa.array(
                np.array(["Super built-up Area", "Plot Area"], dtype=object)[rng.integers(0, 2, rows)]
            ),
            "balcony": pa.array(rng.integers(0, 4, rows), pa.int32(), mask=rng.random(rows) < 0.1),
            "availability": pa.array(np.array(["Ready To Move", "18-Dec"], dtype=object)[rng.integers(0, 2, rows)]),
            "society": pa.array(societies[rng.integers(0, len(societies), rows)], mask=rng.random(rows) < 0.4),
        }
    )


def parquet(content: pa.Table, group_rows: int = 100_000) -> bytes:
    """Return the table as a Parquet file with row groups of this size."""
    target = io.BytesIO()
    pq.write_table(content, target, row_group_size=group_rows)
    return target.getvalue()


# A clock for tests.


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)


# What a spool holds, as the drain would find it.


PLENTY = 1 << 30


def bodies(spool: Spool) -> list[bytes]:
    """Return every record that the drain would read, in its order."""
    spool.adopt()
    spool.rotate()
    lines = (line for segment in spool.full_segments() for line in segment.lines())
    return [record.body for line in lines if (record := decode(line))]
