"""A mail server that takes what it is sent (RFC 5321, as far as smtplib speaks it), on a free port."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message


@dataclass
class Mailbox:
    """What came in; `refusals` of the next connections are turned away with 421."""

    port: int = 0
    refusals: int = 0
    connections: int = 0
    commands: list[str] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)


@contextmanager
def mail_server(refusals: int = 0, host: str = "127.0.0.1") -> Iterator[Mailbox]:
    """A server without TLS."""
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
