"""The agent beside Nginx: `python -m router.agent`.

It reads the control record, renders the configuration, has Nginx test it and reload, and reads the revision back
through the port. It follows Nginx's log: for Prometheus (port HOMEPRICES_ROUTER_METRICS_PORT), for the ledger of what
failed, and as the circuit breaker, which takes a failing candidate's share to zero without asking anybody.

Nginx is a process of its own and serves on when the agent dies; an agent that starts adopts it. SIGTERM and SIGINT end
both, Nginx last and gracefully. After a kill of the agent, `python -m router.agent stop` ends the Nginx that is left
(pid file: `router/nginx.pid` in HOMEPRICES_STATE_DIR). Ready is: GET /router/version answers 200.
"""

from __future__ import annotations

import fcntl
import json
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from prometheus_client import start_http_server

from homeprices.adapters.object_store import open_bucket
from homeprices.errors import HomePricesError
from homeprices.log import configure_logging, get_logger
from homeprices.settings import Settings, load_settings
from router.access_log import AccessLogEntry, LogFollower, parse
from router.circuit_breaker import Limits, Verdict, concerns, judge, request_evaluation
from router.control_cache import BucketControl, ControlRecordCache
from router.nginx import Nginx, NginxFailed, find_program
from router.reload import ReloadResult, apply_config
from router.render import is_split, render, write_whole
from router.router_metrics import RouterMetrics
from router.site_config import RouterSite, router_folder, site_of
from router.traffic_counter import TrafficCounter

STEP_SECONDS = 0.5
POLL_SECONDS = 2.0  # the bucket is asked at most so often; a change of share takes about as long to arrive
FIRST_RECORD_SECONDS = 5.0  # then the record that the last agent read is taken
RETRY_SECONDS = 30.0  # until a refused configuration is tried again: what was wrong may lie outside of it
START_AGAIN_SECONDS = 3.0  # between two attempts to start Nginx
MOST_ANSWERS = 100_000  # of the candidate that the breaker remembers; a minute's worth at 1,600 a second

log = get_logger("router")


class Agent:
    """One router: `step` does what is due now and never waits for the bucket."""

    def __init__(
        self,
        nginx: Nginx,
        keeper: ControlRecordCache,
        site: Callable[[], RouterSite],
        metrics: RouterMetrics,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._nginx, self._keeper, self._site, self._metrics = nginx, keeper, site, metrics
        self._limits = limits or Limits()
        self._clock = clock
        self._tail = LogFollower(nginx.folder / "access.log")
        self._answers: deque[AccessLogEntry] = deque(maxlen=MOST_ANSWERS)
        self._began = clock()
        self._tried: tuple[str, float] = ("", 0.0)
        self.last: ReloadResult | None = None

    def step(self) -> None:
        """Follow the log, judge the candidate, put a changed record into force, report."""
        self._follow_log()
        verdict = self._judge()
        self._apply()
        self._report(verdict)

    def close(self) -> None:
        """Leave the log; Nginx is not touched."""
        self._tail.close()

    def _follow_log(self) -> None:
        for answer in parse(self._tail.read()):
            if answer is None:
                self._metrics.damaged_lines.inc()
                continue
            if answer.at >= self._began:  # older lines were counted by the agent before this one
                self._metrics.count(answer)
            if concerns(answer, self._keeper.held.record.epoch):
                self._answers.append(answer)
        self._tail.rotate(lambda: self._nginx.signal(signal.SIGUSR1))

    def _judge(self) -> Verdict:
        now, record = self._clock(), self._keeper.held.effective
        while self._answers and self._answers[0].at < now - self._limits.window_seconds:
            self._answers.popleft()
        verdict = judge(self._answers, epoch=record.epoch, now=now, limits=self._limits)
        if verdict.reason is not None and is_split(record):
            log.warning("breaker trips", experiment=record.experiment, epoch=record.epoch, reason=verdict.reason)
            self._metrics.breaker_trips.inc()
            self._keeper.ask_stop(record.epoch, verdict.reason)
        return verdict

    def _apply(self) -> None:
        site = self._site()
        text = render(self._keeper.held.effective, site)
        if not self._is_due(text):
            return
        if self._nginx.pid() is None:
            self._metrics.starts.inc()
        last = self.last = apply_config(self._nginx, text, site.listen)
        self._tried = (text, self._clock())
        self._metrics.changes.labels(last.outcome).inc()
        self._metrics.serve_revision(last.revision)
        say = log.info if last.in_force else log.error
        say(f"configuration {last.outcome}", revision=last.revision, reason=last.reason or None)

    def _is_due(self, text: str) -> bool:
        """Whether there is something to put into force: a new text, a dead Nginx, or an attempt to repeat."""
        tried, at = self._tried
        age = self._clock() - at
        if self._nginx.pid() is None:
            return self.last is None or self.last.in_force or age >= START_AGAIN_SECONDS
        if text != tried or self.last is None:
            return True
        return not self.last.in_force and age >= RETRY_SECONDS

    def _report(self, verdict: Verdict) -> None:
        held, metrics = self._keeper.held, self._metrics
        record = held.effective
        pid = self._nginx.pid()
        metrics.nginx_up.set(pid is not None)
        metrics.share.set(record.share if is_split(record) else 0)
        metrics.epoch.set(record.epoch)
        metrics.breaker_open.set(held.breaker_open)
        metrics.control_failures.set(self._keeper.failures)
        report = {
            "at": datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="seconds"),
            "nginx": pid,
            "revision": self.last.revision if self.last else None,
            "outcome": self.last.outcome if self.last else None,
            "reason": self.last.reason if self.last else None,
            "state": record.state,
            "experiment": record.experiment,
            "share": record.share,
            "epoch": record.epoch,
            "control": self._keeper.failure or "read",
            "breaker": {**asdict(verdict), "open": held.breaker_open},
        }
        write_whole(self._nginx.folder / "agent.json", json.dumps(report, indent=2))


def run(settings: Settings, stopping: threading.Event) -> None:
    """Serve until `stopping` is set, then end Nginx. Raises NginxFailed when it cannot even begin."""
    nginx = Nginx(find_program(settings.nginx), router_folder(settings))
    version = nginx.version()
    nginx.folder.mkdir(parents=True, exist_ok=True)
    with _only_one(nginx.folder / "agent.lock"):
        poll_seconds = min(POLL_SECONDS, settings.poll_seconds)
        bucket = open_bucket(settings)
        keeper = ControlRecordCache(
            BucketControl(bucket),
            nginx.folder / "control.json",
            poll_seconds,
            told=lambda: request_evaluation(settings),
        )
        metrics = RouterMetrics()
        server, _ = start_http_server(settings.router_metrics_port, settings.router_host, metrics.registry)
        keeper.start(FIRST_RECORD_SECONDS)
        ledger = TrafficCounter(nginx.folder, bucket)
        agent = Agent(nginx, keeper, lambda: site_of(settings, nginx_version=version), metrics)
        agent.step()
        if agent.last is None or agent.last.outcome == "failed":
            raise NginxFailed(agent.last.reason if agent.last else "nothing was started")
        ledger.start()
        while not stopping.wait(STEP_SECONDS):
            try:
                agent.step()
            except (HomePricesError, OSError) as error:  # the next step tries again; Nginx serves meanwhile
                log.error("a step failed", error=str(error))
        agent.close()
        keeper.close()
        server.shutdown()
        nginx.stop()
        ledger.close()


def main(arguments: list[str]) -> int:
    """The command line: nothing to run, `stop` to end an Nginx that a killed agent left behind."""
    settings = load_settings()
    configure_logging(settings, "router")
    try:
        if arguments == ["stop"]:
            Nginx(find_program(settings.nginx), router_folder(settings)).stop()
            return 0
        if arguments:
            print("usage: python -m router.agent [stop]", file=sys.stderr)
            return 2
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        run(settings, stopping)
    except (HomePricesError, OSError) as error:
        log.error("the router cannot go on", error=str(error))
        return 1
    return 0


def _only_one(file: Path) -> IO[str]:
    """A lock that this process holds to its end. Raises NginxFailed when another agent has it."""
    lock = file.open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise NginxFailed(f"another agent is at work in {file.parent}") from None
    return lock


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
