"""What people do to a table of listings: ranges, other units, blanks, stray spaces, the same row twice."""

from __future__ import annotations

import numpy as np
import pandas as pd

from homeprices.data.area import SQUARE_FEET

RANGE_SHARE = 0.016
STRAY_SPACE_SHARE = 0.01
DUPLICATE_SHARE = 0.04
BLANK_SHARES = {"balcony": 0.047, "bath": 0.006, "size": 0.0012, "location": 0.0001}
_UNITS = {
    "Sq. Meter": 0.0015, "Sq. Yards": 0.0012, "Acres": 0.0005, "Cents": 0.0003, "Guntha": 0.0003, "Perch": 0.0002,
    "Grounds": 0.0002,
}  # fmt: skip


def soil(listings: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """The same number of rows with the dirt of the public data, shuffled, numbered from 0. Text in, text out."""
    rows = len(listings)
    dirty = listings.copy()
    area = dirty["total_sqft"].astype(float).to_numpy()
    ranged = rng.random(rows) < RANGE_SHARE
    half = np.round(area * rng.uniform(0.03, 0.2, rows))
    ranges = [f"{middle - h:.0f} - {middle + h:.0f}" for middle, h in zip(area, half, strict=True)]
    dirty["total_sqft"] = np.where(ranged, ranges, dirty["total_sqft"])
    dice, below = rng.random(rows), 0.0
    for unit, share in _UNITS.items():
        factor = SQUARE_FEET[unit.lower().replace(". ", "").replace(".", "")]
        chosen = ~ranged & (dice >= below) & (dice < below + share)
        written = [f"{value / factor:.2f}".rstrip("0").rstrip(".") + unit for value in area]
        dirty["total_sqft"] = np.where(chosen, written, dirty["total_sqft"])
        below += share
    for name, share in BLANK_SHARES.items():
        dirty[name] = dirty[name].where(rng.random(rows) >= share, "")
    spaced = rng.random(rows) < STRAY_SPACE_SHARE
    dirty["location"] = dirty["location"].where(~spaced, " " + dirty["location"].str.replace(" ", "  ") + " ")
    copies = rng.random(rows) < DUPLICATE_SHARE
    source = np.where(copies, rng.integers(0, rows, rows), np.arange(rows))
    return dirty.iloc[source].reset_index(drop=True)
