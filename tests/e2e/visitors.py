"""Simulated visitors who send requests in the background while something changes behind the router."""

from __future__ import annotations

import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from homeprices.names import PLACE_HEADER
from homeprices.pricing.features import place_header
from tests.load.addresses import new_address

HOME = {"total_sqft": 1200, "location": "Whitefield", "bhk": 2, "bath": 2}
PAUSE_SECONDS = 0.02


@dataclass
class Tally:
    """The results of the visitors.

    `predicted` and `rated` are the ids of answered predictions and accepted ratings. `retried` counts kept-alive
    connections that closed before the first byte of a response.
    """

    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    retried: int = 0
    predicted: list[int] = field(default_factory=list)
    rated: list[int] = field(default_factory=list)


class Visitors:
    """Each visit is a new visitor with a new cookie: one prediction of `home`, then one rating by `stars(variant)`."""

    def __init__(
        self,
        router: str,
        stars: Callable[[str], int],
        pause_seconds: float = PAUSE_SECONDS,
        home: Mapping[str, object] = HOME,
    ) -> None:
        self.router, self.stars, self.tally, self.home = router, stars, Tally(), home
        self._pause_seconds = pause_seconds
        self._client = httpx.Client(base_url=router, timeout=60)
        weakref.finalize(self, self._client.close)

    def visit(self, home: Mapping[str, object] | None = None) -> None:
        """Request and rate one prediction, and count both."""
        self._client.cookies.clear()
        self._client.headers["X-Forwarded-For"] = new_address()
        self._client.get("/api/get_location_names")  # gives the cookie, as to the form
        home = home or self.home
        if "location" in home:  # stated as the form does
            self._client.headers[PLACE_HEADER] = place_header(str(home["location"]))
        answer = self._post("/api/predict_home_price", home)
        if answer is None or answer.status_code != 200:
            return
        body = answer.json()
        self.tally.answers[f"{body['variant']} {body['model_version']}"] += 1
        self.tally.predicted.append(body["prediction_id"])
        rating = {
            "prediction_id": body["prediction_id"],
            "feedback_type": "rating",
            "feedback_value": self.stars(body["variant"]),
        }
        rated = self._post("/api/feedback", rating)
        if rated is not None and rated.is_success:
            self.tally.rated.append(body["prediction_id"])

    def _post(self, path: str, body: Mapping[str, object]) -> httpx.Response | None:
        try:
            answer = self._client.post(path, json=body)
        except (httpx.RemoteProtocolError, httpx.ReadError):  # closed while idle: nothing of an answer was seen
            self.tally.retried += 1
            try:
                answer = self._client.post(path, json=body)
            except httpx.HTTPError as error:
                self.tally.failures.append(repr(error))
                return None
        except httpx.HTTPError as error:
            self.tally.failures.append(repr(error))
            return None
        if answer.is_error:
            self.tally.failures.append(f"{answer.status_code} {path}: {answer.text[:200]}")
        return answer

    @contextmanager
    def coming(self) -> Iterator[Tally]:
        """Send visits one after the other in the background until the block ends."""
        leave = threading.Event()

        def visit_on() -> None:
            while not leave.wait(self._pause_seconds):
                self.visit()

        thread = threading.Thread(target=visit_on)
        thread.start()
        try:
            yield self.tally
        finally:
            leave.set()
            thread.join()
