"""Parsing the metric names of PromQL, as far as this project uses it, and running Alertmanager."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.free_ports import free_ports
from tests.support.servers import clean_environment

_TEXT = re.compile(r'"[^"]*"')
_MATCHERS_AND_RANGES = re.compile(r"\{[^{}]*\}|\[[^\]]*\]")
_LABELS = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_NAME = re.compile(r"(?<![\w:])[a-zA-Z_:][\w:]*(?![\w:])(?!\s*\()")
_WORDS = {"and", "or", "unless", "offset", "bool"}


def metric_names(expr: str) -> set[str]:
    """Return the metrics, without functions, labels and keywords: {"up"} for `sum by (job) (up{job="a"}) > bool 0`."""
    bare = _LABELS.sub(" ", _MATCHERS_AND_RANGES.sub("", _TEXT.sub('""', expr)))
    return set(_NAME.findall(bare)) - _WORDS


# A real Alertmanager with this project's configuration, on a free port of loopback.


START = Path(__file__).parents[2] / "monitoring" / "alertmanager" / "start.sh"
READY_SECONDS = 30.0


@dataclass(frozen=True)
class Alertmanager:
    """A running Alertmanager. `folder` holds its configuration."""

    client: httpx.Client
    folder: Path

    def fire(self, *alerts: dict[str, Any]) -> None:
        """Send alerts, as Prometheus does: `labels` and `annotations`."""
        self.client.post("/api/v2/alerts", json=list(alerts)).raise_for_status()

    def inhibited(self) -> dict[str, bool]:
        """Return every alert by name, and whether another one inhibits it."""
        known = self.client.get("/api/v2/alerts").raise_for_status().json()
        return {alert["labels"]["alertname"]: bool(alert["status"]["inhibitedBy"]) for alert in known}


@contextmanager
def alertmanager(folder: Path, **environment: str) -> Iterator[Alertmanager]:
    """Yield a ready Alertmanager. RuntimeError carries the end of its log."""
    folder.mkdir(exist_ok=True)
    [port] = free_ports(1)
    configuration, log = folder / "configuration", folder / "alertmanager.log"
    environ = {**clean_environment(), "CONFIG_FOLDER": str(configuration), "PAGE_WAIT": "1s", **environment}
    command = ["sh", str(START), f"--web.listen-address=127.0.0.1:{port}", f"--storage.path={folder / 'data'}"]
    with (
        log.open("wb") as output,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=5) as client,
        subprocess.Popen(command, env=environ, stdout=output, stderr=subprocess.STDOUT) as process,
    ):
        try:
            _wait(client, process, log)
            yield Alertmanager(client, configuration)
        finally:
            process.terminate()


def _wait(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if client.get("/-/ready").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"Alertmanager is not ready; the end of its log:\n{log.read_text()[-3000:]}")
