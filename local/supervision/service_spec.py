"""What a service is: a program, its environment and ports, and how to tell that it is ready."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Probe = Callable[[float], str | None]
"""Looks once, within a few seconds, at a service that was started at that time (in seconds since the epoch). Gives None
when it is ready, else what is missing in one line."""

Hook = Callable[["RunCommand"], None]
"""A step around the start of a service. Runs programs only through the `RunCommand` that it is given."""

RunCommand = Callable[["Command"], None]
"""Runs a program to its end, with its output in the service's log. Raises CommandFailed."""


@dataclass(frozen=True)
class UnixAccount:
    """The user that a program runs as, when the stack runs as root and the program refuses to."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Command:
    """A program that runs to its end."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: Path = Path()
    account: UnixAccount | None = None


@dataclass(frozen=True)
class ServiceSpec:
    """A program that stays; without `argv`, a step that is done when it is prepared.

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
    """Before each start, when every service of `depends_on` is ready. Must be safe to run again."""
    post_start: Hook | None = None
    """After the first probe that says ready, and before others may rely on this service. Must be safe to run again."""
    account: UnixAccount | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    ready_seconds: float = 120.0
    stop_seconds: float = 15.0
