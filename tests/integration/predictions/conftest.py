"""A migrated database of this module's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, make_url

from homeprices.adapters.database import open_engine, upgrade
from homeprices.settings import Settings, load_settings

EMPTY_LOG = "TRUNCATE prediction_logs, user_feedback, traffic_hours, latency_hours, traffic_days, latency_days"


def database_variables(url: str) -> dict[str, str]:
    """Environment variables for a SQLAlchemy URL."""
    parts = make_url(url)
    return {
        "POSTGRES_HOST": str(parts.host),
        "POSTGRES_PORT": str(parts.port),
        "POSTGRES_USER": str(parts.username),
        "POSTGRES_PASSWORD": str(parts.password),
        "POSTGRES_DB": str(parts.database),
    }


@pytest.fixture(scope="module")
def settings(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a fresh database that has all its tables."""
    state = {"HOMEPRICES_STATE_DIR": str(tmp_path_factory.mktemp("state"))}
    made = load_settings({**database_variables(postgres_url), **state}, ())
    upgrade(made)
    return made


@pytest.fixture(scope="module")
def engine(settings: Settings) -> Iterator[Engine]:
    """Connections to the module's database."""
    made = open_engine(settings)
    yield made
    made.dispose()
