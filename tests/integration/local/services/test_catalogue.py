"""All services of a stack, as they are described before anything starts."""

from __future__ import annotations

from pathlib import Path

from local.services.catalogue import services
from local.stack import Stack


def test_the_status_shows_every_port_that_the_stack_listens_on(tmp_path: Path) -> None:
    """Prometheus is one of them only where its program is on the machine."""
    stack = Stack.of({"STACK_DIR": str(tmp_path / "stack")}, root=tmp_path)
    stack.make_folder()
    shown = {port for service in services(stack) for port in service.ports.values()}
    needed = set(stack.listens_on.values())
    assert needed - {stack.ports["prometheus"]} <= shown <= needed
