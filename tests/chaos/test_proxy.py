"""The proxy injects the faults as described."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.chaos.proxy import LOOPBACK, NONE, Fault, FaultProxy, proxy_before


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    """A proxy in front of an echo server."""
    server = socket.create_server((LOOPBACK, 0))

    def serve() -> None:
        while True:
            try:
                one, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=echo, args=(one,), daemon=True).start()

    def echo(one: socket.socket) -> None:
        with one:
            try:
                while data := one.recv(65536):
                    one.sendall(data)
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    with proxy_before(server.getsockname()[1]) as made:
        yield made
    server.shutdown(socket.SHUT_RDWR)
    server.close()


def connect(proxy: FaultProxy) -> socket.socket:
    return socket.create_connection((LOOPBACK, proxy.port), timeout=5)


def say(one: socket.socket, words: bytes) -> bytes:
    """Send data and return the echo, up to its length or the end of the connection."""
    one.sendall(words)
    heard = b""
    while len(heard) < len(words) and (data := one.recv(65536)):
        heard += data
    return heard


def test_without_a_fault_everything_passes(proxy: FaultProxy) -> None:
    with connect(proxy) as one:
        assert say(one, b"hello") == b"hello"
        assert say(one, b"x" * 1_000_000) == b"x" * 1_000_000
        one.shutdown(socket.SHUT_WR)
        assert one.recv(1) == b""
    assert proxy.opened == 1


def test_latency_delays_answers(proxy: FaultProxy) -> None:
    with connect(proxy) as one, proxy.suffering(Fault(latency_seconds=0.2)):
        started = time.monotonic()
        assert say(one, b"hello") == b"hello"
        assert time.monotonic() - started >= 0.2


def test_timeout_holds_everything_back_until_it_ends(proxy: FaultProxy) -> None:
    with connect(proxy) as one:
        with proxy.suffering(Fault(timeout=True)):
            one.settimeout(0.2)
            with pytest.raises(TimeoutError):
                say(one, b"hello")
        one.settimeout(5)
        assert one.recv(5) == b"hello"


def test_reset_cuts_open_connections_and_those_to_come(proxy: FaultProxy) -> None:
    with connect(proxy) as one:
        say(one, b"hello")
        with proxy.suffering(Fault(reset=True)):
            with pytest.raises(ConnectionResetError):
                say(one, b"again")
            with connect(proxy) as other, pytest.raises(ConnectionResetError):
                say(other, b"hello")


def test_down_refuses_and_cuts_and_the_same_port_listens_again(proxy: FaultProxy) -> None:
    port = proxy.port
    with connect(proxy) as one:
        say(one, b"hello")
        with proxy.suffering(Fault(down=True)):
            with pytest.raises(OSError):
                say(one, b"again")
            with pytest.raises(ConnectionRefusedError):
                connect(proxy)
    with connect(proxy) as one:
        assert (say(one, b"hello"), proxy.port) == (b"hello", port)


def test_limit_data_cuts_after_so_many_bytes_of_answers(proxy: FaultProxy) -> None:
    with connect(proxy) as one, proxy.suffering(Fault(limit_data=8)):
        assert say(one, b"hello") == b"hello"
        heard = b""
        with pytest.raises(ConnectionResetError):
            one.sendall(b"world")
            while True:
                heard += one.recv(100) or b"-"
        assert b"wor".startswith(heard)
    assert Fault() == NONE
