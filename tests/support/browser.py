"""Headless Chromium for tests and pictures: the machine's own program, without network access."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.free_ports import free_ports
from tests.support.programs import CHROMIUM, find_chromium

PATIENCE_MILLISECONDS = 120_000.0
"""How long a step of a browser may take on a busy machine; an idle one needs milliseconds."""

QUIET = [
    "--no-first-run",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield a browser. Raises RuntimeError if the machine has none."""
    program = find_chromium()
    if program is None:
        raise RuntimeError(CHROMIUM.reason)
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses its sandbox to root
    with sync_playwright() as playwright:
        expect.set_options(timeout=PATIENCE_MILLISECONDS)
        browser = playwright.chromium.launch(
            executable_path=program, args=[*QUIET, *as_root], timeout=PATIENCE_MILLISECONDS
        )
        try:
            yield browser
        finally:
            browser.close()


def accessibility_violations(page: Page) -> list[str]:
    """Return what axe finds against the rules of WCAG and its own of good practice, each with the elements."""
    found = Axe().run(page).response["violations"]
    return [f"{rule['id']}: {node['html'][:200]}" for rule in found for node in rule["nodes"]]


# The real frontend, `python -m router.frontend`, for tests and pictures.


ROOT = Path(__file__).parents[2]
START_SECONDS = 120


@contextmanager
def frontend(router_url: str, folder: Path, **environment: str) -> Iterator[str]:
    """Yield the address of the frontend. `folder` holds its state."""
    [port] = free_ports(1)
    process = subprocess.Popen(
        [sys.executable, "-m", "router.frontend"],
        cwd=ROOT,
        env={
            **os.environ,
            "HOMEPRICES_STATE_DIR": str(folder),
            "HOMEPRICES_FRONTEND_PORT": str(port),
            "HOMEPRICES_ROUTER_URL": router_url,
            **environment,
        },
    )
    try:
        _wait(process, f"http://127.0.0.1:{port}/")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, ConnectionError):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the frontend did not start at {url}") from None
            time.sleep(0.05)
