"""A mail server that accepts every message (the part of RFC 5321 that smtplib uses), on a free port."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Mailbox:
    """The received messages; the next `refusals` connections are rejected with 421."""

    port: int = 0
    refusals: int = 0
    connections: int = 0
    commands: list[str] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)


@contextmanager
def mail_server(refusals: int = 0, host: str = "127.0.0.1") -> Iterator[Mailbox]:
    """Yield a mail server without TLS."""
    box = Mailbox(refusals=refusals)

    class Handler(socketserver.StreamRequestHandler):
        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

        def handle(self) -> None:
            box.connections += 1
            if box.connections <= box.refusals:
                self.say("421 too busy")
                return
            self.say("220 loopback")
            while line := self.rfile.readline():
                command = line.decode().strip()
                box.commands.append(command)
                verb = command.split(" ")[0].split(":")[0].upper()
                if verb == "DATA":
                    self.say("354 go on")
                    box.messages.append(message_from_bytes(self.read_message()))
                self.say("221 bye" if verb == "QUIT" else "250 loopback")
                if verb == "QUIT":
                    return

        def read_message(self) -> bytes:
            lines = []
            while (line := self.rfile.readline()) not in (b".\r\n", b""):
                lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
            return b"".join(lines)

    with socketserver.ThreadingTCPServer((host, 0), Handler) as server:
        server.daemon_threads = True
        box.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield box
        finally:
            server.shutdown()
            thread.join()


# An incoming webhook, as Slack's answers, on a free port.


@dataclass
class Hook:
    """The received posts; the first `failures` posts get 503."""

    url: str = ""
    failures: int = 0
    posts: list[dict[str, Any]] = field(default_factory=list)
    attempts: int = 0


@contextmanager
def webhook(failures: int = 0, host: str = "127.0.0.1") -> Iterator[Hook]:
    hook = Hook(failures=failures)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.attempts += 1
            failing = hook.attempts <= hook.failures
            if not failing:
                hook.posts.append(json.loads(body))
            self.send_response(503 if failing else 200)
            self.end_headers()
            self.wfile.write(b"no_service" if failing else b"ok")

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer((host, 0), Handler) as server:
        server.daemon_threads = True
        hook.url = f"http://{host}:{server.server_port}/services/T0/B0/hush"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield hook
        finally:
            server.shutdown()
            thread.join()


# A serving instance reduced to its health document, on a free port of the loopback address.


Answer = Callable[[], tuple[int, bytes]]


def serves(version: str | None, instance: str = "infer-prod", **more: object) -> Answer:
    """Return the health document of an instance whose workers all serve `version`."""
    document = {"status": "ok", "instance": instance, "model_version": version, **more}
    return lambda: (200, json.dumps(document).encode())


@contextmanager
def health_server(answer: Answer) -> Iterator[int]:
    """Yield the port of a server that answers `/api/health` with the status and body from `answer`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answer() if self.path == "/api/health" else (404, b"")
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
