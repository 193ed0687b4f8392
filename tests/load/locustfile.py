"""Simulated visitors for the running stack: `make traffic`, or
`python -m locust -f tests/load/locustfile.py --headless -u 20 -t 2m`, or in this folder `locust --host=URL`.

A Locust user plays one visitor after another. A visitor keeps its cookie like a browser, requests estimates for listed
homes, and rates each by its distance from the listing's price, so a better model earns better ratings. Homes come from
--listings FILE, else from the newest dataset in the bucket, else they are synthetic.

Each visitor comes from an address of its own, so that visitors are spread over networks as in practice. The router
believes it (`X-Forwarded-For`) if this machine is in a trusted network.

A kept-alive connection that the server closed before the first byte of a response is retried once, as in a browser,
and counted as "retried". Only 127.0.0.1 is called unless --anywhere is set.
"""

from __future__ import annotations

import json
import random
import sys
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gevent
import requests
from locust import HttpUser, constant_throughput, events, task
from locust.clients import ResponseContextManager
from locust.env import Environment
from locust.exception import StopUser

sys.path.insert(0, str(Path(__file__).parents[2]))  # for `cd tests/load && locust`, which does not know the project

try:
    from homeprices.adapters.object_store import open_bucket
    from homeprices.errors import HomePricesError, SettingsError
    from homeprices.names import PLACE_HEADER
    from homeprices.pricing.features import place_header
    from homeprices.settings import load_settings
    from tests.load.addresses import new_address
    from tests.load.listings import Listing, find_raw, listings_of
except ModuleNotFoundError as missing:  # a Locust of another Python
    advice = "run `make install`, then `.venv/bin/locust` of the project's folder"
    raise SystemExit(f"traffic: {sys.executable} has no {missing.name}; {advice}") from None

LOOPBACK = {"127.0.0.1", "localhost", "::1"}
HOMES_A_VISITOR = 6.0  # on average; then another one comes, with a cookie of his own
RATED_SHARE = 0.7
VERDICT_SHARE = 0.15
ACTUAL_PRICE_SHARE = 0.10
PATIENCE_SECONDS = 15

market: list[Listing] = []
answered: Counter[str] = Counter()
starred: Counter[str] = Counter()


@events.init_command_line_parser.add_listener
def add_options(parser: ArgumentParser) -> None:
    """Add this file's options to Locust's own."""
    parser.add_argument("--listings", default="", help="CSV of raw listings instead of the bucket's newest dataset")
    parser.add_argument("--pace", type=float, default=1.0, help="requests a second and user")
    parser.add_argument("--seed", type=int, default=0, help="0 draws other homes at every run")
    parser.add_argument("--anywhere", action="store_true", help="let --host be another machine")


@events.init.add_listener
def prepare(environment: Environment, **_: Any) -> None:
    """Load the address and the homes before the first visitor starts."""
    options = environment.parsed_options
    settings = load_settings()
    try:
        if not environment.host:
            settings.require("router_url")
    except SettingsError as error:
        raise SystemExit(f"traffic: {error}, or say --host") from None
    environment.host = (environment.host or settings.router_url).rstrip("/")
    if urlsplit(environment.host).hostname not in LOOPBACK and not (options and options.anywhere):
        raise SystemExit(f"{environment.host} is not this machine; say --anywhere if it is yours to load")
    random.seed(options.seed or None if options else None)
    raw, name = _raw(Path(options.listings) if options and options.listings else None)
    market[:] = listings_of(raw)
    print(f"{len(market):,} homes from {name}, visitors for {environment.host}")
    gevent.get_hub().loop.update_now()  # or the time spent here is taken from --run-time


@events.quitting.add_listener
def sum_up(environment: Environment, **_: Any) -> None:
    """Print estimates and ratings per variant; fail a run without any request."""
    for who in sorted(answered):
        stars, rated = starred[f"{who} stars"], starred[f"{who} rated"]
        print(f"{who}: {answered[who]:,} estimates, {rated:,} rated{f', {stars / rated:.2f} stars' if rated else ''}")
    if environment.stats.total.num_requests == 0:
        environment.process_exit_code = 1  # a run without requests proves nothing


class Visitor(HttpUser):
    """A visitor of the web form."""

    def on_start(self) -> None:
        """Open the form."""
        if not market:
            raise StopUser
        self._arrive()

    def wait_time(self) -> float:
        """Keep the configured pace of each user."""
        options = self.environment.parsed_options
        return float(constant_throughput(options.pace if options else 1.0)(self))

    @task
    def look_up_a_home(self) -> None:
        """Request an estimate, and often send feedback."""
        if random.random() < 1 / HOMES_A_VISITOR:
            self._arrive()
        listing = random.choice(market)
        answer = self._post("/api/predict_home_price", listing.home)
        if answer is not None and answer.get("prediction_id") is not None:
            self._judge(listing, answer)

    def _arrive(self) -> None:
        self.client.cookies.clear()
        self.client.headers["X-Forwarded-For"] = new_address()
        self.client.get("/api/get_location_names", timeout=PATIENCE_SECONDS)

    def _judge(self, listing: Listing, answer: dict[str, Any]) -> None:
        estimate, who = (
            float(answer["estimated_price"]),
            f"{answer.get('variant', '?')} {answer.get('model_version', '?')}",
        )
        answered[who] += 1
        if random.random() < RATED_SHARE:
            stars = listing.stars(estimate)
            if self._say(answer, feedback_type="rating", feedback_value=stars):
                starred[f"{who} stars"] += stars
                starred[f"{who} rated"] += 1
        if random.random() < VERDICT_SHARE:
            self._say(answer, feedback_type=listing.verdict(estimate))
        if random.random() < ACTUAL_PRICE_SHARE:
            self._say(answer, feedback_type="actual_price", feedback_value=listing.price)

    def _say(self, answer: dict[str, Any], **remark: object) -> bool:
        return self._post("/api/feedback", {"prediction_id": answer["prediction_id"], **remark}) is not None

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """The response, or None without one; a connection that was closed while idle is retried once."""
        headers = {PLACE_HEADER: place_header(body["location"])} if "location" in body else {}
        for attempt in (1, 2):
            with self.client.post(
                path, json=body, headers=headers, timeout=PATIENCE_SECONDS, catch_response=True
            ) as response:
                if attempt == 1 and closed_before_the_first_byte(response):
                    response.request_meta["name"] = f"{path} (retried)"
                    response.success()
                    continue
                if not response.ok:
                    response.failure(f"{response.status_code} {response.text[:200]}")
                    return None
                return dict(json.loads(response.text))
        return None


def closed_before_the_first_byte(response: ResponseContextManager) -> bool:
    """Whether a kept-alive connection ended before the first byte of the response."""
    error = getattr(response, "error", None)
    text = str(error)
    return isinstance(error, requests.exceptions.ConnectionError) and (
        "RemoteDisconnected" in text or "ConnectionResetError" in text or "BrokenPipeError" in text
    )


def _raw(path: Path | None) -> tuple[Any, str]:
    """The raw listings and their name; synthetic ones, with a notice, when the bucket is unavailable."""
    try:
        bucket = open_bucket(load_settings())
        return find_raw(path, None if path else bucket)
    except HomePricesError as error:
        if path is not None:
            raise SystemExit(f"{path}: {error}") from None
        print(f"the bucket gives no listings ({error})")
        return find_raw(None, None)
