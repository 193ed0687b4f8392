"""Router, both services, their bucket and database, as in the stack, and visitors that check every response."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from homeprices.adapters.object_store import S3Bucket
from router.agent import Agent
from router.control_cache import BucketControl, ControlRecordCache
from router.nginx import Nginx, find_program
from router.router_metrics import RouterMetrics
from router.site_config import RouterSite, worker_user
from tests.integration.inference.instance import Instance, eventually, publish
from tests.integration.router.client import Visitor
from tests.support.bundles import price
from tests.support.free_ports import free_ports

AREA_SQFT, LOCATION, ROOMS = 1200.0, "Whitefield", 2
"""The home that `tests.integration.router.client` sends."""


def factor_of(version: str) -> float:
    """Return the factor of a version on prices: candidate n becomes production n + 1."""
    number = int(version[2:])
    return 1 + (number if version.startswith("CO") else number - 1) / 10


@dataclass
class ServingStack:
    """`apply_record` makes the router apply the control record of the bucket."""

    bucket: S3Bucket
    listen: str
    production: Instance
    candidate: Instance
    agent: Agent
    control: ControlRecordCache
    made: Path

    def apply_record(self) -> None:
        self.control.poll()
        self.agent.step()
        assert self.agent.last is not None
        assert self.agent.last.outcome in ("applied", "unchanged")

    def publish(self, version: str) -> None:
        """Put a version into the bucket, with prices by `factor_of`."""
        publish(self.bucket, self.made, version, factor=factor_of(version))


@contextmanager
def serving_stack(
    make: Callable[..., Instance], s3: S3Bucket, folder: Path, **variables: str
) -> Iterator[ServingStack]:
    """Run a stack whose production serves BO1, without an experiment."""
    publish(s3, folder / "made", "BO1", factor=factor_of("BO1"))
    production = make("prod", HOMEPRICES_INSTANCE="infer-prod", MODEL_PREFIX="best_model", **variables)
    candidate = make("cand", HOMEPRICES_INSTANCE="infer-cand", MODEL_PREFIX="candidate_model", **variables)
    for instance in (production, candidate):
        instance.start()
    eventually(lambda: production.serves("BO1"), "BO1 served")
    nginx = Nginx(find_program(), folder / "router")
    nginx.folder.mkdir()
    site = RouterSite(
        listen=f"127.0.0.1:{free_ports(1)[0]}",
        production=(f"127.0.0.1:{production.port}",),
        candidate=(f"127.0.0.1:{candidate.port}",),
        trusted=("127.0.0.0/8",),
        folder=nginx.folder,
        user=worker_user(),
        api_keys="off" if variables.get("HOMEPRICES_API_KEYS") == "off" else "optional",
        candidate_timeout=10.0,
        keepalive_min_timeout=nginx.version() >= (1, 27, 4),
    )
    control = ControlRecordCache(BucketControl(s3), nginx.folder / "control.json", 3600)
    agent = Agent(nginx, control, lambda: site, RouterMetrics())
    built = ServingStack(s3, site.listen, production, candidate, agent, control, folder / "made")
    try:
        built.apply_record()
        yield built
    finally:
        agent.close()
        nginx.stop(1)


@dataclass
class Crowd:
    """The responses to the visitors of a stack. `seconds`: the duration of each."""

    statuses: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    versions: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    retried: int = 0


@contextmanager
def crowd(address: str, count: int, pause_seconds: float = 0.0) -> Iterator[Crowd]:
    """Run visitors until the block ends. A response with the price of another version is `wrong`."""
    visits, done = Crowd(), threading.Event()
    visitors = [Visitor(address) for _ in range(count)]

    def work(visitor: Visitor) -> None:
        try:
            while not done.wait(pause_seconds):
                _ask(visitor, visits)
        except BaseException as error:  # a request without a response
            visits.wrong.append(repr(error))
        finally:
            visitor.close()

    threads = [threading.Thread(target=work, args=(visitor,)) for visitor in visitors]
    for thread in threads:
        thread.start()
    try:
        yield visits
    finally:
        done.set()
        for thread in threads:
            thread.join(30)
        visits.retried = sum(visitor.retried for visitor in visitors)


def _ask(visitor: Visitor, visits: Crowd) -> None:
    started = time.monotonic()
    reply = visitor.predict()
    visits.seconds.append(time.monotonic() - started)
    visits.statuses.append(reply.status)
    if reply.status != 200:
        return
    answer = reply.json()
    version = answer["model_version"]
    visits.versions.add(version)
    expected = price(AREA_SQFT, LOCATION, ROOMS, factor_of(version))
    if (
        abs(answer["estimated_price"] - expected) > 0.01 + expected * 1e-4
        or reply.headers["X-Model-Version"] != version
    ):
        visits.wrong.append(f"{answer} instead of {expected}")
