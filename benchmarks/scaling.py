"""Resources for 10, 1,000 and 100,000 requests a second: replicas, connections, log, S3 calls, dollars; bottlenecks.

python -m benchmarks.scaling prints the table of documentations/scaling.md from the measured costs

A pure function of measured costs (`benchmarks/results/capacity.json`) and of the limits that are written here. The
result is an extrapolation: no cluster of a hundred machines was measured.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
DEMANDS = (10, 1_000, 100_000)

UTILISATION = 0.6
"""Of a core, as the HorizontalPodAutoscaler keeps it: one replica of three can be gone."""

CORES_A_REPLICA = 2  # two workers
SPARE_REPLICAS = 1  # one is being replaced
MIN_REPLICAS = 3
POLL_SECONDS = 5.0
WORKERS_A_REPLICA = 2
MAX_CONNECTIONS = 800
"""What a PostgreSQL of 16 GB takes before the connections' own memory counts; RDS allows more, and gets slower."""

OTHER_CONNECTIONS = 60  # Airflow, MLflow, exporters
STORAGE_GIB = 65_536  # of one RDS instance
DATABASE_CORES = 16  # of the largest common single server (db.m7g.4xlarge)
RETENTION_DAYS = 90
PARTITION_DAYS = 30  # the log's partitions are months
DAY_SECONDS = 86_400
MONTH_HOURS = 730
GIB = 2**30

CORE_DOLLARS_HOUR = 0.0265  # m7g.large: 0.053 for two
DATABASE_CORE_DOLLARS_HOUR = 0.20  # RDS m7g, two zones
STORAGE_DOLLARS_GIB_MONTH = 0.262  # gp3, two zones
LIST_DOLLARS = 0.005 / 1_000
REPLICA_LIMIT = 500
"""Replicas that Nginx's upstream and a release's wait (each asked, one after the other) still stand."""


@dataclass(frozen=True)
class Costs:
    """The measured CPU seconds and bytes of a request, and the connections of a replica."""

    serving_seconds: float
    database_seconds: float
    log_bytes: float
    wal_bytes: float
    connections: float

    @classmethod
    def of(cls, measured: dict[str, Any]) -> Costs:
        """From one entry of `capacity.json`."""
        return cls(
            measured["serving_ms_a_request"] / 1000,
            measured["database_ms_a_request"] / 1000,
            measured["log_bytes_a_row"],
            measured["wal_bytes_a_row"],
            measured["connections_a_replica"],
        )


@dataclass(frozen=True)
class Needs:
    """The resources for a demand; dollars per month."""

    requests_a_second: float
    serving_cores: float
    replicas: int
    connections: int
    database_cores: float
    rows_a_day: float
    log_gib: float
    partition_gib: float
    wal_mib_a_second: float
    list_calls_a_second: float
    dollars: float


def needs(demand: float, costs: Costs) -> Needs:
    """Return the resources for `demand` requests per second. Raises ValueError unless it is positive."""
    if not 0 < demand < math.inf:
        raise ValueError(f"{demand!r} requests a second is not a demand")
    cores = demand * costs.serving_seconds / UTILISATION
    replicas = max(MIN_REPLICAS, math.ceil(cores / CORES_A_REPLICA) + SPARE_REPLICAS)
    database = demand * costs.database_seconds / UTILISATION
    rows = demand * DAY_SECONDS
    log_gib = rows * RETENTION_DAYS * costs.log_bytes / GIB
    calls = replicas * WORKERS_A_REPLICA / POLL_SECONDS
    dollars = MONTH_HOURS * (
        replicas * CORES_A_REPLICA * CORE_DOLLARS_HOUR
        + max(2, math.ceil(database)) * DATABASE_CORE_DOLLARS_HOUR
        + calls * 3600 * LIST_DOLLARS
    )
    return Needs(
        requests_a_second=demand,
        serving_cores=cores,
        replicas=replicas,
        connections=math.ceil(replicas * costs.connections) + OTHER_CONNECTIONS,
        database_cores=database,
        rows_a_day=rows,
        log_gib=log_gib,
        partition_gib=rows * PARTITION_DAYS * costs.log_bytes / GIB,
        wal_mib_a_second=demand * costs.wal_bytes / 2**20,
        list_calls_a_second=calls,
        dollars=dollars + log_gib * STORAGE_DOLLARS_GIB_MONTH,
    )


def breaks_at(costs: Costs) -> dict[str, float]:
    """Return the requests per second at which each part reaches its limit, lowest first."""
    per_core = UTILISATION / costs.serving_seconds
    found = {
        "connections of PostgreSQL": (MAX_CONNECTIONS - OTHER_CONNECTIONS)
        / costs.connections
        * CORES_A_REPLICA
        * per_core,
        "disk of PostgreSQL": STORAGE_GIB / needs(1, costs).log_gib,
        "processor of PostgreSQL": DATABASE_CORES * UTILISATION / costs.database_seconds,
        "replicas behind one router": REPLICA_LIMIT * CORES_A_REPLICA * per_core,
    }
    return dict(sorted(found.items(), key=lambda entry: entry[1]))


def table(rows: Iterable[Needs]) -> str:
    """Return the needs as a Markdown table."""
    columns = list(rows)
    lines = {
        "serving cores, at 60 %": lambda n: f"{n.serving_cores:,.2f}",
        "replicas (2 cores; 1 spare, at least 3)": lambda n: f"{n.replicas:,}",
        "connections to PostgreSQL": lambda n: f"{n.connections:,}",
        "cores of PostgreSQL, at 60 %": lambda n: f"{n.database_cores:,.2f}",
        "log rows a day": lambda n: f"{n.rows_a_day:,.0f}",
        "log, 90 days (GiB)": lambda n: f"{n.log_gib:,.0f}",
        "one month's partition (GiB)": lambda n: f"{n.partition_gib:,.0f}",
        "WAL (MiB/s)": lambda n: f"{n.wal_mib_a_second:,.2f}",
        "S3 LIST calls a second": lambda n: f"{n.list_calls_a_second:,.1f}",
        "dollars a month (serving, PostgreSQL, log, LIST)": lambda n: f"{n.dollars:,.0f}",
    }
    head = "| requests a second | " + " | ".join(f"{n.requests_a_second:,.0f}" for n in columns) + " |"
    body = [f"| {name} | " + " | ".join(map(show, columns)) + " |" for name, show in lines.items()]
    return "\n".join([head, "|---" * (len(columns) + 1) + "|", *body])


def main() -> int:
    """Print the table and the bottlenecks from the measurement of one replica, then the check against three."""
    one, three = json.loads((RESULTS / "capacity.json").read_text())["measured"]
    costs = Costs.of(one)
    print(table(needs(demand, costs) for demand in DEMANDS))
    print()
    for part, limit in breaks_at(costs).items():
        print(f"{part}: {limit:,.0f} requests a second")
    print()
    print("three replicas, predicted from one, and measured:")
    for name in ("serving_ms_a_request", "database_ms_a_request", "log_bytes_a_row", "connections_a_replica"):
        print(f"  {name}: {one[name]} -> {three[name]} ({three[name] / one[name] - 1:+.0%})")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
