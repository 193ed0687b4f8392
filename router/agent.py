"""The agent that controls the router's Nginx: `python -m router.agent`.

The agent reads the control record, renders the configuration, has Nginx test and reload it, and reads the revision back
through the port. It follows Nginx's log for Prometheus (port HOMEPRICES_ROUTER_METRICS_PORT), for the traffic counts,
and for the circuit breaker, which sets a failing candidate's share to zero at once.

Nginx is a separate process and goes on if the agent dies; the next agent adopts it. SIGTERM and SIGINT stop both, Nginx
last and gracefully. After a kill of the agent, `python -m router.agent stop` stops the remaining Nginx (pid file:
`router/nginx.pid` in HOMEPRICES_STATE_DIR). The router is ready when GET /router/version answers 200.
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
from homeprices.files import write_atomic
from homeprices.keys.key_cache import KeyCache
from homeprices.log import configure_logging, get_logger
from homeprices.settings import Settings, load_settings
from router.access_log import AccessLogEntry, LogFollower, parse
from router.circuit_breaker import Limits, Verdict, concerns, judge, request_evaluation
from router.control_cache import BucketControl, ControlRecordCache
from router.nginx import Nginx, NginxFailed, find_program
from router.reload import ReloadResult, apply_config
from router.render import is_split, render
from router.router_metrics import RouterMetrics
from router.site_config import RouterSite, router_folder, router_keys, site_of
from router.slow_bodies import SlowBodies
from router.traffic_counter import TrafficCounter

STEP_SECONDS = 0.5
POLL_SECONDS = 2.0  # between two polls of the bucket at least; a change of share takes about as long to arrive
FIRST_RECORD_SECONDS = 5.0  # the longest wait for the bucket; then the cached record is used
RETRY_SECONDS = 30.0  # until a rejected configuration is tried again: the cause may lie outside of it
START_AGAIN_SECONDS = 3.0  # between two attempts to start Nginx
RENEW_SECONDS = 30.0  # between two reloads that end unfinished requests
LOOK_SECONDS = 2.0  # between two looks at what connections receive
MOST_ENTRIES = 100_000  # of the candidate, kept for the breaker; one minute at 1,600 a second

log = get_logger("router")


class Agent:
    """One router. `step` does what is due and never waits for the bucket."""

    def __init__(
        self,
        nginx: Nginx,
        control: ControlRecordCache,
        site: Callable[[], RouterSite],
        metrics: RouterMetrics,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._nginx, self._control, self._site, self._metrics = nginx, control, site, metrics
        self._limits = limits or Limits()
        self._clock = clock
        self._log = LogFollower(nginx.folder / "access.log")
        self._entries: deque[AccessLogEntry] = deque(maxlen=MOST_ENTRIES)
        self._started = clock()
        self._renewed = self._started - RENEW_SECONDS
        self._bodies, self._looked = SlowBodies(clock), 0.0
        self._tried: tuple[str, float] = ("", 0.0)
        self.last: ReloadResult | None = None

    def step(self) -> None:
        """Read new log lines, judge the candidate, apply a changed control record, and report."""
        self._follow_log()
        self._end_slow_bodies()
        verdict = self._judge()
        self._apply()
        self._report(verdict)

    def close(self) -> None:
        """Close the log. Nginx continues."""
        self._log.close()

    def _follow_log(self) -> None:
        for entry in parse(self._log.read()):
            if entry is None:
                self._metrics.damaged_lines.inc()
                continue
            if entry.at >= self._started:  # the agent before this one counted older lines
                self._metrics.count(entry)
            if entry.reached_bound and entry.at >= self._renewed + RENEW_SECONDS:
                self._end_unfinished_requests()
            if concerns(entry, self._control.cached.record.epoch):
                self._entries.append(entry)
        self._log.rotate(lambda: self._nginx.signal(signal.SIGUSR1))

    def _end_slow_bodies(self) -> None:
        """End unfinished requests when a body has been arriving for longer than its deadline."""
        now, site = self._clock(), self._site()
        if now < self._looked + LOOK_SECONDS:
            return
        self._looked = now
        if self._bodies.overdue(site.listen, site.body_deadline) and now >= self._renewed + RENEW_SECONDS:
            self._end_unfinished_requests()

    def _end_unfinished_requests(self) -> None:
        """Reload Nginx, so that its old workers cut off unfinished requests at their deadline.

        Nginx has no deadline for a whole body. A client that sends a byte now and then would keep its slot for hours,
        and with enough connections all slots.
        """
        self._renewed = self._clock()
        self._nginx.signal(signal.SIGHUP)
        log.warning("unfinished_requests_ended", within_seconds=self._site().shutdown_seconds)

    def _judge(self) -> Verdict:
        now, record = self._clock(), self._control.cached.effective
        while self._entries and self._entries[0].at < now - self._limits.window_seconds:
            self._entries.popleft()
        verdict = judge(self._entries, epoch=record.epoch, now=now, limits=self._limits)
        if verdict.reason is not None and is_split(record):
            log.warning("breaker_tripped", experiment=record.experiment, epoch=record.epoch, reason=verdict.reason)
            self._metrics.breaker_trips.inc()
            self._control.request_stop(record.epoch, verdict.reason)
        return verdict

    def _apply(self) -> None:
        site = self._site()
        text = render(self._control.cached.effective, site)
        if not self._is_due(text):
            return
        if self._nginx.pid() is None:
            self._metrics.starts.inc()
        last = self.last = apply_config(self._nginx, text, site.listen)
        self._tried = (text, self._clock())
        self._metrics.changes.labels(last.outcome).inc()
        self._metrics.serve_revision(last.revision)
        if last.in_force:
            log.info("config_reloaded", outcome=last.outcome, revision=last.revision)
        else:
            log.error("config_reload_failed", outcome=last.outcome, revision=last.revision, reason=last.reason)

    def _is_due(self, text: str) -> bool:
        """Whether to apply the configuration: it is new, Nginx is dead, or a failed attempt is to be repeated."""
        tried, at = self._tried
        age = self._clock() - at
        if self._nginx.pid() is None:
            return self.last is None or self.last.in_force or age >= START_AGAIN_SECONDS
        if text != tried or self.last is None:
            return True
        return not self.last.in_force and age >= RETRY_SECONDS

    def _report(self, verdict: Verdict) -> None:
        cached, metrics = self._control.cached, self._metrics
        record = cached.effective
        pid = self._nginx.pid()
        metrics.nginx_up.set(pid is not None)
        metrics.share.set(record.share if is_split(record) else 0)
        metrics.epoch.set(record.epoch)
        metrics.breaker_open.set(cached.breaker_open)
        metrics.control_failures.set(self._control.failures)
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
            "control": self._control.failure or "read",
            "breaker": {**asdict(verdict), "open": cached.breaker_open},
        }
        write_atomic(self._nginx.folder / "agent.json", json.dumps(report, indent=2))


def run(settings: Settings, stopping: threading.Event) -> None:
    """Run until `stopping` is set, then stop Nginx.

    Raises SettingsError, and NginxFailed if the first configuration cannot be served.
    """
    settings.check_visitor_key()
    nginx = Nginx(find_program(settings.nginx), router_folder(settings))
    version = nginx.version()
    nginx.folder.mkdir(parents=True, exist_ok=True)
    with _exclusive_lock(nginx.folder / "agent.lock"):
        poll_seconds = min(POLL_SECONDS, settings.poll_seconds)
        bucket = open_bucket(settings)
        control = ControlRecordCache(
            BucketControl(bucket),
            nginx.folder / "control.json",
            poll_seconds,
            on_stopped=lambda: request_evaluation(settings),
        )
        keys = KeyCache(bucket, nginx.folder / "keys.json", poll_seconds)
        metrics = RouterMetrics()
        server, _ = start_http_server(settings.router_metrics_port, settings.router_host, metrics.registry)
        control.start(FIRST_RECORD_SECONDS)
        if settings.api_keys != "off":
            keys.start(FIRST_RECORD_SECONDS)

        def site() -> RouterSite:
            known = router_keys(keys.ring, datetime.now(UTC)) if settings.api_keys != "off" else ()
            return site_of(settings, nginx_version=version, keys=known)

        counter = TrafficCounter(nginx.folder, bucket)
        agent = Agent(nginx, control, site, metrics)
        agent.step()
        if agent.last is None or agent.last.outcome == "failed":
            raise NginxFailed(agent.last.reason if agent.last else "nothing was started")
        counter.start()
        while not stopping.wait(STEP_SECONDS):
            try:
                agent.step()
            except (HomePricesError, OSError) as error:  # the next step tries again; Nginx continues meanwhile
                log.error("agent_step_failed", error=str(error))
        agent.close()
        control.close()
        keys.close()
        server.shutdown()
        nginx.stop()
        counter.close()


def main(arguments: list[str]) -> int:
    """Run the agent without arguments; `stop` stops an Nginx that a killed agent has left behind."""
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
        log.error("agent_failed", error=str(error))
        return 1
    return 0


def _exclusive_lock(file: Path) -> IO[str]:
    """Return a lock that this process holds until it ends. Raises NginxFailed if another agent holds it."""
    lock = file.open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise NginxFailed(f"another agent is at work in {file.parent}") from None
    return lock


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
