"""Synthetic diamonds from a seed, for a stack that is started without a dataset. They are no market data."""

from __future__ import annotations

import numpy as np
import pandas as pd

from homeprices.data.listing import COLUMNS
from homeprices.pricing.inputs import CLARITIES, COLOURS, CUTS

DEFAULT_ROWS = 6_000
DEFAULT_SEED = 7
PLACE_WEIGHTS = dict(zip(CLARITIES, (1, 17, 24, 23, 15, 9, 7, 4), strict=True))


def make_listings(rows: int = DEFAULT_ROWS, seed: int = DEFAULT_SEED) -> pd.DataFrame:
    """Return `rows` diamonds as text, in the form of the public table. Same seed, same rows."""
    rng = np.random.default_rng(seed)
    shares = np.array(list(PLACE_WEIGHTS.values())) / sum(PLACE_WEIGHTS.values())
    carat = np.exp(rng.normal(-0.4, 0.55, rows)).clip(0.2, 5).round(2)
    clarity = rng.choice(len(CLARITIES), rows, p=shares)
    cut, colour = rng.integers(0, len(CUTS), rows), rng.integers(0, len(COLOURS), rows)
    log_price = 7.6 + 1.85 * np.log(carat) + 0.11 * clarity + 0.08 * colour + 0.03 * cut + rng.normal(0, 0.1, rows)
    table = {
        "carat": carat, "clarity": np.array(CLARITIES)[clarity], "cut": np.array(CUTS)[cut],
        "color": np.array(COLOURS)[colour], "depth": rng.normal(61.8, 1.4, rows).clip(45, 75).round(1),
        "table": rng.normal(57.5, 2.2, rows).clip(45, 80).round(0), "price": np.exp(log_price).round(0),
    }  # fmt: skip
    return pd.DataFrame(table).astype(str).astype(object)[list(COLUMNS)]
