"""The doors of Airflow's API server: the host names it answers for, and slow guessing of passwords.

Every process of Airflow loads this plugin, also each task, so it imports nothing heavy.
"""

from __future__ import annotations

import json
import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

LOGIN = "/auth/token"
WRONG_PASSWORDS = 5
PAUSE_SECONDS = 60.0
ADDRESSES = 10_000


class Doors:
    """ASGI middleware: 421 for an unknown Host, 429 for an address after WRONG_PASSWORDS in PAUSE_SECONDS."""

    def __init__(self, app: App, *, clock: Callable[[], float] = time.monotonic) -> None:
        from homeprices.settings import load_settings

        self._app, self._clock = app, clock
        self._knows_listed = load_settings(dict(os.environ), ()).knows_host
        self._public = urlsplit(conf.get("api", "base_url", fallback="")).hostname
        self._wrong: OrderedDict[str, list[float]] = OrderedDict()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] not in {"http", "websocket"}:
            return await self._app(scope, receive, send)
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        if not self._knows_listed(host) and host.partition(":")[0].lower() != self._public:
            return await _refuse(send, 421, "Airflow does not answer for this host name; HOMEPRICES_HOSTS names those")
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].startswith(LOGIN):
            return await self._app(scope, receive, send)
        address = scope["client"][0] if scope["client"] else ""
        if (wait := self._pause(address)) > 0:
            return await _refuse(send, 429, "too many wrong passwords", retry_after=wait)

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 401:
                self._wrong.setdefault(address, []).append(self._clock())
                self._wrong.move_to_end(address)
                if len(self._wrong) > ADDRESSES:
                    self._wrong.popitem(last=False)
            await send(message)

        await self._app(scope, receive, watch)
        return None

    def _pause(self, address: str) -> float:
        """Return the seconds until the next attempt of an address."""
        since = self._clock() - PAUSE_SECONDS
        recent = [moment for moment in self._wrong.get(address, []) if moment > since]
        if recent:
            self._wrong[address] = recent
        else:
            self._wrong.pop(address, None)
        return recent[-WRONG_PASSWORDS] - since if len(recent) >= WRONG_PASSWORDS else 0.0


async def _refuse(send: Send, status: int, detail: str, retry_after: float = 0) -> None:
    headers = [(b"content-type", b"application/json")]
    if retry_after:
        headers.append((b"retry-after", str(int(retry_after) + 1).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"detail": detail}).encode()})


class DoorsPlugin(AirflowPlugin):  # type: ignore[misc]
    """Puts Doors in front of the API server."""

    name = "homeprices_doors"
    fastapi_root_middlewares: ClassVar[list[Any]] = [
        {"name": name, "middleware": Doors, "args": [], "kwargs": {}},
    ]
