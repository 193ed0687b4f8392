"""The site of a router: its address, the services behind it, the trusted networks and the limits."""

from __future__ import annotations

import hashlib
import hmac
import os
import pwd
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from homeprices.errors import SettingsError
from homeprices.keys.key_ring import KeyRing
from homeprices.settings import Settings

NO_ADDRESS = "127.0.0.1:1 down"  # an upstream must have a server; this one is never used
COOKIE_KEY_DIGITS = 32  # 128 bits
Resolve = Callable[[str, int], Sequence[str]]


@dataclass(frozen=True)
class RouterKey:
    """What Nginx knows of an API key: its id, the tags of its valid texts, and its quota."""

    id: str
    tags: tuple[str, ...]
    quota: str


@dataclass(frozen=True)
class RouterSite:
    """All inputs of the configuration other than the control record. Times in seconds, sizes in KiB."""

    listen: str
    production: tuple[str, ...]
    candidate: tuple[str, ...]
    trusted: tuple[str, ...]
    folder: Path
    cookie_key: str = field(default="0" * 32, repr=False)
    user: str | None = None
    api_keys: Literal["off", "optional", "required"] = "optional"
    keys: tuple[RouterKey, ...] = ()
    hosts: tuple[str, ...] = ()  # public names; local ones are always known
    workers: int = 2
    requests_per_second: int = 20
    requests_per_address: int = 32  # in flight, of an address outside of the trusted networks
    requests_in_flight: int = 512  # of all such addresses: 32 MiB of bodies
    batches_per_address: int = 2
    batches_in_flight: int = 8  # 32 MiB of bodies
    production_timeout: float = 10.0
    candidate_timeout: float = 2.0
    operations: tuple[str, ...] = (NO_ADDRESS,)  # the exporter, which serves the operations page
    operations_timeout: float = 20.0
    body_limit_kib: int = 64
    batch_limit_kib: int = 4096
    batch_timeout: float = 30.0
    body_deadline: float = 30.0  # for a whole body, after which the agent ends unfinished requests
    shutdown_seconds: int = 15
    upstream_keepalive_seconds: int = 20  # shorter than gunicorn's, so that the router closes first
    keepalive_min_timeout: bool = False  # Nginx 1.27.4 and later can keep idle connections through a reload


def site_of(
    settings: Settings,
    *,
    nginx_version: tuple[int, ...],
    keys: tuple[RouterKey, ...] = (),
    resolve: Resolve | None = None,
) -> RouterSite:
    """Return the site that the settings describe.

    Every call resolves the names of services, because Nginx would resolve them only once and a recreated container has
    a new address.
    """
    resolve = resolve or resolve_name
    return RouterSite(
        listen=address(settings.router_host, settings.router_port),
        production=_servers(settings.replica_urls("production"), resolve),
        candidate=_servers(settings.replica_urls("candidate"), resolve),
        operations=_servers([settings.exporter_url], resolve),
        trusted=tuple(settings.networks),
        folder=router_folder(settings),
        cookie_key=cookie_key(settings.visitor_key.get_secret_value()),
        user=worker_user(),
        api_keys=settings.api_keys,
        keys=keys,
        hosts=tuple(settings.hosts),
        requests_per_second=settings.router_requests_per_second,
        candidate_timeout=settings.candidate_timeout_seconds,
        keepalive_min_timeout=nginx_version >= (1, 27, 4),
    )


def router_keys(ring: KeyRing, now: datetime) -> tuple[RouterKey, ...]:
    """Return the keys of a ring that are valid now."""
    valid = ((key, key.valid_secrets(now)) for key in ring.keys)
    return tuple(RouterKey(key.id, tuple(one.tag for one in texts), key.quota) for key, texts in valid if texts)


def cookie_key(visitor_key: str) -> str:
    """Return the key that signs visitors' cookies: derived for this purpose only, and the same at every router."""
    return hmac.new(visitor_key.encode(), b"visitor cookie", hashlib.sha256).hexdigest()[:COOKIE_KEY_DIGITS]


def router_folder(settings: Settings) -> Path:
    """Return the folder of the router's state: configuration, pid file, access log, report."""
    return settings.state_dir.resolve() / "router"


def address(host: str, port: int) -> str:
    """Return host:port, with an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def worker_user(uid: int | None = None) -> str | None:
    """Return the user of Nginx's workers if `uid` (by default this process's) starts it; None for Nginx's default.

    Only root may choose a user. It chooses root, because other users cannot read files in root's home folder.
    """
    return pwd.getpwuid(0).pw_name if (os.geteuid() if uid is None else uid) == 0 else None


def resolve_name(host: str, port: int) -> list[str]:
    """Return every address of a host, sorted; none while the name is unknown."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return sorted({str(entry[4][0]) for entry in addresses})


def _servers(urls: Sequence[str], resolve: Resolve) -> tuple[str, ...]:
    servers: list[str] = []
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or parts.path:
            raise SettingsError(f"the router reaches services at http://host:port, not at {url!r}")
        port = parts.port or 80
        servers += [address(host, port) for host in resolve(parts.hostname, port)]
    return tuple(dict.fromkeys(servers)) or (NO_ADDRESS,)
