"""The router's site, from the settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from homeprices.errors import SettingsError
from homeprices.settings import load_settings
from router.site_config import NO_ADDRESS, RouterSite, address, resolve_name, router_folder, site_of, worker_user


def site(**environment: str) -> RouterSite:
    def resolve(host: str, _port: int) -> Sequence[str]:
        return {"infer-prod": ["10.0.0.1", "10.0.0.2"], "here": ["::1"]}.get(host, [])

    return site_of(load_settings(environment, ()), nginx_version=(1, 22, 1), resolve=resolve)


def test_every_address_of_a_name_is_a_server() -> None:
    found = site(HOMEPRICES_PRODUCTION_URLS="http://infer-prod:6001,http://here")
    assert found.production == ("10.0.0.1:6001", "10.0.0.2:6001", "[::1]:80")


def test_an_unknown_name_leaves_an_upstream_that_is_down() -> None:
    assert site(HOMEPRICES_CANDIDATE_URLS="http://infer-cand:6002").candidate == (NO_ADDRESS,)


@pytest.mark.parametrize("url", ["https://infer-prod:6001", "infer-prod:6001", "http://infer-prod:6001/api"])
def test_an_address_that_nginx_cannot_use_is_rejected(url: str) -> None:
    with pytest.raises(SettingsError, match="http://host:port"):
        site(HOMEPRICES_PRODUCTION_URLS=url)


def test_the_settings_reach_the_site(tmp_path: Path) -> None:
    found = site(
        HOMEPRICES_ROUTER_HOST="0.0.0.0",
        HOMEPRICES_ROUTER_PORT="7100",
        HOMEPRICES_STATE_DIR=str(tmp_path),
        HOMEPRICES_ROUTER_REQUESTS_PER_SECOND="7",
        HOMEPRICES_CANDIDATE_TIMEOUT_SECONDS="1.5",
        TRUSTED_NETWORKS="10.0.0.0/8, 192.168.0.0/16",
    )
    assert found.listen == "0.0.0.0:7100"
    assert found.folder == tmp_path.resolve() / "router"
    assert (found.requests_per_second, found.candidate_timeout) == (7, 1.5)
    assert found.trusted == ("10.0.0.0/8", "192.168.0.0/16")
    assert not found.keepalive_min_timeout


@pytest.mark.parametrize(("version", "can"), [((1, 22, 1), False), ((1, 27, 4), True), ((1, 31, 3), True)])
def test_newer_nginx_holds_kept_connections(version: tuple[int, ...], can: bool) -> None:
    assert site_of(load_settings({}, ()), nginx_version=version).keepalive_min_timeout is can


def test_an_ipv6_host_is_written_in_brackets() -> None:
    assert address("::1", 80) == "[::1]:80"


def test_names_are_resolved_by_the_system() -> None:
    assert resolve_name("127.0.0.1", 80) == ["127.0.0.1"]
    assert resolve_name("no-such-host.invalid", 80) == []


@pytest.mark.parametrize(("uid", "user"), [(0, "root"), (1000, None)])
def test_only_root_names_the_workers_user(uid: int, user: str | None) -> None:
    assert worker_user(uid) == user


def test_the_state_is_in_a_folder_of_its_own() -> None:
    assert router_folder(load_settings({"HOMEPRICES_STATE_DIR": "/s"}, ())) == Path("/s/router")
