"""A stack with faults at night: its alerts, the commands of the runbook, frozen and killed services."""

from __future__ import annotations

import contextlib
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psutil

from homeprices.names import PREDICT_PATH
from local.ports import BASE
from local.supervision import processes
from tests.e2e.running_stack import ROOT, RunningStack, wait_until
from tests.load.addresses import new_address
from tests.support import runbook
from tests.support.prometheus_tools import Prometheus
from tests.unit.monitoring.alert_rules import alerts

COMMAND_SECONDS = 60
FAULT_SECONDS = 120
HOME = {"total_sqft": 1200, "location": "Whitefield", "bhk": 2, "bath": 2}


class Night:
    """The stack, the Prometheus that scrapes it, and the causes whose commands were run."""

    def __init__(self, stack: RunningStack, watching: Prometheus) -> None:
        self.stack = stack
        self.watching = watching
        self.seen: set[tuple[str, str]] = set()

    def fires(self, alert: str) -> bool:
        return bool(self.watching.query(alerts()[alert]["expr"]))

    def wait_for(self, alert: str, *, fires: bool = True) -> None:
        """Wait until the alert's expression is true, or with `fires=False` until it is not."""
        wait_until(lambda: self.fires(alert) is fires, FAULT_SECONDS, f"{alert} {'to fire' if fires else 'to end'}")

    def shows(self, alert: str, cause: str, says: str, *codes: int) -> None:
        """Run the command of a cause, by the first words of the cause.

        It ends in time with one of the exit codes (default: 0), and its output has the pattern `says`, which is the
        cause.
        """
        [row] = [row for row in runbook.causes(alert) if row.name.startswith(cause)]
        self.seen.add((alert, row.name))
        environ = {**self.stack.environ, "VENV": sys.prefix, "MAKEFLAGS": "", "COLUMNS": "200"}
        done = subprocess.run(
            self._here(row.local), shell=True, cwd=ROOT, env=environ, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False,
        )  # fmt: skip
        told = done.stdout + done.stderr
        assert done.returncode in (codes or (0,)) and re.search(says, told, re.MULTILINE), (
            f"{row.local} ended with {done.returncode}, expected {codes or 0} and {says!r}:\n{told[-4000:]}"
        )

    def _here(self, command: str) -> str:
        """Return a command of the page for this stack's folder and ports, and this environment."""
        command = command.replace(".venv/bin/", f"{sys.prefix}/bin/").replace(".stack", str(self.stack.folder))
        offset = self.stack.ports["router"] - BASE["router"]
        return re.sub(r"(?<=127\.0\.0\.1:)\d+", lambda port: str(int(port[0]) + offset), command)

    def of(self, service: str) -> list[psutil.Process]:
        """Return the processes of a service: those that write to its log, or to that of its Nginx."""
        folder = self.stack.folder
        logs = {folder / "logs" / f"{service}.log", folder / "state" / service / "error.log"}
        every = processes.marked((folder / "id").read_text(), folder)
        return [process for process in every if logs & set(processes.outputs(process.pid))]

    @contextmanager
    def frozen(self, service: str) -> Iterator[None]:
        """Stop every process of a service, so that it keeps its ports and does not answer."""
        stopped = self.of(service)
        send(stopped, signal.SIGSTOP)
        try:
            yield
        finally:
            send(stopped, signal.SIGCONT)

    @contextmanager
    def without(self, service: str, purpose: str) -> Iterator[None]:
        """Kill a service and take one of its ports, so that it does not start again."""
        with ExitStack() as held:
            send(self.of(service), signal.SIGKILL)
            port = self.stack.ports[purpose]
            taken = wait_until(lambda: listener(port), FAULT_SECONDS, f"port {port}")
            held.callback(self.wait_until_ready, service)
            held.callback(close, taken)
            threading.Thread(target=refuse, args=(taken,), daemon=True).start()
            self.wait_for_line(service, "in use")
            yield

    def wait_for_line(self, service: str, text: str) -> None:
        """Wait until the end of a service's log has a text."""
        log = self.stack.folder / "logs" / f"{service}.log"
        wait_until(lambda: text in log.read_text()[-4000:], FAULT_SECONDS, f"{text!r} in the log of {service}")

    def wait_until_ready(self, service: str) -> None:
        (self.stack.folder / "requests" / service).touch()  # now, and not after the pause that grows with every death
        self.stack.wait_until_ready(service)

    def ask(self, requests: int) -> list[int]:
        """Request so many predictions at once, each as another visitor, and return the statuses."""
        url = f"{self.stack.router}{PREDICT_PATH}"

        def predict(_: int) -> int:
            # The router assigns to a variant whom a trusted network names, and others from their second request on.
            headers = {"X-Forwarded-For": new_address(), "X-User-Id": secrets.token_hex(8)}
            # To verify, each client reads the machine's certificates, 40 ms of processor. Sixteen at once can keep one
            # waiting for 10 s between connecting and sending, and then Nginx closes the connection without an answer.
            return httpx.post(url, json=HOME, headers=headers, timeout=60, verify=False).status_code

        with ThreadPoolExecutor(requests) as pool:
            return list(pool.map(predict, range(requests)))

    def ask_until(self, alert: str, *, fires: bool = True) -> None:
        """Request predictions until an alert fires or ends. The first of a kind is no increase of a counter."""
        wait_until(
            lambda: self.ask(16) and self.fires(alert) is fires,
            FAULT_SECONDS,
            f"{alert} {'fires' if fires else 'ends'}",
        )

    def in_flight(self) -> list[object]:
        """Return the connections of the router to production."""
        port = self.stack.ports["infer-prod"]
        found = [c for nginx in self.of("router") for c in nginx.net_connections("tcp")]
        return [c for c in found if c.raddr and c.raddr.port == port and c.status == psutil.CONN_ESTABLISHED]


def send(targets: list[psutil.Process], number: signal.Signals) -> None:
    assert targets, "the service has no process"
    for target in targets:
        with contextlib.suppress(psutil.NoSuchProcess):
            target.send_signal(number)


@contextmanager
def damaged(configuration: Path) -> Iterator[None]:
    """Add a setting to PostgreSQL's configuration that it does not know."""
    text = configuration.read_text()
    configuration.write_text(text + "nonsense = 1\n")
    try:
        yield
    finally:
        configuration.write_text(text)


@contextmanager
def busy() -> Iterator[subprocess.Popen[bytes]]:
    """Keep a processor busy."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as program:
        try:
            yield program
        finally:
            program.kill()


def listener(port: int) -> socket.socket | None:
    """Return a socket that listens on a port, once it is free."""
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind(("127.0.0.1", port))
        taken.listen()
    except OSError:
        taken.close()
        return None
    return taken


def refuse(taken: socket.socket) -> None:
    """Close every connection until the socket is closed."""
    while True:
        try:
            taken.accept()[0].close()
        except OSError:
            return


def close(taken: socket.socket) -> None:
    """Close a listening socket, also while a thread waits for a connection."""
    taken.shutdown(socket.SHUT_RDWR)
    taken.close()
