"""Visitors of these tests: one connection each, one cookie, and the retry of a browser."""

from __future__ import annotations

import http.client
import json
import re
from dataclasses import dataclass, field
from typing import Any

from inference.backend.runtime.request_context import signature

HOME = json.dumps({"total_sqft": 1200, "location": "Whitefield", "bhk": 2, "bath": 2})
COOKIE_KEY = "0" * 32
JSON = {"Content-Type": "application/json"}
CLOSED_BEFORE_THE_FIRST_BYTE = (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError)


def signed(visitor: str) -> str:
    """Return the cookie of a visitor, as a router with the default key sets it."""
    return f"{visitor}.{signature(visitor, COOKIE_KEY)}"


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def variant(self) -> str:
        return self.headers["X-Variant"]

    @property
    def fallback(self) -> bool:
        return self.headers.get("X-Variant-Fallback") == "1"

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Visitor:
    """A client that keeps its connection alive. `retried`: connections closed before a response began."""

    address: str
    cookie: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    retried: int = 0
    _connection: http.client.HTTPConnection | None = None
    _used: bool = False

    @property
    def id(self) -> str:
        """The visitor id of the cookie."""
        return (self.cookie or "").partition(".")[0]

    def arrive(self) -> Visitor:
        """Open the form without a cookie, as a new visitor: with its locations come the cookie."""
        self.cookie = None
        self.ask("GET", "/api/get_location_names")
        return self

    def predict(self, **headers: str) -> Reply:
        return self.ask("POST", "/api/predict_home_price", HOME, **headers)

    def feedback(self) -> Reply:
        return self.ask("POST", "/api/feedback", json.dumps({"prediction_id": 1, "feedback_type": "accurate"}))

    def ask(self, method: str, path: str, body: str | None = None, **headers: str) -> Reply:
        sent = {**JSON, **self.headers, **headers, **({"Cookie": f"visitor={self.cookie}"} if self.cookie else {})}
        for _ in range(3):
            kept = self._used
            try:
                reply = self._once(method, path, body, sent)
            except CLOSED_BEFORE_THE_FIRST_BYTE:
                self.close()
                if not kept:
                    raise
                self.retried += 1
                continue
            self._remember(reply)
            return reply
        raise AssertionError("three kept connections in a row were closed")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection, self._used = None, False

    def _once(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Reply:
        if self._connection is None:
            host, port = self.address.split(":")
            self._connection = http.client.HTTPConnection(host, int(port), timeout=20)
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        reply = Reply(answer.status, dict(answer.getheaders()), answer.read())
        self._used = not answer.will_close
        if answer.will_close:
            self.close()
        return reply

    def _remember(self, reply: Reply) -> None:
        found = re.match(r"visitor=([0-9a-f]{32}\.[A-Za-z0-9_-]{22});", reply.headers.get("Set-Cookie", ""))
        if found:
            self.cookie = found[1]
