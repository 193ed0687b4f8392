"""A service refuses requests for host names that are not its own, on every path."""

from __future__ import annotations

import pytest

from homeprices.errors import SettingsError
from homeprices.settings import load_settings
from tests.unit.inference.conftest import Backend, Start
from tests.unit.inference.test_errors import assert_problem

HOME = {"total_sqft": 1200, "location": "Whitefield", "bhk": 2, "bath": 2}


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:6001", "127.0.0.1.evil.example"])
def test_another_host_is_refused_with_421(backend: Backend, host: str) -> None:
    headers = {"Host": host}
    for path in ("/api/health", "/metrics", "/api/logs", "/api/nothing"):
        assert_problem(backend.client.get(path, headers=headers), 421)
    assert_problem(backend.client.post("/api/predict_home_price", json=HOME, headers=headers), 421)
    assert backend.log.predictions == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:6001", "[::1]:6001", "infer-prod:6001", "10.1.2.3", "x.svc"])
def test_a_host_of_this_stack_is_answered(backend: Backend, host: str) -> None:
    assert backend.client.post("/api/predict_home_price", json=HOME, headers={"Host": host}).status_code == 200


def test_the_setting_names_more_hosts(start: Start) -> None:
    backend = start(HOMEPRICES_HOSTS="homes.example.org, *.example.net")
    for host, status in (
        ("homes.example.org", 200),
        ("a.example.net", 200),
        ("example.net", 421),
        ("a.example.org", 421),
    ):
        assert backend.client.get("/api/health", headers={"Host": host}).status_code == status


@pytest.mark.parametrize("value", ["https://homes.example.org", "homes.example.org:443", "*", "a b", 'x";'])
def test_a_value_that_is_no_name_is_a_wrong_setting(value: str) -> None:
    with pytest.raises(SettingsError, match="HOMEPRICES_HOSTS"):
        load_settings({"HOMEPRICES_HOSTS": value}, ())
