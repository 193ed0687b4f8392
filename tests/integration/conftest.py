"""Connections to a migrated database; packages of tests that need another one have a fixture of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine

from homeprices.adapters import database
from tests.support.fake_servers import Hook, webhook
from tests.support.trial import database_settings


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A webhook that keeps what it receives."""
    with webhook() as opened:
        yield opened


@pytest.fixture(scope="module")
def engine(postgres_url: str) -> Iterator[Engine]:
    """Connections to the module's own database, with all tables."""
    made = create_engine(postgres_url)
    database.upgrade(database_settings(made))
    yield made
    made.dispose()
