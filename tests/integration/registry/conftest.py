"""An MLflow server for these tests alone."""

from __future__ import annotations

import pytest

from tests.support.servers import Servers


@pytest.fixture(scope="session")
def mlflow_uri(servers: Servers) -> str:
    """Address of an MLflow server that no other test uses, because these tests list every registered version."""
    return servers.mlflow("registry")
