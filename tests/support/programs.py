"""Programs and files that no wheel brings: whether this machine has one, and the command that brings it.

A test that needs one is skipped without it, and the summary of the run lists what was not run (`tests/conftest.py`).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REAL_LISTINGS = ROOT.parent / "shared" / "data" / "bengaluru_house_prices.csv"
KUSTOMIZE = ROOT / ".venv-checks" / "bin" / "kubectl"
SYSTEM_NGINX = Path("/usr/sbin/nginx")
INSTALL_DOCKER = "curl -fsSL https://get.docker.com | sudo sh"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SKIPPED = re.compile(r"Skipped: (.+) is missing; to bring it: (.+)")


@dataclass(frozen=True)
class Needed:
    """Something that a test may need. `command` brings it; `find` says whether it is there."""

    name: str
    command: str
    find: Callable[[], object]

    @property
    def reason(self) -> str:
        """Why a test is skipped without it."""
        return f"{self.name} is missing; to bring it: {self.command}"

    @property
    def mark(self) -> pytest.MarkDecorator:
        """A mark that skips tests where it is missing."""
        return pytest.mark.skipif(not self.find(), reason=self.reason)

    def require(self) -> None:
        """Skip the running test where it is missing."""
        if not self.find():
            pytest.skip(self.reason)


def find_chromium() -> str | None:
    """Return the browser that CHROMIUM names, else the first one on PATH, else one that Playwright downloaded."""
    if named := os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None):
        return named
    # Playwright itself would have to start its driver, which does not run on every machine without a browser.
    folder = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache" / "ms-playwright")
    downloaded = sorted(folder.glob("chromium-*/chrome-linux*/chrome"))
    return str(downloaded[-1]) if downloaded else None


def _docker_does(*words: str) -> bool:
    return bool(shutil.which("docker")) and not subprocess.run(["docker", *words], capture_output=True).returncode


def _package(program: str, package: str, *others: str) -> Needed:
    return Needed(program, f"sudo apt-get install {package}", lambda: any(map(shutil.which, (program, *others))))


CHROMIUM = Needed("Chromium", ".venv/bin/playwright install --with-deps chromium", find_chromium)
ALERTMANAGER = _package("alertmanager", "prometheus-alertmanager", "prometheus-alertmanager")
PROMTOOL = _package("promtool", "prometheus")
GIT = _package("git", "git")
CURL = _package("curl", "curl")
NGINX = Needed("the system's Nginx", "sudo apt-get install nginx-light", lambda: os.access(SYSTEM_NGINX, os.X_OK))
DOCKER = Needed("a Docker engine that answers", INSTALL_DOCKER, lambda: _docker_does("info"))
DOCKER_COMPOSE = Needed("Docker Compose", INSTALL_DOCKER, lambda: _docker_does("compose", "version"))
KUBERNETES_CHECKS = Needed("kustomize", "make kubernetes-check", KUSTOMIZE.exists)
LISTINGS = Needed("the public dataset", "save it as ../shared/data/bengaluru_house_prices.csv", REAL_LISTINGS.exists)


def not_run(skipped: Iterable[pytest.TestReport]) -> list[str]:
    """Return a line for each program that skipped tests needed: how many tests, and the command that brings it."""
    reasons = [report.longrepr[2] if isinstance(report.longrepr, tuple) else "" for report in skipped]
    found = Counter(match.groups() for match in map(SKIPPED.fullmatch, reasons) if match)
    return [f"{count:4} x {name}: {command}" for (name, command), count in sorted(found.items())]
