"""The operations page, its data and its stored pages, as an HTTP client gets them."""

from __future__ import annotations

import json
import re

import pytest
from flask.testing import FlaskClient

from homeprices.errors import DatabaseUnavailable
from monitoring.operations import web
from monitoring.operations.problems import TITLES
from tests.support.operations import DECISION, application, keys, quiet_parts, trial_parts

HERE = {"REMOTE_ADDR": "127.0.0.1"}
STRANGER = {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "203.0.113.9"}
LIMIT_BYTES = 60_000


def client(parts: dict[str, object] | None = None, **variables: str) -> FlaskClient:
    return application(parts or trial_parts(), **variables).test_client()  # type: ignore[arg-type]


def test_the_document_has_every_part_and_nothing_is_wrong() -> None:
    document = client(quiet_parts()).get("/api/status", environ_base=HERE).get_json()  # type: ignore[arg-type]
    assert (document["ok"], document["problems"]) == (True, [])
    assert set(document["parts"]) == set(TITLES)
    assert set(document["links"]) == {"Airflow", "MLflow", "Prometheus"}


def test_the_page_says_at_its_top_that_everything_works() -> None:
    text = client().get("/operations", environ_base=HERE).text
    assert '<h2 id="verdict">Everything works</h2>' in text
    assert "Experiment BO2-CO3" in text and "8 rated visitors are missing" in text
    assert f"/operations/decisions/{DECISION}/effect.svg" in text
    assert "BO1 → BO2" in text


def test_a_candidate_that_was_stopped_in_shadow_is_named_with_its_report() -> None:
    parts = trial_parts()
    sentence = "The candidate is stopped before any visitor: its median estimate for <b>Hebbal</b> is 40% higher."
    parts["releases"]["shadow"] = {"page": "manual__1", "at": "2026-03-02T12:00:00+00:00", "production": "BO2",
                                   "sentence": sentence, "stopped": True}  # fmt: skip
    text = client(parts).get("/operations", environ_base=HERE).text  # type: ignore[arg-type]
    assert '<a href="/operations/shadow/manual__1">' in text and "&lt;b&gt;Hebbal&lt;/b&gt; is 40% higher" in text


def test_a_look_without_a_chart_shows_none() -> None:
    parts = trial_parts()
    parts["experiment"]["look"]["chart"] = None
    text = client(parts).get("/operations", environ_base=HERE).text  # type: ignore[arg-type]
    assert "Experiment BO2-CO3" in text and "<img" not in text


@pytest.mark.parametrize("name", list(TITLES))
def test_a_part_that_cannot_be_read_says_so_in_its_place(name: str) -> None:
    parts: dict[str, object] = {**trial_parts(), name: DatabaseUnavailable("<b>PostgreSQL</b> does not answer")}
    answer = client(parts).get("/operations", environ_base=HERE)
    assert answer.status_code == 200
    assert f"{TITLES[name]} cannot be read: &lt;b&gt;PostgreSQL&lt;/b&gt; does not answer" in answer.text
    assert "Cannot be read: &lt;b&gt;PostgreSQL" in answer.text
    assert "1 thing is wrong" in answer.text


def test_the_page_stands_without_any_part() -> None:
    parts: dict[str, object] = {name: DatabaseUnavailable("away") for name in TITLES}
    answer = client(parts).get("/operations", environ_base=HERE)
    assert (answer.status_code, "1 thing is wrong" in answer.text) == (200, True)  # the reason is one
    assert answer.text.count("Cannot be read: away") == len(TITLES)


def test_foreign_text_is_escaped_everywhere() -> None:
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    parts = trial_parts()
    parts["release"]["reason"] = parts["release"]["changed_by"] = evil
    parts["release"]["hold"] = {"version": evil, "by": evil, "at": evil, "reason": evil}
    parts["decisions"]["last"][0] |= {"reason": evil, "actor": evil, "outcome": evil, "at": evil}
    parts["experiment"]["look"] |= {"reason": evil, "still": evil}
    run = parts["runs"]["dags"]["evaluate_ab_dag"]["runs"][0]
    run |= {"run": evil, "note": evil, "state": evil, "asked": {"action": evil, "reason": evil, "actor": evil}}
    parts["services"]["replicas"][0] |= {"name": evil, "problem": evil}
    text = client(parts).get("/operations", environ_base=HERE).text  # type: ignore[arg-type]
    assert "<script>alert" not in text and "<img src=x" not in text
    assert re.search(r'href="[^"]*javascript:', text) is None


def test_the_page_and_its_files_weigh_less_than_they_may() -> None:
    page = client()
    urls = (
        "/operations",
        "/operations/style.css",
        "/operations/page.js",
        f"/operations/decisions/{DECISION}/effect.svg",
    )
    sizes = {url: len(page.get(url, environ_base=HERE).data) for url in urls}
    assert sum(sizes.values()) < LIMIT_BYTES, sizes


def test_the_page_may_run_its_own_script_only_and_be_framed_by_nobody() -> None:
    headers = client().get("/operations", environ_base=HERE).headers
    assert headers["Content-Security-Policy"] == web.OWN_POLICY
    assert "'unsafe-inline'" not in web.OWN_POLICY
    assert headers["Cache-Control"] == "no-store"
    text = client().get("/operations", environ_base=HERE).text
    assert " style=" not in text and "<style" not in text and " onclick" not in text


@pytest.mark.parametrize("path", ["/operations", "/api/status", "/operations/decisions/41", "/operations/page.js"])
def test_strangers_see_nothing(path: str) -> None:
    page = client()
    answer = page.get(path, environ_base=STRANGER)
    assert (answer.status_code, answer.headers["WWW-Authenticate"][:6].lower()) == (401, "bearer")
    closed = client(HOMEPRICES_API_KEYS="off").get(path, environ_base=STRANGER)
    assert closed.status_code == 403
    assert "BO2" not in answer.text + closed.text


def test_a_page_under_a_foreign_name_is_refused() -> None:
    answer = client().get("/operations", environ_base=HERE, headers={"Host": "evil.example"})
    assert answer.status_code == 421


def test_a_key_with_the_scope_operate_opens_the_page_and_another_does_not() -> None:
    ring, operator, reader = keys()
    page = application(trial_parts(), ring).test_client()
    opened = page.get("/api/status", environ_base=STRANGER, headers={"Authorization": f"Bearer {operator.text}"})
    refused = page.get("/api/status", environ_base=STRANGER, headers={"Authorization": f"Bearer {reader.text}"})
    assert (opened.status_code, refused.status_code) == (200, 403)
    assert json.loads(refused.data)["error"] == f"API key {reader.key.id} does not have the scope operate"


def test_stored_pages_are_served_and_may_do_nothing() -> None:
    page = client()
    report = page.get(f"/operations/decisions/{DECISION}", environ_base=HERE)
    assert (report.status_code, report.content_type) == (200, "text/html; charset=utf-8")
    assert report.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert page.get("/operations/drift/2026-03-02T030000/production", environ_base=HERE).status_code == 200
    assert page.get("/operations/shadow/manual__2026-03-02", environ_base=HERE).status_code == 200
    picture = page.get(f"/operations/decisions/{DECISION}/effect.svg", environ_base=HERE)
    assert picture.content_type == "image/svg+xml; charset=utf-8"
    assert picture.text.startswith('<svg xmlns="http://www.w3.org/2000/svg" role="img"')


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/operations/decisions/7",
            "/operations/decisions/7/effect.svg",
            "/operations/drift/2026-03-02T030000/nobody",
        ),
        *("/operations/shadow/..", "/operations/shadow/newest", "/operations/shadow/a%2fb"),
        *("/operations/drift/..%2f..%2fcontrol/production", "/operations/validation/BO9", "/operations/nothing"),
    ],
)
def test_what_is_not_stored_is_not_found(path: str) -> None:
    assert client().get(path, environ_base=HERE).status_code == 404


def test_a_name_that_is_no_version_is_refused() -> None:
    assert client().get("/operations/validation/..%5C..", environ_base=HERE).status_code in (404, 422)
