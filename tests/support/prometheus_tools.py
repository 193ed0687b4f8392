"""Parsing the metric names of PromQL, as far as this project uses it, and running Alertmanager and Prometheus."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from monitoring import scrape_config
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
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
        subprocess.Popen(command, env=environ, stdout=output, stderr=subprocess.STDOUT) as process,
    ):
        try:
            _wait(client, process, log, "Alertmanager")
            yield Alertmanager(client, configuration)
        finally:
            process.terminate()


# A real Prometheus with this project's rules, on a free port of loopback.


RULES = Path(__file__).parents[2] / "monitoring" / "rules"
INTERVAL = "2s"
"""Of scrapes and rules, which a test has no time to wait a quarter of a minute for."""


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus."""

    client: httpx.Client

    def query(self, expr: str) -> list[dict[str, Any]]:
        """Return the samples of an expression now; those of an alert's expression are what it fires for."""
        answer = self.client.post("/api/v1/query", data={"query": expr}).raise_for_status().json()
        return list(answer["data"]["result"])


@contextmanager
def prometheus(folder: Path, ports: Mapping[str, int], a_day_ago: Mapping[str, float]) -> Iterator[Prometheus]:
    """Yield a ready Prometheus that scrapes the stack on `ports`. RuntimeError carries the end of its log.

    `a_day_ago`: counters and their increase a minute, for an hour around this time of yesterday.
    """
    (folder / "rules").mkdir()
    for file in RULES.glob("*.yml"):
        every = re.sub(r"^( *interval:) \d+[sm]$", rf"\1 {INTERVAL}", file.read_text(), flags=re.MULTILINE)
        (folder / "rules" / file.name).write_text(every)
    configuration = scrape_config.local(ports, rules=folder / "rules")
    configuration["global"] = dict.fromkeys(("scrape_interval", "scrape_timeout", "evaluation_interval"), INTERVAL)
    (folder / "prometheus.yml").write_text(json.dumps(configuration))
    _backfill(folder, a_day_ago)
    [port] = free_ports(1)
    log = folder / "prometheus.log"
    command = ["prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
               f"--web.listen-address=127.0.0.1:{port}"]  # fmt: skip
    with (
        log.open("wb") as output,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
        subprocess.Popen(command, env=clean_environment(), stdout=output, stderr=subprocess.STDOUT) as process,
    ):
        try:
            _wait(client, process, log, "Prometheus")
            yield Prometheus(client)
        finally:
            process.terminate()


def _backfill(folder: Path, a_day_ago: Mapping[str, float]) -> None:
    """Write the history as Prometheus' own tool writes it."""
    middle = round(time.time()) - 86_400
    lines = [
        f"{name} {a_minute * minute} {middle + 60 * (minute - 60)}"
        for name, a_minute in a_day_ago.items() for minute in range(120)
    ]  # fmt: skip
    types = [f"# TYPE {name.removesuffix('_total')} counter" for name in a_day_ago]
    (folder / "history").write_text("\n".join([*types, *lines, "# EOF\n"]))
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(folder / "history"), str(folder / "data")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def _wait(client: httpx.Client, process: subprocess.Popen[bytes], log: Path, name: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if client.get("/-/ready").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"{name} is not ready; the end of its log:\n{log.read_text()[-3000:]}")
