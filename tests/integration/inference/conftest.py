"""A migrated database and a bucket for each module, and instances that use them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from homeprices.adapters.database import open_engine, upgrade
from homeprices.settings import load_settings
from tests.integration.inference.instance import Instance
from tests.integration.predictions.conftest import database_variables

Make = Callable[..., Instance]


@pytest.fixture(scope="module")
def variables(postgres_url: str, s3_settings: dict[str, str]) -> dict[str, str]:
    """Environment variables of a fresh bucket and a fresh, migrated database."""
    found = {**database_variables(postgres_url), **s3_settings}
    upgrade(load_settings(found, ()))
    return found


@pytest.fixture(scope="module")
def engine(variables: dict[str, str]) -> Iterator[Engine]:
    """Connections to the module's database."""
    made = open_engine(load_settings(variables, ()))
    yield made
    made.dispose()


@pytest.fixture
def make(variables: dict[str, str], tmp_path: Path) -> Iterator[Make]:
    """Return a function that makes instances, not yet started, with more variables. All are stopped at the end."""
    made: list[Instance] = []

    def one(name: str = "state", **more: str) -> Instance:
        made.append(Instance(tmp_path / name, {**variables, **more}))
        return made[-1]

    yield one
    for instance in made:
        instance.stop()
