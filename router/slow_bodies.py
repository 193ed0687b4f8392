"""Find requests whose body is still arriving after a deadline, in the counters that Linux keeps of each connection.

Nginx limits the time between two reads of a body and not the whole, and says nothing of a request before it ends. The
kernel counts the bytes of a connection in both directions (sock_diag, what `ss -ti` prints; it needs no privilege). A
connection that receives and on which nothing is written is a request that is still arriving.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from homeprices.log import get_logger

# Of linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h and linux/tcp.h.
SOCK_DIAG_BY_FAMILY, NLMSG_ERROR, NLMSG_DONE = 20, 2, 3
NLM_F_REQUEST_DUMP = 0x301
ESTABLISHED = 1
INET_DIAG_INFO = 2
HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
REQUEST = struct.Struct("=BBBxI")  # family, protocol, extensions, states; a socket's identity follows
IDENTITY = struct.Struct("!HH32x12s")  # own port, other port, addresses, interface and cookie
MESSAGE_BYTES = 72
IDENTITY_AT, UNACKNOWLEDGED_AT = 4, 60
ATTRIBUTE = struct.Struct("=HH")  # length, type
COUNTERS = struct.Struct("=QQ")  # bytes that were acknowledged, and received
COUNTERS_AT = 120
ANSWER_BYTES = 1 << 16
TIMEOUT_SECONDS = 2.0

log = get_logger("router")


@dataclass(frozen=True)
class Traffic:
    """The bytes of a connection since it was opened: what the program here wrote, and what has arrived."""

    written: int
    received: int


def traffic_of(listen: str) -> dict[bytes, Traffic]:
    """Return the traffic of every open connection to `listen` (host:port), by its identity.

    Raises OSError where the kernel does not tell, which is any other than Linux.
    """
    if not hasattr(socket, "AF_NETLINK"):
        raise OSError("this system has no sock_diag")
    host, _, port = listen.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    wanted = REQUEST.pack(family, socket.IPPROTO_TCP, 1 << (INET_DIAG_INFO - 1), 1 << ESTABLISHED)
    wanted += IDENTITY.pack(int(port), 0, b"\0" * 4 + b"\xff" * 8)  # any interface, any cookie
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 4) as kernel:  # NETLINK_SOCK_DIAG
        kernel.settimeout(TIMEOUT_SECONDS)
        kernel.send(HEADER.pack(HEADER.size + len(wanted), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST_DUMP, 1, 0) + wanted)
        return dict(_connections(kernel))


def _connections(kernel: socket.socket) -> Iterator[tuple[bytes, Traffic]]:
    while True:
        answer = kernel.recv(ANSWER_BYTES)
        while len(answer) >= HEADER.size:
            length, kind, *_ = HEADER.unpack_from(answer)
            if kind == NLMSG_DONE:
                return
            if kind == NLMSG_ERROR:
                code = -struct.unpack_from("=i", answer, HEADER.size)[0]
                raise OSError(code, os.strerror(code))
            yield from _connection(answer[HEADER.size : length])
            answer = answer[_aligned(length) :]


def _connection(message: bytes) -> Iterator[tuple[bytes, Traffic]]:
    identity = message[IDENTITY_AT : IDENTITY_AT + IDENTITY.size]
    [unacknowledged] = struct.unpack_from("=I", message, UNACKNOWLEDGED_AT)
    attributes = message[MESSAGE_BYTES:]
    while len(attributes) >= ATTRIBUTE.size:
        length, kind = ATTRIBUTE.unpack_from(attributes)
        if kind == INET_DIAG_INFO and length >= ATTRIBUTE.size + COUNTERS_AT + COUNTERS.size:
            acknowledged, received = COUNTERS.unpack_from(attributes, ATTRIBUTE.size + COUNTERS_AT)
            yield identity, Traffic(acknowledged + unacknowledged, received)
        attributes = attributes[_aligned(length) or len(attributes) :]


def _aligned(length: int) -> int:
    return (length + 3) & ~3


class SlowBodies:
    """The connections of one address whose request has been arriving for longer than the deadline."""

    def __init__(self, clock: Callable[[], float], look: Callable[[str], dict[bytes, Traffic]] = traffic_of) -> None:
        self._clock, self._look = clock, look
        self._seen: dict[bytes, tuple[Traffic, float | None]] = {}
        self._failed = False

    def overdue(self, listen: str, deadline_seconds: float) -> int:
        """Return how many requests still arrive after the deadline.

        A request begins when bytes arrive and nothing has been written since the look before. A body that is complete
        is not counted, however long its answer takes: only bytes that come after the deadline are.
        """
        try:
            traffic = self._look(listen)
        except OSError as error:
            if not self._failed:
                log.warning("slow_bodies_not_watched", error=str(error))
            self._failed, self._seen = True, {}
            return 0
        self._failed = False
        now, before, self._seen, count = self._clock(), self._seen, {}, 0
        for identity, is_now in traffic.items():
            was, begun = before.get(identity, (Traffic(0, 0), None))
            arrives = is_now.received > was.received
            if is_now.written > was.written:
                begun = None
            elif begun is None and arrives:
                begun = now
            elif begun is not None and arrives and now - begun > deadline_seconds:
                count += 1
            self._seen[identity] = (is_now, begun)
        return count
