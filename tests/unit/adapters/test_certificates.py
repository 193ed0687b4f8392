"""A process reads the certificates once, for all of its HTTP clients."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from homeprices.adapters.airflow_client import AirflowClient
from homeprices.adapters.certificates import certificates
from homeprices.adapters.mlflow_client import MlflowClient
from homeprices.errors import HomePricesError
from homeprices.release.replicas import probe
from homeprices.settings import load_settings
from monitoring.exporter.service_collectors import AirflowCollector, MlflowCollector


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port without a listener."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_clients_and_probes_share_the_certificates_of_a_process(
    monkeypatch: pytest.MonkeyPatch, closed_port: int
) -> None:
    read: list[dict[str, Any]] = []
    make = ssl.create_default_context

    def counted(*arguments: Any, **options: Any) -> ssl.SSLContext:
        read.append(options)
        return make(*arguments, **options)

    monkeypatch.setattr(ssl, "create_default_context", counted)
    certificates.cache_clear()
    url = f"http://127.0.0.1:{closed_port}"
    settings = load_settings({"MLFLOW_TRACKING_URI": url, "HOMEPRICES_AIRFLOW_URL": url}, ())
    for _ in range(2):
        AirflowClient(settings).close()
        MlflowClient(settings)
        assert [replica.problem is None for replica in probe([url])] == [False]
        for collector in (AirflowCollector(url), MlflowCollector(url)):
            with pytest.raises(HomePricesError):
                collector.collect()
    assert len(read) == 1


def test_servers_are_checked_by_certificate_and_name() -> None:
    context = certificates()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.get_ca_certs()
