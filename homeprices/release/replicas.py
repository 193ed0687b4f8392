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
from homeprices.names import REGIONAL_KIND, Variant
from homeprices.registry.versions import kind_of
from homeprices.settings import Settings

POLL_SECONDS = 0.5
PROBE_TIMEOUT_SECONDS = 3.0

Resolve = Callable[[str, int], list[str]]


@dataclass(frozen=True)
class Replica:
    """One address of a serving instance and the version that it serves; None means no model, or a `problem`.

    `regional` are the regional versions that it serves; None while its workers differ.
    `database`: whether the instance reaches PostgreSQL (`up`, `down`). `spool_records`: those that it has not stored.
    """

    url: str
    address: str
    instance: str | None = None
    version: str | None = None
    problem: str | None = None
    regional: tuple[str, ...] | None = field(default=None, compare=False)
    database: str | None = field(default=None, compare=False)
    spool_records: int | None = field(default=None, compare=False)

    def __str__(self) -> str:
        served = ", ".join([*filter(None, [self.version]), *(self.regional or ())])
        state = self.problem or f"serves {served or 'no model'}"
        return f"{self.instance or self.url} at {self.address} {state}"


def wait_until_served(
    urls: Sequence[str],
    version: str | None,
    timeout_seconds: float,
    *,
    gone: bool = False,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    resolve: Resolve | None = None,
) -> list[Replica]:
    """Return when all workers of all replicas of `urls` serve `version`; None waits until no replica has a model.

    A regional version is served beside the general one. With `gone`, wait until no replica serves it. Raises NotReady
    after `timeout_seconds`. Its message names the other replicas and what they serve.
    """
    deadline = clock() + timeout_seconds
    while True:
        replicas = probe(urls, resolve=resolve)
        behind = [replica for replica in replicas if replica.problem or not _follows(replica, version, gone)]
        if not behind:
            return replicas
        if clock() >= deadline:
            wanted = f"do not serve {version or 'no model'}" if not gone else f"may still serve {version}"
            raise NotReady(
                f"after {timeout_seconds:g} s {len(behind)} of {len(replicas)} replicas {wanted}: "
                + "; ".join(map(str, behind))
            )
        sleep(POLL_SECONDS)


def _follows(replica: Replica, version: str | None, gone: bool) -> bool:
    if version is None or kind_of(version) != REGIONAL_KIND:
        return replica.version == version
    return replica.regional is not None and (version in replica.regional) is not gone


def wait_for_version(settings: Settings, variant: Variant, version: str, *, gone: bool = False) -> None:
    """Return when every replica of a variant serves `version`, or none with `gone` (of a regional version).

    Raises NotReady after the settings' replica timeout.
    """
    wait_until_served(settings.replica_urls(variant), version, settings.replica_timeout_seconds, gone=gone)


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
            regional=_versions(health.get("regional_versions")),
            database=health.get("database"),
            spool_records=health.get("spool_records"),
        )
    except httpx.HTTPError as error:
        return Replica(url, address, problem=f"does not answer: {str(error) or type(error).__name__}")
    except (ValueError, AttributeError):
        return Replica(url, address, problem="answers something that is not a health document")


def _versions(value: object) -> tuple[str, ...] | None:
    return tuple(map(str, value)) if isinstance(value, list) else None


def _addresses(host: str, port: int) -> list[str]:
    entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return sorted({str(entry[4][0]) for entry in entries})
