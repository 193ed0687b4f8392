"""Stacks of end-to-end tests that may run at once share no port."""

from __future__ import annotations

from local.ports import Ports
from tests.e2e.running_stack import OFFSETS, port_offset


def test_stacks_that_may_run_at_once_share_no_port() -> None:
    owners: dict[int, str] = {}
    for stack in OFFSETS:
        for purpose, port in Ports.moved_by(str(port_offset(stack))).every.items():
            assert owners.setdefault(port, stack) == stack, f"{purpose} of {stack} at {port}"
