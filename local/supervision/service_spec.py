"""The definition of a service: program, environment, ports, hooks and readiness probe."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Probe = Callable[[float], str | None]
"""Checks once, within a few seconds, a service that was started at that time (seconds since the epoch). Returns None
when it is ready, else the reason in one line."""

Hook = Callable[["RunCommand"], None]
"""A step before or after the start of a service. Runs programs only through its `RunCommand` argument."""

RunCommand = Callable[["Command"], None]
"""Runs a program until it ends, with its output in the service's log. Raises CommandFailed."""


@dataclass(frozen=True)
class UnixAccount:
    """The user that a program runs as, when the stack runs as root and the program refuses to."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Command:
    """A program that runs until it ends by itself."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: Path = Path()
    account: UnixAccount | None = None


@dataclass(frozen=True)
class ServiceSpec:
    """A long-running program; without `argv`, a step that is done after `pre_start`.

    `env` is its whole environment: nothing is inherited. Times are in seconds.
    """

    name: str
    argv: tuple[str, ...] = ()
    ready: Probe = lambda _started: None
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: Path = Path()
    ports: Mapping[str, int] = field(default_factory=dict)
    depends_on: tuple[str, ...] = ()
    pre_start: Hook | None = None
    """Runs before each start, when every service of `depends_on` is ready. Must be idempotent."""
    post_start: Hook | None = None
    """Runs after the first passing probe, before dependent services start. Must be idempotent."""
    account: UnixAccount | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    ready_seconds: float = 120.0
    stop_seconds: float = 15.0
