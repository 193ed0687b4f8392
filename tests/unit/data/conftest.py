from pathlib import Path

import pytest

REAL_LISTINGS = Path(__file__).parents[4] / "shared/data/bengaluru_house_prices.csv"


@pytest.fixture(scope="session")
def real_listings() -> bytes:
    """The public dataset, on machines that have it."""
    if not REAL_LISTINGS.exists():
        pytest.skip("the public dataset is not on this machine")
    return REAL_LISTINGS.read_bytes()
