"""All services of a stack, as they are described before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.services.catalogue import services
from local.stack import Stack


@pytest.mark.parametrize("installed", [True, False])
def test_the_status_shows_every_port_that_the_stack_listens_on(tmp_path: Path, installed: bool) -> None:
    """Prometheus is one of them only where its program is installed; the exporter always is."""
    programs = tmp_path / "programs"
    programs.mkdir()
    if installed:
        (programs / "prometheus").touch(mode=0o755)
    stack = Stack.of({"STACK_DIR": str(tmp_path / "stack"), "PATH": str(programs)}, root=tmp_path)
    stack.make_folder()
    shown = {port for service in services(stack) for port in service.ports.values()}
    absent = set() if installed else {stack.ports["prometheus"]}
    assert shown == set(stack.listens_on.values()) - absent


@pytest.mark.parametrize(("chosen", "policy"), [({}, "demo"), ({"HOMEPRICES_POLICY": "sequential"}, "sequential")])
def test_the_local_stack_decides_by_the_demo_unless_told_otherwise(
    tmp_path: Path, chosen: dict[str, str], policy: str
) -> None:
    stack = Stack.of({"STACK_DIR": str(tmp_path / "stack"), **chosen}, root=tmp_path)
    stack.make_folder()
    assert (stack.policy, stack.environment()["HOMEPRICES_POLICY"]) == (policy, policy)
