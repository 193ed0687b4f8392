"""The operations page through Nginx, at the router and at the form: who gets in, what is passed on, and without it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from homeprices.keys.key_ring import utc_now
from router.site_config import router_keys
from tests.integration.router.conftest import Router
from tests.support.browser import frontend
from tests.support.fake_airflow import Airflow, airflow_server
from tests.support.operations import DECISION, keys, operations, trial_parts

STRANGER = {"X-Forwarded-For": "203.0.113.9"}
RING, OPERATOR, READER = keys()
PATHS = ["/operations", "/api/status", "/operations/style.css", f"/operations/decisions/{DECISION}/effect.svg"]


@pytest.fixture
def airflow() -> Iterator[Airflow]:
    """A server that takes orders for runs."""
    with airflow_server() as server:
        yield server


@pytest.fixture
def page(router: Router, airflow: Airflow) -> Iterator[str]:
    """The address of a router in front of the operations page."""
    networks = "127.0.0.0/8,192.0.2.0/24"
    with operations(trial_parts(), RING, HOMEPRICES_AIRFLOW_URL=airflow.url, TRUSTED_NETWORKS=networks) as url:
        router.change(operations=(url.removeprefix("http://"),))
        yield f"http://{router.site.listen}"


@pytest.fixture
def form(page: str, tmp_path: Path) -> Iterator[str]:
    """The address of the form in front of that router."""
    with frontend(page, tmp_path / "form") as url:
        yield url


def order(address: str, **headers: str) -> httpx.Response:
    text = httpx.get(f"{address}/operations", timeout=60).text
    token = re.search(r'id="token" value="([^"]+)"', text)
    assert token is not None
    data = {"token": token[1], "action": "hold", "reason": "a holiday", "version": "CO3"}
    return httpx.post(f"{address}/operations/actions", data=data, headers=headers, timeout=60)


@pytest.mark.parametrize("path", PATHS)
def test_trusted_networks_get_it_at_both_doors(page: str, form: str, path: str) -> None:
    at_router, at_form = httpx.get(page + path, timeout=60), httpx.get(form + path, timeout=60)
    assert (at_router.status_code, at_form.status_code) == (200, 200)
    for header in ("Content-Security-Policy", "Referrer-Policy", "Cross-Origin-Opener-Policy"):
        assert at_form.headers.get_list(header) == at_router.headers.get_list(header)
        assert len(at_form.headers.get_list(header)) == 1, header


@pytest.mark.parametrize("path", PATHS)
def test_strangers_need_a_key_that_may_operate(page: str, router: Router, path: str) -> None:
    assert httpx.get(page + path, headers=STRANGER, timeout=60).status_code == 401
    router.change(keys=router_keys(RING, utc_now()))
    for key, status in ((OPERATOR, 200), (READER, 403)):
        headers = {**STRANGER, "Authorization": f"Bearer {key.text}"}
        assert httpx.get(page + path, headers=headers, timeout=60).status_code == status
    assert router.production.seen == []


def test_with_keys_off_strangers_are_forbidden(page: str, router: Router) -> None:
    router.change(api_keys="off")
    assert httpx.get(page + "/operations", headers=STRANGER, timeout=60).status_code == 403


def test_an_action_from_the_page_itself_is_carried_out_at_both_doors(page: str, form: str, airflow: Airflow) -> None:
    for address in (page, form):
        answer = order(address, Origin=address, **{"Sec-Fetch-Site": "same-origin"})
        assert (answer.status_code, answer.headers["Location"]) == (303, "/operations#runs")
    assert len(airflow.started) == 2


def test_another_origin_is_refused_at_both_doors(page: str, form: str, airflow: Airflow) -> None:
    for address in (page, form):
        assert order(address, Origin="http://evil.example").status_code == 403
        assert order(address, Origin="http://127.0.0.1:1").status_code == 403
    assert airflow.started == []


def test_a_stranger_is_not_this_machine(page: str, airflow: Airflow, router: Router) -> None:
    router.change(trusted=("127.0.0.0/8", "192.0.2.0/24"))
    assert order(page, **{"X-Forwarded-For": "192.0.2.7"}).status_code == 403
    assert airflow.started == []


def test_without_the_exporter_the_page_says_so(router: Router) -> None:
    answer = router.visitor().ask("GET", "/operations")
    assert answer.status == 503
    assert answer.headers["Content-Type"].startswith("text/html")
    assert b"The exporter, which serves this page, does not answer" in answer.body


def test_a_use_with_a_key_is_in_the_access_log(page: str, router: Router) -> None:
    httpx.get(page + "/operations/decisions/41", timeout=60)
    assert '"path":"/operations/decisions/41"' in router.log_with("/operations/decisions/41")
