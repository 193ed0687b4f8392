"""A configuration put into force: tested, written whole, reloaded, and believed only when the port answers with it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from router import nginx as nginx_process
from router.nginx import ConfigurationRefused, Nginx, NginxFailed
from router.render import revision_of, write_whole

Outcome = Literal["applied", "unchanged", "refused", "unconfirmed", "failed"]
Confirm = Callable[[str, str], bool]

NEXT = "nginx.conf.next"


@dataclass(frozen=True)
class ReloadResult:
    """How a change ended, the revision that is in force now, and a `reason` for people where the change did not take.

    `refused`: Nginx did not accept it; `unconfirmed`: the port never answered with it, and it was taken back; `failed`:
    Nginx is not running and could not be started.
    """

    outcome: Outcome
    revision: str
    reason: str = ""

    @property
    def in_force(self) -> bool:
        return self.outcome in ("applied", "unchanged")


def apply_config(nginx: Nginx, text: str, listen: str, confirm: Confirm = nginx_process.confirm) -> ReloadResult:
    """Make Nginx serve under `text`. Starts it when it is not running; one that serves is never stopped.

    A configuration that Nginx refuses, or under which the port does not come to answer, is taken back: nginx.conf is
    then what it was, so that a later start does not fail over it.
    """
    revision = revision_of(text)
    before = _read(nginx.configuration)
    running = nginx.pid() is not None
    if running and before == text and confirm(listen, revision):
        return ReloadResult("unchanged", revision)
    nginx.folder.mkdir(parents=True, exist_ok=True)
    draft = nginx.folder / NEXT
    write_whole(draft, text, private=True)  # it holds the key of the visitors' cookies
    try:
        nginx.test(draft)
    except ConfigurationRefused as refusal:
        return ReloadResult(
            "refused" if running else "failed", revision_of(before or "") if running else "", str(refusal)
        )
    draft.replace(nginx.configuration)
    try:
        if running:
            nginx.signal(signal.SIGHUP)
        else:
            nginx.start()
    except NginxFailed as failure:
        return ReloadResult("failed", "", str(failure))
    if confirm(listen, revision):
        return ReloadResult("applied", revision)
    return _taken_back(nginx, before, revision, listen)


def _taken_back(nginx: Nginx, before: str | None, revision: str, listen: str) -> ReloadResult:
    reason = f"{listen} does not answer with revision {revision}; see {nginx.folder / 'error.log'}"
    if before is None:
        return ReloadResult("failed", "", reason)
    write_whole(nginx.configuration, before)
    nginx.signal(signal.SIGHUP)
    return ReloadResult("unconfirmed", revision_of(before), reason)


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return None
