"""Requests sent byte by byte, as no HTTP library would send them."""

from __future__ import annotations

import socket

PREDICT = b"POST /api/predict_home_price HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
BODY = b'{"total_sqft": 1200, "location": "Whitefield", "bhk": 2, "bath": 2}'
JSON = b"Content-Type: application/json\r\n"


def malformed(cookie: str) -> dict[str, bytes]:
    """Return requests for a prediction that Nginx answers itself, by name; the visitor has this cookie."""
    who = f"Cookie: visitor={cookie}\r\n".encode()
    sized = JSON + b"Content-Length: %d\r\n" % len(BODY)
    start = PREDICT + who
    return {
        "unknown transfer encoding": start + JSON + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "misspelt transfer encoding": start + JSON + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "two lengths": start + JSON + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "length and chunks": start + sized + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "a length that is no number": start + JSON + b"Content-Length: many\r\n\r\n",
        "a broken chunk": start + JSON + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        "another version of HTTP": start.replace(b"HTTP/1.1", b"HTTP/3.0") + sized + b"\r\n" + BODY,
        "no host": start.replace(b"Host: 127.0.0.1\r\n", b"") + sized + b"\r\n" + BODY,
        "an unknown host": start.replace(b"127.0.0.1", b"evil.example") + sized + b"\r\n" + BODY,
        "two hosts": start + b"Host: localhost\r\n" + sized + b"\r\n" + BODY,
        "a body over the limit": start + JSON + b"Content-Length: 99999999\r\n\r\n",
        "a method in small letters": start.replace(b"POST", b"post") + sized + b"\r\n" + BODY,
        "TRACE": start.replace(b"POST", b"TRACE") + sized + b"\r\n" + BODY,
        "CONNECT": start.replace(b"POST", b"CONNECT") + sized + b"\r\n" + BODY,
        "a long address": start.replace(b"price ", b"price?" + b"x" * 9_000 + b" ") + sized + b"\r\n" + BODY,
        "a long header": start + b"X-Long: " + b"x" * 40_000 + b"\r\n" + sized + b"\r\n" + BODY,
        "many headers": start + b"".join(b"X-%d: x\r\n" % n for n in range(5_000)) + sized + b"\r\n" + BODY,
        "a null character": start + b"X-Null: \x00\r\n" + sized + b"\r\n" + BODY,
        "a line that is no header": start + b"no header at all\r\n" + sized + b"\r\n" + BODY,
        "an address with a null character": start.replace(b"price ", b"price%00 ") + sized + b"\r\n" + BODY,
        "TLS": start.replace(b"POST", b"\x16\x03\x01\x02\x00\x01") + b"\r\n",
        "half a body": start + sized + b"\r\n" + BODY[:9],
        "half a header": start + b"X-Half",
    }


def send(listen: str, request: bytes, *, ends: bool = False) -> bytes:
    """Send the bytes and return the response; empty without one. With `ends`, nothing more can follow the bytes."""
    host, _, port = listen.rpartition(":")
    response = b""
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        try:
            connection.sendall(request)
            if ends:
                connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65_536):
                response += piece
        except ConnectionError:
            pass  # Nginx closed before it had read everything; what it said before counts
    return response


def status_of(response: bytes) -> int:
    """Return the status of a response; 0 if there is none."""
    return int(response.split(b" ", 2)[1]) if response.startswith(b"HTTP/") else 0
