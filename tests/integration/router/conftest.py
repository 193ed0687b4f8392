"""A router under real Nginx in front of tiny real services; each test runs once per Nginx on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from homeprices.adapters.object_store import MemoryBucket
from homeprices.release import control_record, experiment_record
from homeprices.release.experiment_record import ControlRecord
from router.agent import Agent
from router.circuit_breaker import Limits
from router.control_cache import BucketControl, ControlRecordCache
from router.nginx import Nginx, find_program
from router.router_metrics import RouterMetrics
from router.site_config import RouterSite, worker_user
from tests.integration.router.client import Visitor
from tests.integration.router.upstream import Upstream, listening
from tests.support.free_ports import free_ports
from tests.support.programs import NGINX, SYSTEM_NGINX

WHEEL_NGINX = find_program()
PROGRAMS = [WHEEL_NGINX, pytest.param(SYSTEM_NGINX, marks=NGINX.mark)]


def free_port() -> int:
    return free_ports(1)[0]


def eventually(reached: Callable[[], object], seconds: float = 120.0) -> None:
    """Wait until the condition holds, and fail at the timeout."""
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.01)


def running_record(share: float = 50.0, epoch: int = 1, salt: str = "5a17") -> ControlRecord:
    now = datetime(2026, 1, 5, tzinfo=UTC)
    return ControlRecord(
        state="running",
        experiment="BO1-CO1",
        production="BO1",
        candidate="CO1",
        salt=salt,
        share=share,
        epoch=epoch,
        epochs=(experiment_record.Epoch(epoch=epoch, share=share, since=now),),
        started_at=now,
    )


@dataclass
class Clock:
    """The machine's time plus an offset in seconds."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class Router:
    """One router and its services. The test runs the agent's steps."""

    nginx: Nginx
    site: RouterSite
    bucket: MemoryBucket
    production: Upstream
    candidate: Upstream
    limits: Limits = field(default_factory=Limits)
    visitors: list[Visitor] = field(default_factory=list)
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.metrics = RouterMetrics()
        self.control = ControlRecordCache(BucketControl(self.bucket), self.nginx.folder / "control.json", 3600)
        self.agent = Agent(self.nginx, self.control, lambda: self.site, self.metrics, self.limits, self.clock)

    def apply_record(self, record: ControlRecord | None = None) -> None:
        """Apply the record, or the one in the bucket."""
        if record is not None:
            self.bucket.put(control_record.KEY, record.model_dump_json().encode())
        self.control.poll()
        self._step()

    def change(self, *, outcome: str = "applied", **site: object) -> None:
        """Apply the same record at another site."""
        self.site = replace(self.site, **site)  # type: ignore[arg-type]
        self._step()
        assert self.agent.last is not None
        assert self.agent.last.outcome == outcome

    def _step(self) -> None:
        self.agent.step()
        for visitor in self.visitors:  # an old worker may respond once more on a kept connection
            visitor.close()

    def log_with(self, text: str) -> str:
        """Return the access log once it contains `text`: Nginx writes a line just after the response."""
        log = self.nginx.folder / "access.log"
        eventually(lambda: text in log.read_text())
        return log.read_text()

    def visitor(self, **headers: str) -> Visitor:
        self.visitors.append(Visitor(self.site.listen, headers=headers))
        return self.visitors[-1]

    def visitor_of(self, variant: str, **headers: str) -> Visitor:
        """Return a visitor with a cookie, assigned to that variant. A fallback does not count as production."""
        for _ in range(200):
            visitor = self.visitor().arrive()
            reply = visitor.predict(**headers)
            if reply.variant == variant and not reply.fallback:
                return visitor
        raise AssertionError(f"none of 200 visitors is assigned to {variant}")


@pytest.fixture(params=PROGRAMS, ids=lambda program: "debian" if program == SYSTEM_NGINX else "wheel")
def program(request: pytest.FixtureRequest) -> Path:
    """Each Nginx of this machine."""
    return Path(request.param)


@pytest.fixture
def router(program: Path, tmp_path: Path) -> Iterator[Router]:
    """A running router before two small services."""
    nginx = Nginx(program, tmp_path / "router")
    nginx.folder.mkdir()
    with listening("production") as production, listening("candidate") as candidate:
        site = RouterSite(
            listen=f"127.0.0.1:{free_port()}",
            production=(production.address,),
            candidate=(candidate.address,),
            trusted=("127.0.0.0/8",),
            folder=nginx.folder,
            user=worker_user(),
            candidate_timeout=0.5,
            shutdown_seconds=5,
            keepalive_min_timeout=nginx.version() >= (1, 27, 4),
        )
        built = Router(nginx, site, MemoryBucket(), production, candidate)
        try:
            built.apply_record(running_record())
            yield built
        finally:
            for visitor in built.visitors:
                visitor.close()
            built.agent.close()
            nginx.stop(timeout_seconds=0.2)


@pytest.fixture
def port() -> Callable[[], int]:
    """A function that returns a free port."""
    return free_port
