"""Parallel runs: the number of workers, and one of each real server for all of them, started by the controller."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import threading
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

from tests.support.servers import ServerStarter

MOST_WORKERS = 8
COMPUTING = ("tests/unit", "tests/infrastructure")


def number(arguments: list[str], cores: int) -> int:
    """Return how many workers run these arguments of pytest: suites with servers wait more than they compute."""
    if all(argument.startswith(COMPUTING) for argument in arguments):
        return min(cores, MOST_WORKERS)
    return min(2 * cores, MOST_WORKERS)


class SharedServers:
    """Answers workers on a Unix socket until `close`.

    One thread accepts, starts and answers: a server ends with the thread that started it (`servers.running`), and two
    workers that ask for the same server at a time get the same one.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="homeprices-servers-"))
        self._starter = ServerStarter(self._folder)
        self._key = secrets.token_bytes(16)
        self._listener = Listener(str(self._folder / "socket"), "AF_UNIX", backlog=64, authkey=self._key)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def ticket(self) -> tuple[str, str]:
        """What a worker needs to ask: the socket and the key."""
        return str(self._listener.address), self._key.hex()

    def close(self) -> None:
        """Stop the servers and remove their files."""
        _ask(self.ticket, None)
        self._thread.join()
        self._listener.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _serve(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
            except (EOFError, OSError):  # a worker that was killed while it asked
                continue
            with connection:
                if not self._answer(connection):
                    return

    def _answer(self, connection: Connection) -> bool:
        """Answer one question; False after the last one, which is None."""
        try:
            kind = connection.recv()
            if kind is None:
                self._starter.close()
                connection.send((True, None))
                return False
            try:
                connection.send((True, self._starter.address(kind)))
            except Exception as error:
                connection.send((False, str(error)))
        except (EOFError, OSError):
            pass
        return True


def ask(ticket: tuple[str, str], kind: str) -> Any:
    """Return the address of a server of the controller. Raises RuntimeError with the reason if it did not start."""
    found, answer = _ask(ticket, kind)
    if not found:
        raise RuntimeError(answer)
    return answer


def _ask(ticket: tuple[str, str], kind: str | None) -> tuple[bool, Any]:
    place, key = ticket
    with Client(place, "AF_UNIX", authkey=bytes.fromhex(key)) as connection:
        connection.send(kind)
        return connection.recv()  # type: ignore[no-any-return]
