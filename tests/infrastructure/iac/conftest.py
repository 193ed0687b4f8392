"""A stack's whole resource graph, without a cloud: Pulumi's own mocks answer for AWS."""

from __future__ import annotations

import pytest

from tests.infrastructure.iac.graph import Graph, all_stacks, graphs_of


@pytest.fixture(scope="session")
def graphs() -> dict[str, Graph]:
    """The graph of every stack file and variant, by the stack's name."""
    return graphs_of(all_stacks())
