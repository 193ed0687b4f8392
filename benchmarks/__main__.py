"""Run all serving benchmarks and write RESULTS.md, results.json and the plot: `python -m benchmarks`."""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from benchmarks import environments, machine, measure, preparation, report
from benchmarks.load import Load
from benchmarks.measure import Measured
from benchmarks.servers import PEERS, Contender, forget, gunicorn, ours, peers, running
from homeprices.adapters.database import upgrade
from homeprices.keys import key_ring
from homeprices.registry import versions as release_versions
from homeprices.settings import load_settings
from tests.support.servers import Servers, open_s3

FOLDER = Path(__file__).parent
OWN_PACKAGES = ("flask", "gunicorn", "onnxruntime")
BATCH_REPEATS = 5
HEALTH_REQUESTS = 400


def main(arguments: list[str] | None = None) -> int:
    """Measure and write the results. Return 1 if a target was missed."""
    options = _parser().parse_args(arguments)
    home = options.home.resolve()
    given = Path(os.environ["DATASET"]) if os.environ.get("DATASET") else None
    rows = preparation.listings(home, given)
    bundles = {name: preparation.bundle(home, given, simple=name == "simple") for name in ("best", "simple")}
    models = preparation.prepare_peers(home, rows)
    busy = machine.busy_share()
    server_core, load_core = machine.cores()
    os.sched_setaffinity(0, {load_core})
    with tempfile.TemporaryDirectory() as temporary:
        bench = Bench(home, Path(temporary), server_core, bundles)
        try:
            servers, half = bench.compare(models, rounds=options.rounds, seconds=options.seconds)
            batches = bench.batches(options.rounds)
            health = bench.health()
        finally:
            bench.close()
    results = {
        "measured_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "revision": _revision(),
        "machine": machine.describe(),
        "busy_share": busy,
        "cores": [server_core, load_core],
        "rounds": options.rounds,
        "seconds": options.seconds,
        "connections": measure.CONNECTIONS,
        "half_per_second": half,
        "models": {name: _estimator(folder) for name, folder in bundles.items()},
        "servers": [asdict(one) for one in servers],
        "batches": [asdict(one) for one in batches],
        "health": health,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    page = report.markdown(results)
    (options.out / "RESULTS.md").write_text(page)
    report.plot(results, options.out / report.PLOT)
    print(page)
    return 1 if "**no**" in page else 0


class Bench:
    """Runs the contenders on one core, and the load, the database and the bucket on the other."""

    def __init__(self, home: Path, temporary: Path, core: int, bundles: dict[str, Path]) -> None:
        self._home, self._core, self._log = home, core, home / "contenders.log"
        self._servers = Servers(temporary)
        self._database = _variables(self._servers.postgres("benchmark"))
        upgrade(load_settings(self._database, ()))
        self._dsn = self._servers.postgres("classic").replace("+psycopg2", "")
        self._buckets = {name: self._bucket(name, folder) for name, folder in bundles.items()}

    def close(self) -> None:
        """Stop the servers."""
        self._servers.close()

    def compare(self, models: dict[str, Path], *, rounds: int, seconds: float) -> tuple[list[Measured], float]:
        """Measure each contender in each round; then the latency of ours and bare Flask at half of our load."""
        threads = load_settings({}, ()).threads
        contenders = [
            self._ours(report.OURS, "best"),
            self._ours(report.SIMPLE, "simple"),
            self._ours(report.FSYNC, "best", fsync=True),
            self._keyed(),
            gunicorn(
                Path(sys.executable), "bare:app", report.BARE, folder=PEERS, threads=threads, versions=_own_versions()
            ),
            *peers(
                self._home,
                models,
                self._dsn,
                threads,
                {peer: environments.versions(peer, self._home) for peer in models},
            ),
        ]
        found = {one.name: Measured(one.name, one.versions) for one in contenders}
        for number in range(rounds):
            for contender in contenders:
                self._measure(contender, found[contender.name], seconds, number + 1)
        half = measure.spread(found[report.OURS].per_second)[0] / 2
        for _ in range(rounds):
            for contender in contenders:
                if contender.name in (report.OURS, report.FSYNC, report.BARE):
                    with self._running(contender) as server:
                        Load(server.request(), measure.CONNECTIONS).closed(measure.WARM_SECONDS)
                        measure.latency(server, found[contender.name], seconds, half)
        return list(found.values()), half

    def batches(self, rounds: int) -> list[measure.BatchMeasured]:
        """Measure batches in each form."""
        with self._running(self._ours(report.OURS, "best")) as server:
            return measure.batches(server, max(2, min(rounds, BATCH_REPEATS)))

    def health(self) -> dict[str, float]:
        """Measure the latency of /api/health while bucket and database accept connections and never respond."""
        contender = self._ours("health", "best")
        with self._running(contender):
            pass  # so that the bundle is in its cache
        with _silence() as port:
            away = {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{port}", "POSTGRES_PORT": str(port)}
            cut_off = replace(contender, environ={**contender.environ, **away})
            with running(cut_off, self._core, self._log) as server:
                request = server.request("/api/health", b"")
                outcome = Load(request, 1).count(HEALTH_REQUESTS)
        return {
            "count": HEALTH_REQUESTS,
            "median_ms": 1000 * outcome.quantile(0.5),
            "p99_ms": 1000 * outcome.quantile(0.99),
        }

    def _measure(self, contender: Contender, found: Measured, seconds: float, number: int) -> None:
        with self._running(contender) as server:
            measure.throughput(server, found, seconds)
        print(f"round {number}: {contender.name} {found.per_second[-1]:,.0f} requests/s", file=sys.stderr)

    @contextmanager
    def _running(self, contender: Contender) -> Iterator[Any]:
        forget(contender)
        with running(contender, self._core, self._log) as server:
            if contender.state is not None:
                _wait_for_ids(server)
            yield server

    def _ours(self, name: str, model: str, *, fsync: bool = False) -> Contender:
        variables = {**self._database, **self._buckets[model]}
        made = ours(name, self._home, variables, fsync=fsync)
        return replace(made, versions=_own_versions())

    def _keyed(self) -> Contender:
        bucket = open_s3(self._buckets["best"])
        key = key_ring.create(bucket, ["predict"], "20/s", timedelta(days=1), "benchmark").text
        contender = self._ours(report.KEYED, "best")
        return replace(contender, headers={**contender.headers, "Authorization": f"Bearer {key}"})

    def _bucket(self, name: str, folder: Path) -> dict[str, str]:
        variables = self._servers.s3(f"bench-{name}")
        bucket = open_s3(variables)
        paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "draft.json"]
        for path in sorted(paths, key=lambda path: path.name == "manifest.json"):
            bucket.put(release_versions.folder("BO1") + path.relative_to(folder).as_posix(), path.read_bytes())
        return variables


def _wait_for_ids(server: Any) -> None:
    """Wait until predictions are logged: the service is measured with its log."""
    deadline = time.monotonic() + 30
    while json.loads(Load(server.request(), 1).count(1).last_body)["prediction_id"] is None:
        if time.monotonic() > deadline:
            raise RuntimeError("answers are not recorded")
        time.sleep(0.1)


@contextmanager
def _silence() -> Iterator[int]:
    """Return a port whose connections the kernel accepts and no program reads."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as server:
        yield server.getsockname()[1]


def _variables(url: str) -> dict[str, str]:
    parts = make_url(url)
    return {
        "POSTGRES_HOST": str(parts.host),
        "POSTGRES_PORT": str(parts.port),
        "POSTGRES_USER": str(parts.username),
        "POSTGRES_PASSWORD": str(parts.password),
        "POSTGRES_DB": str(parts.database),
    }


def _own_versions() -> dict[str, str]:
    return {name: version(name) for name in OWN_PACKAGES}


def _estimator(folder: Path) -> str:
    return str(json.loads((folder / "manifest.json").read_text())["estimator"])


def _revision() -> str:
    said = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False)
    return said.stdout.strip() or "unknown"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="how often each server is measured")
    parser.add_argument("--seconds", type=float, default=8.0, help="how long each time")
    parser.add_argument("--home", type=Path, default=Path(".bench"), help="environments, models and state")
    parser.add_argument("--out", type=Path, default=FOLDER, help="where the results go")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
