"""The cost of a request: CPU seconds of serving and PostgreSQL, bytes of log, connections; the input of `scaling`.

python -m benchmarks.capacity --out benchmarks/results/capacity.json

Runs gunicorn, PostgreSQL and S3 with a bundle of the distilled model. Times are CPU seconds, because they hardly depend
on other load. 1 and 3 replicas are measured, so that documentations/scaling.md can compare prediction and measurement.
"""

from __future__ import annotations

import argparse
import http.client
import json
import platform
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import create_engine, text

from benchmarks.batch import ESTIMATOR, prepare
from homeprices.adapters.database import upgrade
from homeprices.names import PREDICT_PATH
from homeprices.settings import load_settings
from tests.integration.inference.instance import Instance, eventually, upload
from tests.integration.predictions.conftest import database_variables
from tests.support.servers import Servers, open_s3, temporary_servers

CONNECTIONS = 8
REFUSALS = 60
"""While the second worker still fetches its model, it answers 503."""

BODY = json.dumps({"total_sqft": 1200, "location": "Whitefield", "bhk": 2, "bath": 2}).encode()
HEADERS = {"Content-Type": "application/json"}


def ask(port: int, count: int) -> None:
    """Send `count` requests in sequence on one connection until each is answered with 200 (after a 503, again)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    refused = 0
    while count:
        connection.request("POST", PREDICT_PATH, BODY, HEADERS)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status == 200:
            count -= 1
            continue
        refused += 1
        if answer.status != 503 or refused > REFUSALS:
            raise SystemExit(f"answered {answer.status}: {body[:300]!r}")
        time.sleep(0.5)
    connection.close()


def processor_seconds(processes: list[psutil.Process]) -> float:
    """Return the user and system seconds of processes and of their living children."""
    seconds = 0.0
    for process in processes:
        for one in (process, *process.children(recursive=True)):
            try:
                spent = one.cpu_times()
            except psutil.NoSuchProcess:
                continue
            seconds += spent.user + spent.system
    return seconds


def measure(servers: Servers, folder: Path, bundle: Path, replicas: int, requests: int) -> dict[str, Any]:
    """Measure this many replicas with this many requests, until all records are in PostgreSQL."""
    url = servers.postgres(f"capacity_{replicas}")
    variables = {**database_variables(url), **servers.s3(f"capacity-{replicas}")}
    settings = load_settings(variables, ())
    upgrade(settings)
    upload(open_s3(variables), bundle, "BO1", {})
    engine = create_engine(url)
    more = {"HOMEPRICES_POLL_SECONDS": "5"}
    instances = [Instance(folder / f"{replicas}-{n}", {**variables, **more}) for n in range(replicas)]
    try:
        for instance in instances:
            instance.start()
            ask(instance.port, 200)
        serving = [psutil.Process(instance.process.pid) for instance in instances if instance.process]
        eventually(lambda: _rows(engine) == 200 * replicas, "the first estimates are in PostgreSQL")
        server = _postmaster(engine)
        before, database, log = processor_seconds(serving), processor_seconds([server]), _log(engine)
        threads = [
            threading.Thread(target=ask, args=(instances[n % replicas].port, requests // CONNECTIONS))
            for n in range(CONNECTIONS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sent = requests // CONNECTIONS * CONNECTIONS
        eventually(lambda: _rows(engine) == 200 * replicas + sent, "every estimate is in PostgreSQL", seconds=300)
        size, written, connections = (after - b for after, b in zip(_log(engine), (log[0], log[1], 0), strict=True))
        return {
            "replicas": replicas,
            "requests": sent,
            "serving_ms_a_request": round(1000 * (processor_seconds(serving) - before) / sent, 3),
            "database_ms_a_request": round(1000 * (processor_seconds([server]) - database) / sent, 3),
            "log_bytes_a_row": round(size / sent),
            "wal_bytes_a_row": round(written / sent),
            "connections_a_replica": round(connections / replicas, 1),
        }
    finally:
        for instance in instances:
            instance.kill_all()
        engine.dispose()


def _rows(engine: Any) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM prediction_logs")).scalar_one())


def _log(engine: Any) -> tuple[int, int, int]:
    """Return bytes of the log with indexes and partitions, bytes of WAL ever written, connections of the services."""
    query = """
        SELECT (SELECT coalesce(sum(pg_total_relation_size(relid)), 0) FROM pg_partition_tree('prediction_logs')),
               pg_current_wal_lsn() - '0/0'::pg_lsn,
               (SELECT count(*) FROM pg_stat_activity WHERE application_name = 'homeprices')
    """
    with engine.connect() as connection:
        size, written, connections = connection.execute(text(query)).one()
    return int(size), int(written), int(connections)


def _postmaster(engine: Any) -> psutil.Process:
    with engine.connect() as connection:
        backend = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    parent = psutil.Process(int(backend)).parent()
    assert parent is not None
    return parent


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=8_000)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    with temporary_servers() as (folder, servers):
        prepare(folder, [])
        bundle = folder / "models/price_check_BO1"
        measured = [measure(servers, folder, bundle, replicas, chosen.requests) for replicas in (1, 3)]
    report = {
        "machine": platform.machine(),
        "python": sys.version.split()[0],
        "estimator": ESTIMATOR,
        "measured": measured,
    }
    content = json.dumps(report, indent=1)
    print(content)
    if chosen.out:
        chosen.out.write_text(content + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
