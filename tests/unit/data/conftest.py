import pytest

from tests.support.programs import LISTINGS, REAL_LISTINGS


@pytest.fixture(scope="session")
def real_listings() -> bytes:
    """The public dataset, on machines that have it."""
    LISTINGS.require()
    return REAL_LISTINGS.read_bytes()
