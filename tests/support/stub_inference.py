"""A stub of the service behind the form: the same endpoints and formats, a simple formula, no model."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from homeprices.pricing.features import Locations
from homeprices.pricing.home import Home
from homeprices.pricing.inputs import INPUT
from homeprices.pricing.plausibility import unusual_inputs

LOCATIONS = [
    "Bellandur", "Electronic City", "Electronic City Phase II", "Electronics City Phase 1", "HSR Layout", "Hebbal",
    "Indira Nagar", "Jayanagar", "Kanakpura Road", "Koramangala", "Marathahalli", "Raja Rajeshwari Nagar", "Sarjapur",
    "Sarjapur Road", "Thanisandra", "Uttarahalli", "Whitefield", "Yelahanka",
]  # fmt: skip
TRAINED_ON = "synthetic listings, imported on 2026-11-29"
LAKH_A_SQUARE_FOOT = 0.0652
EXPLANATION: dict[str, Any] = {
    "estimated_price": 78.24,
    "location_known": True,
    "accuracy": {
        "grade": "B",
        "grade_within_20": 0.5913,
        "median_error": 0.1615,
        "within_20": 0.58,
        "homes": 1402,
        "kind": {"listed": "50_and_more", "bedrooms": 2, "price_from": 61.2, "price_to": 101.9},
        "sentence": "Half of such estimates were within 16 % of the listed price.",
    },
    "typical_home": {
        "place": "Whitefield",
        "homes": 540,
        "estimated_price": 71.5,
        "inputs": {"total_sqft": "1,100", "bhk": "2", "bath": "2"},
    },
    "reasons": [
        {"input": "total_sqft", "lakh": 7.9, "sentence": "1,200 sq ft, where homes in Whitefield typically have 1,100"},
        {"input": "bath", "lakh": -1.36, "sentence": "2 bathrooms, where homes in Whitefield typically have 3"},
    ],
    "other_reasons": 0.2,
    "rupees_per_sqft": {"home": 6520, "place": 6100, "city": 5400},
    "comparables": [
        {"place": "Whitefield", "bedrooms": 2, "area": area, "rupees_per_sqft": rupees, "alike": alike}
        for area, rupees, alike in ((1200, 6400, 0.98), (1210, 6350, 0.97), (1185, 6300, 0.97), (1250, 6500, 0.9))
    ],
}


@dataclass
class PriceService:
    """`refusal` replaces every response; a response waits for `gate`. `blinded`: none names variant and version."""

    url: str = ""
    homes: list[dict[str, Any]] = field(default_factory=list)
    remarks: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    refusal: tuple[int, dict[str, Any]] | None = None
    gate: threading.Event | None = None
    recorded: bool = True
    blinded: bool = False
    sets_cookies: bool = False
    inputs: list[str] = field(default_factory=lambda: [*INPUT])
    explained: list[dict[str, Any]] = field(default_factory=list)
    explanation: list[tuple[int, dict[str, Any]]] = field(default_factory=lambda: [(200, EXPLANATION)])
    """Responses to requests for an explanation; the last one is repeated."""

    def forget(self) -> None:
        """Reset to the initial state."""
        self.homes, self.remarks, self.headers = [], [], []
        self.refusal, self.gate, self.recorded, self.blinded = None, None, True, False
        self.inputs = [*INPUT]
        self.explained, self.explanation = [], [(200, EXPLANATION)]

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Return status and document for a request."""
        if path == "/api/get_location_names":
            known = {"locations": LOCATIONS, "inputs": self.inputs, "trained_on": TRAINED_ON}
            return 200, {**known, "model_version": "BO1"}
        if self.gate is not None:
            self.gate.wait(20)
        if path == "/api/explain":
            self.explained.append(body)
            return self.explanation.pop(0) if len(self.explanation) > 1 else self.explanation[0]
        (self.homes if path == "/api/predict_home_price" else self.remarks).append(body)
        if self.refusal is not None:
            return self.refusal
        return 200, self._estimate(body) if path == "/api/predict_home_price" else {"status": "recorded"}

    def _estimate(self, home: dict[str, Any]) -> dict[str, Any]:
        price = round(float(home["total_sqft"]) * LAKH_A_SQUARE_FOOT, 2)
        known = home["location"] in LOCATIONS
        said: dict[str, Any] = {
            "estimated_price": price,
            "prediction_id": len(self.homes) if self.recorded else None,
            "response_time_ms": 1.872,
            "interval": {"low": round(price * 0.72, 2), "high": round(price * 1.43, 2), "coverage": 0.9},
            "variant": "production",
            "model_version": "BO1",
            "location_known": known,
        }
        if self.blinded:
            del said["variant"], said["model_version"]
        if not known:
            said["notice"] = (
                f"{home['location']} is not among the locations that this model knows; it was priced as other"
            )
            if meant := Locations(LOCATIONS).nearest(home["location"]):
                said["suggested_location"] = meant
        if unusual := unusual_inputs(Home.parse(home), {}):
            said["unusual"] = unusual
        return said


def problem(status: int, error: str, **members: Any) -> tuple[int, dict[str, Any]]:
    """Return a problem document."""
    return status, {
        "type": "about:blank",
        "title": "Refused",
        "status": status,
        "detail": error,
        "error": error,
        **members,
    }


@contextmanager
def price_service() -> Iterator[PriceService]:
    """Yield a stub on a free port."""
    service = PriceService()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send({})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            is_form = "urlencoded" in self.headers["Content-Type"]
            self._send(dict(parse_qsl(body.decode())) if is_form else json.loads(body))

        def _send(self, body: dict[str, Any]) -> None:
            service.headers.append(dict(self.headers.items()))
            status, document = service.answer(self.path, body)
            said = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json" if status < 400 else "application/problem+json")
            self.send_header("Content-Length", str(len(said)))
            if service.sets_cookies and "Cookie" not in self.headers:
                self.send_header("Set-Cookie", f"visitor={uuid.uuid4().hex}; Path=/")
            if status in (429, 503):
                self.send_header("Retry-After", "5")
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    service.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
