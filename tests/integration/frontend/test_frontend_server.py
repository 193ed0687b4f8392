"""What the frontend's Nginx serves, passes on, and keeps to itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from homeprices.settings import load_settings
from inference.translations import catalogue
from router.frontend import STATIC, prepare, render_frontend
from tests.integration.router.conftest import PROGRAMS, free_port
from tests.support.browser import ROOT, frontend
from tests.support.stub_inference import PriceService, problem

FILES = [file.name for pattern in ("*.js", "style.css", "icon.svg") for file in sorted(STATIC.glob(pattern))]
"""What a visitor's browser loads in addition to the page."""

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
FORM = {"total_sqft": "1200", "location": "Whitefield", "bhk": "2", "bath": "2"}
ESTIMATE = "/api/predict_home_price"


def test_it_serves_the_form_and_its_own_files_only(address: str) -> None:
    page = httpx.get(address + "/", timeout=60)
    assert page.status_code == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    for file in FILES:
        assert httpx.get(f"{address}/{file}", timeout=60).status_code == 200
    for hidden in (
        "nginx.conf.template",
        "index.html.bak",
        "index.hi.html",
        "messages.json",
        "../backend/predict.py",
        "%2e%2e/backend/predict.py",
        ".env",
    ):
        assert httpx.get(f"{address}/{hidden}", timeout=60).status_code in (400, 404)


@pytest.mark.parametrize(
    ("query", "accepted", "language"),
    [
        ("", None, "en"),
        ("", "", "en"),
        ("", "hi-IN,hi;q=0.9,en-IN;q=0.8,en;q=0.7", "hi"),
        ("", "kn, en;q=0.5", "kn"),
        ("", "en-IN,en;q=0.9,hi;q=0.8", "en"),
        ("", "ta-IN, te;q=0.9,KN-in;q=0.8, en;q=0.5", "kn"),
        ("", "de,fr;q=0.8", "en"),
        ("", "hil,knn,eng", "en"),
        ("?lang=kn", "hi", "kn"),
        ("?lang=en", "hi", "en"),
        ("?lang=de", "hi", "hi"),
        ("?lang=../../etc", "hi", "hi"),
        ("?location=Hebbal&lang=hi", "en", "hi"),
    ],
)
def test_the_page_is_in_the_language_asked_for_or_the_first_of_the_browsers_that_it_has(
    address: str, query: str, accepted: str | None, language: str
) -> None:
    headers = {} if accepted is None else {"Accept-Language": accepted}
    page = httpx.get(f"{address}/{query}", headers=headers, timeout=60)
    assert (page.status_code, page.headers["Content-Language"]) == (200, language)
    assert f'<html lang="{language}">' in page.text
    assert page.headers["Vary"] == "Accept-Language"
    assert page.headers["Cache-Control"] == "no-cache"
    script = httpx.get(f"{address}/main.js", headers=headers, timeout=60).headers
    assert "Content-Language" not in script and "Vary" not in script


@pytest.mark.parametrize(("language", "most"), [("en", 21_500), ("hi", 24_000), ("kn", 24_000)])
def test_the_page_is_light_and_comes_in_one_language(address: str, language: str, most: int) -> None:
    """Bytes on the wire of all that a browser loads: on a slow mobile network, 25 KB take a second."""

    def weight(path: str) -> int:
        with httpx.stream("GET", f"{address}/{path}", headers={"Accept-Encoding": "gzip"}, timeout=60) as answer:
            answer.read()
        return answer.num_bytes_downloaded

    weights = {path: weight(path) for path in (f"?lang={language}", *FILES)}
    assert sum(weights.values()) <= most, weights


def test_every_script_is_asked_for_at_once(address: str) -> None:
    """A script that only another one names would cost a slow network one more round trip."""
    page = httpx.get(address, timeout=60).text
    preloaded = re.findall(r'<link rel="modulepreload" href="(.*)">', page)
    assert {*preloaded, "main.js"} == {file for file in FILES if file.endswith(".js")}


def test_nothing_of_another_host_may_run_and_nobody_may_frame_it(address: str) -> None:
    headers = httpx.get(address + "/", timeout=60).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "img-src", "connect-src", "form-action")} == {"'self'"}
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_the_page_names_no_other_host(address: str) -> None:
    for file in STATIC.glob("*.*"):
        if file.suffix in {".html", ".js", ".css"}:
            assert "//" not in file.read_text().replace("// ", "").replace("/* ---", ""), file.name


@pytest.mark.parametrize("path", ["/api/logs", "/api/metrics", "/metrics", "/api/drift_report", "/router/version"])
def test_operators_pages_are_not_on_this_door(address: str, service: PriceService, path: str) -> None:
    assert httpx.get(address + path, timeout=60).status_code == 404
    assert service.headers == []


def test_the_router_hears_whom_it_speaks_for_and_no_claims_of_his(address: str, service: PriceService) -> None:
    httpx.get(
        address + "/api/get_location_names",
        headers={"X-User-Id": "chosen", "X-Request-ID": "chosen-by-client", "Cookie": "visitor=" + "a" * 32},
        timeout=60,
    )
    seen = service.headers[-1]
    assert "X-User-Id" not in seen
    assert seen["X-Forwarded-For"] == "127.0.0.1"
    assert len(seen["X-Request-ID"]) == 32
    assert seen["Cookie"] == "visitor=" + "a" * 32


def test_a_router_that_is_away_is_a_problem_document(tmp_path: Path) -> None:
    with frontend(f"http://127.0.0.1:{free_port()}", tmp_path) as url:
        answer = httpx.post(url + ESTIMATE, json={}, timeout=60)
        page = httpx.post(url + ESTIMATE, data=FORM, headers=BROWSER, timeout=60)
    assert (answer.status_code, answer.headers["Content-Type"]) == (502, "application/problem+json")
    assert answer.json()["error"] == "The price service does not answer at the moment"
    assert answer.headers["Cache-Control"] == "no-store"
    assert shown(page, 502) == "No price could be estimated|No answer at the moment. Please try again."


def shown(answer: httpx.Response, status: int, language: str = "en") -> str:
    """Return the text of the heading and of the sentence below it; the test fails unless the answer is such a page."""
    told = (answer.status_code, answer.headers["Content-Type"], answer.headers["Content-Language"])
    assert told == (status, "text/html; charset=utf-8", language)
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert f'<html lang="{language}">' in answer.text and 'href="/style.css"' in answer.text
    assert "<!--" not in answer.text
    heading, sentence = re.findall(r"<h1>(.*)</h1>\s*<p>(.*)</p>", answer.text)[0]
    return f"{heading}|{sentence}"


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (429, "That was a lot at once. Please wait a moment and try again."),
        (502, "No answer at the moment. Please try again."),
        (503, "No answer at the moment. Please try again in 5 seconds."),
        (504, "No answer at the moment. Please try again."),
        (413, "The service did not accept this (status 413)."),
        (405, "The service did not accept this (status 405)."),
    ],
)
def test_a_refusal_of_the_router_is_a_page_for_a_form_that_no_script_sent(
    address: str, service: PriceService, status: int, sentence: str
) -> None:
    service.refusal = problem(status, "the router's own words")
    page = httpx.post(address + ESTIMATE, data=FORM, headers=BROWSER, timeout=60)
    assert shown(page, status) == f"No price could be estimated|{sentence}"
    assert page.headers.get("Retry-After") == ("5" if status in (429, 503) else None)
    in_hindi = httpx.post(f"{address}{ESTIMATE}?lang=hi", data=FORM, headers=BROWSER, timeout=60)
    assert shown(in_hindi, status, "hi").startswith(catalogue()["No price could be estimated"]["hi"] + "|")
    for headers in ({}, {"Accept": "application/json"}, {"Accept": "application/json, text/html;q=0.5"}):
        answer = httpx.post(address + ESTIMATE, data=FORM, headers=headers, timeout=60)
        assert (answer.status_code, answer.json()) == (status, service.refusal[1])
    scripted = httpx.post(address + ESTIMATE, json=FORM, headers=BROWSER, timeout=60)
    assert (scripted.status_code, scripted.json()) == (status, service.refusal[1])


def test_what_the_service_says_about_a_form_reaches_its_visitor(address: str, service: PriceService) -> None:
    service.refusal = problem(422, "invalid", fields={"bhk": "must be a whole number from 1 to 50"})
    answer = httpx.post(address + ESTIMATE, data=FORM, headers=BROWSER, timeout=60)
    assert (answer.status_code, answer.json()) == (422, service.refusal[1])


def test_what_the_forms_own_server_refuses_is_a_page_for_a_browser(address: str) -> None:
    def ask(method: str, path: str, **more: Any) -> httpx.Response:
        return httpx.request(method, address + path, timeout=60, **more)

    refused = "The service did not accept this (status {}).|".format
    assert shown(ask("GET", "/nothing", headers=BROWSER), 404) == "There is nothing at this address|"
    assert shown(ask("GET", "/problem.en.html", headers=BROWSER), 404) == "There is nothing at this address|"
    assert shown(ask("POST", "/?lang=kn", headers=BROWSER, data=FORM), 405, "kn")
    large = {"headers": BROWSER, "data": {**FORM, "society": "x" * 70_000}}
    assert "(status 413)" in shown(ask("POST", ESTIMATE, **large), 413)
    assert shown(ask("GET", "/" + "x" * 9000), 414) == refused(414)  # of which Nginx reads no header
    for path in ("/nothing", "/problem.en.html", "/-/problem", "/-/form/api/health"):
        answer = ask("GET", path)
        assert (answer.status_code, answer.json()["status"]) == (404, 404), path
    elsewhere = ask("GET", "/", headers={**BROWSER, "Host": "evil.example"})
    assert elsewhere.status_code == 421
    assert "<h1>The service did not accept this (status 421).</h1>" in elsewhere.text
    assert ask("GET", "/", headers={"Host": "evil.example"}).json()["error"].startswith("This server does not answer")
    assert ask("GET", "/-/problem", headers={"Host": "evil.example"}).status_code == 421


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_every_nginx_accepts_its_configuration(program: Path, tmp_path: Path) -> None:
    settings = load_settings({"HOMEPRICES_STATE_DIR": str(tmp_path), "HOMEPRICES_NGINX": str(program)}, ())
    nginx = prepare(settings)
    assert nginx.configuration.read_text() == render_frontend(settings, tmp_path / "frontend")
    assert nginx.foreground()[-2:] == ["-g", "daemon off;"]


def test_a_start_that_fails_says_why(tmp_path: Path) -> None:
    start = subprocess.run(
        [sys.executable, "-m", "router.frontend"],
        cwd=ROOT,
        env={**os.environ, "HOMEPRICES_STATE_DIR": str(tmp_path), "HOMEPRICES_NGINX": str(tmp_path / "absent")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert start.returncode == 1
    assert "is not a program" in start.stderr
