"""Actions of a person through the page: who may act, from where, once; and what becomes of the form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from homeprices.errors import InvalidInput, Unavailable
from homeprices.names import EVALUATION_DAG
from monitoring.operations import access
from monitoring.operations.access import Tokens, is_loopback, refuse_other_sites
from monitoring.operations.actions import Order, order_of
from tests.support.fake_airflow import Airflow, airflow_server
from tests.support.operations import application, keys, trial_parts

HERE = {"REMOTE_ADDR": "127.0.0.1"}
CONTAINER = {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "172.30.65.129"}
NETWORKS = {"TRUSTED_NETWORKS": "127.0.0.0/8,172.30.65.128/25"}
SAME_SITE = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
FORM = {"action": "hold", "reason": "a  holiday", "version": "CO3", "share": ""}
RING, OPERATOR, READER = keys()


@contextmanager
def page(**variables: str) -> Iterator[tuple[FlaskClient, Airflow]]:
    with airflow_server() as airflow:
        settings: dict[str, Any] = {**NETWORKS, "HOMEPRICES_AIRFLOW_URL": airflow.url, **variables}
        yield application(trial_parts(), RING, **settings).test_client(), airflow


def token_of(client: FlaskClient, caller: dict[str, str] = HERE) -> str:
    found = re.search(r'name="token" id="token" value="([^"]+)"', client.get("/operations", environ_base=caller).text)
    assert found is not None
    return found[1]


def post(client: FlaskClient, caller: dict[str, str] = HERE, **more: Any) -> TestResponse:
    headers = more.pop("headers", SAME_SITE)
    form = {"token": token_of(client, caller), **FORM, **more}
    return client.post("/operations/actions", data=form, headers=headers, environ_base=caller)


def test_an_action_from_this_machine_starts_a_run_of_the_evaluation() -> None:
    with page() as (client, airflow):
        answer = post(client)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/operations#runs")
        assert airflow.started == [
            (EVALUATION_DAG, {"action": "hold", "reason": "a holiday", "version": "CO3",
                              "actor": "this machine, operations page"})
        ]  # fmt: skip


@pytest.mark.parametrize("of", ["CO4", "shadow"])
def test_an_action_may_be_about_another_candidate_or_about_shadow(of: str) -> None:
    assert order_of({**FORM, "of": of}).version == of
    with pytest.raises(InvalidInput, match="is not a version name"):
        order_of({**FORM, "of": "bake"})


def test_a_trusted_network_alone_may_look_and_not_act() -> None:
    with page() as (client, airflow):
        assert 'name="key"' in client.get("/operations", environ_base=CONTAINER).text
        assert post(client, CONTAINER).status_code == 403
        assert post(client, CONTAINER, key=READER.text).status_code == 403
        assert post(client, CONTAINER, key="hp_nothing").status_code == 403
        assert airflow.started == []
        assert post(client, CONTAINER, key=OPERATOR.text).status_code == 303
        assert airflow.started[0][1]["actor"] == f"key {OPERATOR.key.id}, operations page"


def test_a_program_acts_with_its_key_in_the_header() -> None:
    stranger = {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "203.0.113.9"}
    with page() as (client, airflow):
        headers = {"Authorization": f"Bearer {OPERATOR.text}"}
        assert client.post("/operations/actions", data=FORM, environ_base=stranger).status_code == 401
        form = {**FORM, "token": token_of(client)}
        answer = client.post("/operations/actions", data=form, headers=headers, environ_base=stranger)
        assert (answer.status_code, len(airflow.started)) == (303, 1)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000", "X-Forwarded-Host": "localhost:6500"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_a_page_of_another_site_can_make_a_browser_do_nothing(headers: dict[str, str]) -> None:
    with page() as (client, airflow):
        assert post(client, headers=headers).status_code == 403
        assert airflow.started == []


def test_the_origin_is_compared_with_the_host_that_the_browser_asked() -> None:
    refuse_other_sites({"Origin": "http://localhost:6500", "Host": "localhost", "X-Forwarded-Host": "localhost:6500"})
    refuse_other_sites({"Origin": "https://Homes.example", "X-Forwarded-Host": "homes.example"})


@pytest.mark.parametrize("token", ["", "1.0123456789abcdef." + "0" * 32, "x"])
def test_a_form_without_the_pages_token_is_refused(token: str) -> None:
    with page() as (client, airflow):
        assert post(client, token=token).status_code == 403
        assert airflow.started == []


def test_a_form_that_is_sent_twice_acts_once() -> None:
    with page() as (client, airflow):
        token = token_of(client)
        assert [post(client, token=token).status_code for _ in range(2)] == [303, 403]
        assert len(airflow.started) == 1


def test_a_token_is_good_for_an_hour_and_of_one_process() -> None:
    now = [1000.0]
    tokens = Tokens(lambda: now[0])
    old, fresh = tokens.issue(), tokens.issue()
    now[0] += access.TOKEN_SECONDS
    tokens.redeem(fresh)
    now[0] += 1
    with pytest.raises(Exception, match="older than an hour"):
        tokens.redeem(old)
    with pytest.raises(Exception, match="not of this page"):
        Tokens(lambda: now[0]).redeem(tokens.issue())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"action": "evaluate"}, "action: must be one of hold, resume"),
        ({"action": ""}, "action: must be one of"),
        ({"reason": " \n"}, "reason: is required"),
        ({"reason": "x" * 501}, "reason: has 501 characters"),
        ({"version": "../BO1"}, "version: "),
        ({"action": "share", "share": "51"}, "share: must be a number from 0 to 50"),
        ({"action": "share", "share": "nan"}, "share: must be"),
        ({"action": "share"}, "share: must be"),
    ],
)
def test_an_order_that_is_none_is_refused_before_anything_starts(change: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        order_of({**FORM, **change})
    with page() as (client, airflow):
        answer = post(client, **change)
        assert (answer.status_code, airflow.started) == (422, [])


def test_an_order_names_only_what_its_action_needs() -> None:
    assert order_of({**FORM, "action": "share", "share": "12.5"}) == Order("share", "a holiday", None, 12.5)
    assert order_of({**FORM, "action": "resume", "share": "7"}) == Order("resume", "a holiday")
    assert order_of({**FORM, "action": "resume", "reason": "\x1b[31m"}).reason == "\\x1b[31m"
    assert order_of({**FORM, "action": "promote"}).conf("key ops") == {
        "action": "promote", "reason": "a holiday", "version": "CO3", "actor": "key ops, operations page",
    }  # fmt: skip


def test_without_airflow_the_page_names_the_command() -> None:
    with page(HOMEPRICES_AIRFLOW_URL="http://127.0.0.1:1") as (client, _):
        answer = post(client)
        assert answer.status_code == Unavailable.status
        assert "homeprices release" in answer.text


def test_a_form_is_bounded() -> None:
    with page() as (client, airflow):
        assert post(client, reason="x" * 20_000).status_code == 413
        assert airflow.started == []


@pytest.mark.parametrize(
    ("peer", "forwarded", "is_here"),
    [("127.0.0.1", "", True), ("::1", "", True), ("127.0.0.1", "127.0.0.1, 127.0.0.2", True),
     ("127.0.0.1", "10.0.0.1", False), ("10.0.0.1", "127.0.0.1", False), ("", "", False),
     ("127.0.0.1", "127.0.0.1,nonsense", False)],
)  # fmt: skip
def test_this_machine_is_every_hop(peer: str, forwarded: str, is_here: bool) -> None:
    assert is_loopback({"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": forwarded}) is is_here


def test_where_keys_are_off_only_this_machine_acts() -> None:
    with page(HOMEPRICES_API_KEYS="off") as (client, airflow):
        assert "Actions are open to this machine only" in client.get("/operations", environ_base=CONTAINER).text
        form = {**FORM, "token": token_of(client), "key": OPERATOR.text}
        answer = client.post("/operations/actions", data=form, headers=SAME_SITE, environ_base=CONTAINER)
        assert (answer.status_code, airflow.started) == (403, [])
        assert post(client).status_code == 303
