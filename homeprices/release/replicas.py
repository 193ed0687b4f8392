"""Probes the replicas of a variant, and waits until all of them serve a version.

A host name can stand for several replicas (a Compose or Kubernetes service), so every address that it resolves to is
probed.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx

from homeprices.adapters.certificates import certificates
from homeprices.errors import InvalidInput, NotReady
from homeprices.names import Variant
from homeprices.settings import Settings

POLL_SECONDS = 0.5
PROBE_TIMEOUT_SECONDS = 3.0

Resolve = Callable[[str, int], list[str]]


@dataclass(frozen=True)
class Replica:
    """One address of a serving instance and the version that it serves; None means no model, or a `problem`.

    `database`: whether the instance reaches PostgreSQL (`up`, `down`). `spool_records`: those that it has not stored.
    """

    url: str
    address: str
    instance: str | None = None
    version: str | None = None
    problem: str | None = None
    database: str | None = field(default=None, compare=False)
    spool_records: int | None = field(default=None, compare=False)

    def __str__(self) -> str:
        state = self.problem or (f"serves {self.version}" if self.version else "serves no model")
        return f"{self.instance or self.url} at {self.address} {state}"


def wait_until_served(
    urls: Sequence[str],
    version: str | None,
    timeout_seconds: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    resolve: Resolve | None = None,
) -> list[Replica]:
    """Return when all workers of all replicas of `urls` serve `version`; None waits until no replica has a model.

    Raises NotReady after `timeout_seconds`. Its message names the other replicas and what they serve.
    """
    deadline = clock() + timeout_seconds
    while True:
        replicas = probe(urls, resolve=resolve)
        behind = [replica for replica in replicas if replica.problem or replica.version != version]
        if not behind:
            return replicas
        if clock() >= deadline:
            wanted = version or "no model"
            raise NotReady(
                f"after {timeout_seconds:g} s {len(behind)} of {len(replicas)} replicas do not serve {wanted}: "
                + "; ".join(map(str, behind))
            )
        sleep(POLL_SECONDS)


def wait_for_version(settings: Settings, variant: Variant, version: str) -> None:
    """Return when every replica of a variant serves `version`. Raises NotReady after the settings' replica timeout."""
    wait_until_served(settings.replica_urls(variant), version, settings.replica_timeout_seconds)


def probe(urls: Sequence[str], *, resolve: Resolve | None = None) -> list[Replica]:
    """Return what every replica of `urls` serves. A replica that does not answer has a `problem`."""
    if not urls:
        raise InvalidInput({"urls": "no serving instance is configured"})
    with httpx.Client(timeout=PROBE_TIMEOUT_SECONDS, trust_env=False, verify=certificates()) as client:
        return [replica for url in urls for replica in _probe_url(client, url, resolve or _addresses)]


def _probe_url(client: httpx.Client, url: str, resolve: Resolve) -> list[Replica]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        addresses = resolve(host, port)
    except OSError as error:
        return [Replica(url, host or "?", problem=f"cannot be found: {error.strerror or error}")]
    replicas = [_probe_address(client, url, host, address) for address in addresses]
    if all(ip_address(address).is_loopback for address in addresses):
        # localhost has an address in each IP version, and a server may listen on one only: they are one replica.
        return [next((replica for replica in replicas if not replica.problem), replicas[0])]
    return replicas


def _probe_address(client: httpx.Client, url: str, host: str, address: str) -> Replica:
    target = httpx.URL(url).copy_with(host=address, path=urlsplit(url).path.rstrip("/") + "/api/health")
    try:
        # Connect to the address, but keep the host name for the server and its certificate.
        answer = client.get(target, headers={"Host": urlsplit(url).netloc}, extensions={"sni_hostname": host})
        answer.raise_for_status()
        health = answer.json()
        return Replica(
            url,
            address,
            health.get("instance"),
            health.get("model_version"),
            database=health.get("database"),
            spool_records=health.get("spool_records"),
        )
    except httpx.HTTPError as error:
        return Replica(url, address, problem=f"does not answer: {str(error) or type(error).__name__}")
    except (ValueError, AttributeError):
        return Replica(url, address, problem="answers something that is not a health document")


def _addresses(host: str, port: int) -> list[str]:
    entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return sorted({str(entry[4][0]) for entry in entries})
