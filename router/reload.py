"""Apply a configuration: test it, write it atomically, reload Nginx, and confirm its revision through the port."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from homeprices.files import write_atomic
from router import nginx as nginx_process
from router.nginx import ConfigurationRefused, Nginx, NginxFailed
from router.render import revision_of

Outcome = Literal["applied", "unchanged", "refused", "unconfirmed", "failed"]
Confirm = Callable[[str, str], bool]

NEXT = "nginx.conf.next"


@dataclass(frozen=True)
class ReloadResult:
    """The outcome of a change, the revision in force, and the `reason` of a change that did not succeed.

    `refused`: Nginx rejected the configuration. `unconfirmed`: the port never answered with its revision, so it was
    rolled back. `failed`: Nginx does not run and could not be started.
    """

    outcome: Outcome
    revision: str
    reason: str = ""

    @property
    def in_force(self) -> bool:
        return self.outcome in ("applied", "unchanged")


def apply_config(nginx: Nginx, text: str, listen: str, confirm: Confirm = nginx_process.confirm) -> ReloadResult:
    """Apply `text` to Nginx. Start Nginx if it does not run; never stop a running one.

    A configuration that Nginx rejects, or whose revision the port does not answer with, is rolled back: nginx.conf has
    its former content then, so that a later start does not fail.
    """
    revision = revision_of(text)
    before = _read(nginx.configuration)
    running = nginx.pid() is not None
    if running and before == text and confirm(listen, revision):
        return ReloadResult("unchanged", revision)
    nginx.folder.mkdir(parents=True, exist_ok=True)
    draft = nginx.folder / NEXT
    write_atomic(draft, text, private=True)  # it contains the key of the visitors' cookies
    try:
        nginx.test(draft)
    except ConfigurationRefused as error:
        return ReloadResult(
            "refused" if running else "failed", revision_of(before or "") if running else "", str(error)
        )
    draft.replace(nginx.configuration)
    try:
        if running:
            nginx.signal(signal.SIGHUP)
        else:
            nginx.start()
    except NginxFailed as error:
        return ReloadResult("failed", "", str(error))
    if confirm(listen, revision):
        return ReloadResult("applied", revision)
    return _roll_back(nginx, before, revision, listen)


def _roll_back(nginx: Nginx, before: str | None, revision: str, listen: str) -> ReloadResult:
    reason = f"{listen} does not answer with revision {revision}; see {nginx.folder / 'error.log'}"
    if before is None:
        return ReloadResult("failed", "", reason)
    write_atomic(nginx.configuration, before, private=True)
    nginx.signal(signal.SIGHUP)
    return ReloadResult("unconfirmed", revision_of(before), reason)


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return None
