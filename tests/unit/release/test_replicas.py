"""Waiting for every replica, with real (small) HTTP servers."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from homeprices.errors import InvalidInput, NotReady
from homeprices.release.replicas import probe, wait_until_served
from tests.support.fake_servers import Answer, health_server, serves


class Stopwatch:
    """Seconds that pass only while somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that answers no connection."""
    with contextlib.closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def wait(ports: list[int], version: str | None, seconds: float = 2, gone: bool = False) -> list[str | None]:
    watch = Stopwatch()
    urls = [url(port) for port in ports]
    found = wait_until_served(urls, version, seconds, gone=gone, clock=watch, sleep=watch.sleep)
    return [replica.version for replica in found]


def test_all_replicas_that_serve_the_version_end_the_wait() -> None:
    with health_server(serves("BO2")) as one, health_server(serves("BO2")) as two:
        assert wait([one, two], "BO2") == ["BO2", "BO2"]


def test_the_wait_goes_on_until_the_last_replica_has_swapped() -> None:
    answers = iter(["BO1", None, "BO2"])
    with health_server(lambda: serves(next(answers))()) as slow, health_server(serves("BO2")) as quick:
        assert wait([slow, quick], "BO2") == ["BO2", "BO2"]


def test_a_replica_that_stays_behind_is_named_with_what_it_serves() -> None:
    with (
        health_server(serves("BO2", "infer-prod-1")) as one,
        health_server(serves("BO1", "infer-prod-2")) as two,
        pytest.raises(
            NotReady, match=r"after 2 s 1 of 2 replicas do not serve BO2: infer-prod-2 at 127.0.0.1 serves BO1$"
        ),
    ):
        wait([one, two], "BO2")


def test_a_replica_without_a_model_is_named() -> None:
    with health_server(serves(None)) as port, pytest.raises(NotReady, match=r"infer-prod at 127.0.0.1 serves no model"):
        wait([port], "BO2")


def test_a_regional_version_is_waited_for_beside_the_general_one() -> None:
    def regional(*versions: str) -> list[str]:
        return list(versions)

    answers = iter([None, regional(), regional("RO1", "RO2")])  # None: its workers differ, or it knows no regions
    with health_server(lambda: serves("BO1", regional_versions=next(answers))()) as port:
        assert wait([port], "RO2") == ["BO1"]
    answers = iter([None, regional("RO1", "RO2"), regional("RO1")])
    with health_server(lambda: serves("BO1", regional_versions=next(answers))()) as port:
        assert wait([port], "RO2", gone=True) == ["BO1"]
    with (
        health_server(serves("BO1", regional_versions=["RO1"])) as port,
        pytest.raises(NotReady, match=r"1 of 1 replicas may still serve RO1: .* serves BO1, RO1$"),
    ):
        wait([port], "RO1", gone=True)


def test_an_idle_candidate_is_waited_for_as_well() -> None:
    with health_server(serves(None)) as port:
        assert wait([port], None) == [None]
    with health_server(serves("CO1")) as port, pytest.raises(NotReady, match="do not serve no model"):
        wait([port], None)


def test_a_replica_that_does_not_answer_is_named(closed_port: int) -> None:
    with pytest.raises(NotReady, match=rf"http://127.0.0.1:{closed_port} at 127.0.0.1 does not answer"):
        wait([closed_port], "BO2")


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (lambda: (500, b""), "does not answer: Server error '500"),
        (lambda: (200, b"<html>"), "answers something that is not a health document"),
        (lambda: (200, b"[]"), "answers something that is not a health document"),
    ],
)
def test_what_is_no_health_document_is_no_version(answer: Answer, problem: str) -> None:
    with health_server(answer) as port:
        [replica] = probe([url(port)])
    assert replica.version is None
    assert problem in str(replica)


def test_every_address_of_a_name_is_asked() -> None:
    """0.0.0.0 is this machine by another address, so it stands for a second replica."""
    answers = iter(["BO2", "BO1"])
    with health_server(lambda: serves(next(answers))()) as port:
        replicas = probe([f"http://infer-prod:{port}"], resolve=lambda *_: ["0.0.0.0", "127.0.0.1"])
    assert [(replica.address, replica.version) for replica in replicas] == [("0.0.0.0", "BO2"), ("127.0.0.1", "BO1")]


def test_localhost_in_both_ip_versions_is_one_replica() -> None:
    with health_server(serves("BO2")) as port:
        replicas = probe([f"http://localhost:{port}"], resolve=lambda *_: ["::1", "127.0.0.1"])
    assert [(replica.address, replica.version) for replica in replicas] == [("127.0.0.1", "BO2")]


def test_a_name_that_stands_for_nothing_is_named() -> None:
    def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    [replica] = probe(["http://infer-prod:6001"], resolve=unknown)
    assert str(replica) == "http://infer-prod:6001 at infer-prod cannot be found: Name or service not known"


def test_a_path_and_a_name_are_kept_while_the_address_is_chosen() -> None:
    with health_server(serves("BO2")) as port:
        assert probe([f"http://localhost:{port}/"])[0].version == "BO2"
        assert probe([f"http://localhost:{port}/elsewhere"])[0].problem is not None


def test_no_instance_at_all_is_no_success() -> None:
    with pytest.raises(InvalidInput, match="no serving instance"):
        wait_until_served([], "BO2", 1)
