"""The resource graph of a stack without a cloud, from Pulumi's mocks."""

from __future__ import annotations

import pytest

from tests.infrastructure.iac.graph import Graph, all_stacks, graphs_of


@pytest.fixture(scope="session")
def graphs() -> dict[str, Graph]:
    """The graph of every stack file and variant, by stack name."""
    return graphs_of(all_stacks())
