import pytest

from homeprices.errors import SettingsError
from tests.unit.inference.conftest import Start

ORIGIN = "https://homes.example.org"
PATH = "/api/predict_home_price"
HOME = {"total_sqft": 1200, "location": "Whitefield", "bhk": 2, "bath": 2}


def test_a_configured_origin_may_send_requests(start: Start) -> None:
    backend = start(HOMEPRICES_CORS_ORIGINS=f" {ORIGIN} ,http://127.0.0.1:6500")
    backend.publish("BO1")
    preflight = backend.client.options(PATH, headers={"Origin": ORIGIN, "Access-Control-Request-Method": "POST"})
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    assert preflight.headers["Access-Control-Allow-Headers"] == "Content-Type, X-Home-Place"
    answer = backend.client.post(PATH, json=HOME, headers={"Origin": ORIGIN})
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Origin" in answer.headers["Vary"]


def test_errors_can_be_read_by_a_configured_origin_too(start: Start) -> None:
    answer = start(HOMEPRICES_CORS_ORIGINS=ORIGIN).client.post(PATH, json={}, headers={"Origin": ORIGIN})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (422, ORIGIN)


@pytest.mark.parametrize("configured", ["", ORIGIN])
@pytest.mark.parametrize("origin", ["https://evil.example.org", "null", f"{ORIGIN}.evil.org"])
def test_another_origin_is_not_allowed(start: Start, configured: str, origin: str) -> None:
    answer = start(HOMEPRICES_CORS_ORIGINS=configured).client.get("/api/health", headers={"Origin": origin})
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("origin", ["*", "example.org", f"{ORIGIN}/", f"{ORIGIN}/page"])
def test_an_invalid_origin_is_rejected_at_start(start: Start, origin: str) -> None:
    with pytest.raises(SettingsError, match="HOMEPRICES_CORS_ORIGINS"):
        start(HOMEPRICES_CORS_ORIGINS=origin)
