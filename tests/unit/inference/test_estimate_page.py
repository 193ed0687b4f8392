"""The estimate as a page, for a browser that sends the form without a script."""

from __future__ import annotations

from typing import Any

import pytest

from inference.translations import catalogue
from tests.unit.inference.conftest import Backend, Start

PATH = "/api/predict_home_price"
HOME: dict[str, Any] = {"total_sqft": "1200", "location": "Whitefield", "bhk": "2", "bath": "2", "balcony": ""}
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def page(backend: Backend, path: str = PATH, home: dict[str, Any] = HOME, **headers: str) -> str:
    answer = backend.client.post(path, data=home, headers={**BROWSER, **headers})
    assert (answer.status_code, answer.content_type) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.get_data(as_text=True)


def test_a_browser_without_a_script_gets_a_page_with_the_price_and_its_range(backend: Backend) -> None:
    estimate = backend.client.post(PATH, json={**HOME, "balcony": None}).get_json()
    shown = page(backend)
    assert '<html lang="en">' in shown and "Whitefield, 1,200 sq ft, 2 BHK" in shown
    assert f"{estimate['estimated_price']:.1f} lakh rupees" in shown
    low, high = estimate["interval"]["low"], estimate["interval"]["high"]
    assert f"90 % of such homes are listed between ₹{low:.1f} lakh and ₹{high / 100:.2f} crore." in shown
    assert len(backend.log.predictions) == 2, "it is logged like every estimate"


def test_a_price_from_a_hundred_lakh_on_is_in_crore(backend: Backend) -> None:
    estimate = backend.client.post(PATH, json={**HOME, "location": "Indira Nagar", "balcony": None}).get_json()
    assert estimate["estimated_price"] > 100
    shown = page(backend, home={**HOME, "location": "Indira Nagar"})
    assert f"{estimate['estimated_price'] / 100:.2f} crore rupees" in shown


@pytest.mark.parametrize(
    ("path", "accepted", "language"),
    [
        (PATH, "kn,en;q=0.5", "kn"),
        (PATH, "hi-IN,hi;q=0.9,en-IN;q=0.8,en;q=0.7", "hi"),
        (f"{PATH}?lang=hi", "kn", "hi"),
        (f"{PATH}?lang=../x", "kn", "kn"),
        (PATH, "de", "en"),
    ],
)
def test_the_page_is_in_the_language_of_the_form(backend: Backend, path: str, accepted: str, language: str) -> None:
    language_header: Any = {"Accept-Language": accepted}
    shown = page(backend, path, **language_header)
    assert f'<html lang="{language}">' in shown and f'href="/?lang={language}"' in shown
    heading = catalogue()["Estimated price"].get(language, "Estimated price")
    assert f"<h1>{heading}</h1>" in shown


def test_an_unknown_place_is_shown_as_text_and_said_to_be_unknown(backend: Backend) -> None:
    shown = page(backend, home={**HOME, "location": "<script>alert(1)</script>"})
    assert "<script>" not in shown and "&lt;script&gt;" in shown
    assert "This model does not know the place" in shown


def test_no_share_is_claimed_of_an_unusual_home(backend: Backend) -> None:
    shown = page(backend, home={**HOME, "total_sqft": "90000"})
    assert "How often such a home is listed within this range is not known." in shown
    assert "% of such homes" not in shown


@pytest.mark.parametrize("accepted", ["*/*", "application/json", "application/json, text/html;q=0.9", None])
def test_who_prefers_no_page_gets_json(backend: Backend, accepted: str | None) -> None:
    headers = {"Accept": accepted} if accepted else {}
    assert backend.client.post(PATH, data=HOME, headers=headers).content_type == "application/json"


def test_json_is_answered_with_json_and_its_error_with_a_problem(backend: Backend) -> None:
    assert backend.client.post(PATH, json={**HOME, "balcony": None}, headers=BROWSER).content_type == "application/json"
    for headers, body in ((BROWSER, {"json": {**HOME, "bhk": 0}}), ({}, {"data": {**HOME, "bhk": "0"}})):
        refused = backend.client.post(PATH, headers=headers, **body)
        assert (refused.status_code, refused.content_type) == (422, "application/problem+json")


def failed(backend: Backend, status: int, home: dict[str, Any] = HOME, lang: str = "en") -> str:
    answer = backend.client.post(f"{PATH}?lang={lang}", data=home, headers=BROWSER)
    assert (answer.status_code, answer.content_type) == (status, "text/html; charset=utf-8")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store" and "X-Visitor-Signature" not in answer.headers
    shown = answer.get_data(as_text=True)
    assert f'<html lang="{lang}">' in shown and f'href="/?lang={lang}"' in shown
    return shown


def test_an_input_that_is_not_accepted_is_named_on_a_page(backend: Backend) -> None:
    shown = failed(backend, 422, {**HOME, "bhk": "0", "<b>": "1"})
    assert "<h1>No price could be estimated</h1>" in shown
    assert "BHK: must be a whole number from 1 to 50" in shown
    assert "&lt;b&gt;" in shown and "<b>" not in shown
    hindi = failed(backend, 422, {**HOME, "bhk": "0"}, "hi")
    assert catalogue()["This value is not accepted"]["hi"] in hindi and "must be" not in hindi


def test_a_service_without_a_model_says_when_to_try_again(start: Start) -> None:
    empty = start()
    wait = empty.client.post(PATH, json={**HOME, "balcony": None}).headers["Retry-After"]
    assert f"Please try again in {wait} seconds." in failed(empty, 503)
    told = catalogue()["No answer at the moment. Please try again in {wait} seconds."]["kn"]
    assert told.format(wait=wait) in failed(empty, 503, lang="kn")


def test_what_is_too_large_is_said_on_a_page(backend: Backend) -> None:
    assert "the body is larger than 64 KiB" in failed(backend, 413, {**HOME, "society": "x" * 70_000})


def test_a_stranger_reads_of_no_model(backend: Backend) -> None:
    answer = backend.client.post(PATH, data=HOME, headers=BROWSER, environ_base={"REMOTE_ADDR": "203.0.113.9"})
    assert "BO1" not in answer.get_data(as_text=True)
