"""The resource graph of a stack without a cloud, from Pulumi's mocks."""

from __future__ import annotations

import fcntl
import os
import pickle

import pytest

from tests.infrastructure.iac.graph import Graph, all_stacks, graphs_of


@pytest.fixture(scope="session")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Graph]:
    """The graph of every stack file and variant, by stack name; the workers of a parallel run make them once."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with (folder / "graphs.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "graphs").exists():
            (folder / "graphs").write_bytes(pickle.dumps(graphs_of(all_stacks())))
    found: dict[str, Graph] = pickle.loads((folder / "graphs").read_bytes())
    return found
