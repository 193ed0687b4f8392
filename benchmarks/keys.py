"""What an API key costs: microseconds of its check from memory, and requests a second with and without one.

The check runs against a full ring (500 keys), as the service calls it. The requests go to one worker of the service on
one core, in turn with and without a key. A third run sends no key to a service that has keys switched off. Processor
time per request varies less than requests a second when other programs use the machine.

`make benchmark-keys` (ROUNDS=7 SECONDS_EACH=8)
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.load import Load
from benchmarks.measure import CONNECTIONS, WARM_SECONDS
from benchmarks.servers import Contender, Running, ours, running
from homeprices.adapters.database import upgrade
from homeprices.adapters.object_store import MemoryBucket
from homeprices.keys import key_ring
from homeprices.keys.key_check import KeyCheck
from homeprices.keys.key_ring import MOST_KEYS, KeyRing
from homeprices.keys.key_token import new_key
from homeprices.settings import load_settings
from inference.backend.runtime.access import Access
from inference.backend.runtime.request_context import open_callers
from tests.integration.inference.instance import publish
from tests.integration.predictions.conftest import database_variables
from tests.support.servers import Servers, open_s3

CALLS = 5_000
CHECK_ROUNDS = 15
ALLOWED_MICROSECONDS = 20.0
FROM_STRANGER = {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "203.0.113.9"}
KEYED, WITHOUT, OFF = "with a key", "without a key", "keys switched off"


def main(arguments: list[str] | None = None) -> int:
    """Measure, print and keep the figures; return 1 if a check takes longer than 20 µs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.keys", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="how often each case is measured")
    parser.add_argument("--seconds", type=float, default=8.0, help="how long each time")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    options = parser.parse_args(arguments)
    busy = machine.busy_share()
    checks = check_microseconds()
    rates, spent = requests(options.rounds, options.seconds)
    ratios = {name: [a / b for a, b in zip(spent[name], spent[OFF], strict=True)] for name in (KEYED, WITHOUT)}
    results: dict[str, Any] = {
        "machine": machine.describe(),
        "busy_share": busy,
        "keys": MOST_KEYS,
        "check_microseconds": checks,
        "requests_per_second": rates,
        "processor_microseconds": spent,
        "processor_time_ratio_to_keys_off": {name: statistics.median(values) for name, values in ratios.items()},
    }
    for name, figure in checks.items():
        print(f"{name:45s} {figure:8.2f} µs")
    for name, values in rates.items():
        print(
            f"{name:45s} {statistics.median(values):8,.0f} requests/s ({min(values):,.0f} to {max(values):,.0f}), "
            f"{statistics.median(spent[name]):,.0f} µs of processor time each"
        )
    for name, values in ratios.items():
        low, high = min(values), max(values)
        print(f"processor time {name} to keys switched off: {statistics.median(values):.3f} ({low:.3f} to {high:.3f})")
    print(f"the machine was {busy:.0%} busy with other work")
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")
    return 1 if max(checks.values()) > ALLOWED_MICROSECONDS else 0


def check_microseconds() -> dict[str, float]:
    """Return the processor time of a check, in microseconds: the median of the rounds, by case."""
    made = key_ring.create(MemoryBucket(), ["predict"], "20/s", timedelta(days=1), "benchmark")
    others = (made.key.model_copy(update={"id": f"{n:08}"}) for n in range(MOST_KEYS - 1))
    check = KeyCheck(KeyRing(keys=(made.key, *others)))
    right, wrong = f"Bearer {made.text}", f"Bearer {new_key(made.key.id)}"
    settings = load_settings({"HOMEPRICES_VISITOR_KEY": "a key for benchmarks"}, ())
    access, caller_of = Access("optional"), open_callers(settings, check)
    ignoring = open_callers(settings)
    with_key = {**FROM_STRANGER, "HTTP_AUTHORIZATION": right}
    return {
        "check of a valid key": _microseconds(lambda: check(right)),
        "check of a wrong key": _microseconds(lambda: check(wrong)),
        "check of 100 kB": _microseconds(lambda: check("x" * 100_000)),
        "caller and permission, with a key": _microseconds(lambda: access.permits(caller_of(with_key), "predict")),
        "caller and permission, without a key": _microseconds(
            lambda: access.permits(caller_of(FROM_STRANGER), "predict")
        ),
        "caller, keys switched off": _microseconds(lambda: ignoring(FROM_STRANGER)),
    }


def _microseconds(call: Callable[[], object]) -> float:
    spent = []
    for _ in range(CHECK_ROUNDS):
        started = time.thread_time()
        for _ in range(CALLS):
            call()
        spent.append((time.thread_time() - started) / CALLS * 1e6)
    return round(statistics.median(spent), 2)


def requests(rounds: int, seconds: float) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return the requests a second, and the microseconds of processor time of one, by case; the cases take turns."""
    server_core, load_core = machine.cores()
    os.sched_setaffinity(0, {load_core})
    rates: dict[str, list[float]] = {KEYED: [], WITHOUT: [], OFF: []}
    spent: dict[str, list[float]] = {KEYED: [], WITHOUT: [], OFF: []}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        home = Path(folder)
        servers = Servers(home)
        stack.callback(servers.close)
        variables = {**database_variables(servers.postgres("keys")), **servers.s3("bench-keys")}
        upgrade(load_settings(variables, ()))
        bucket = open_s3(variables)
        publish(bucket, home / "made", "BO1")
        key = key_ring.create(bucket, ["predict"], "20/s", timedelta(days=1), "benchmark").text
        plain = ours("keys", home, variables)
        keyed = replace(plain, headers={**plain.headers, "Authorization": f"Bearer {key}"})
        off = ours("off", home, {**variables, "HOMEPRICES_API_KEYS": "off"})
        on = stack.enter_context(running(plain, server_core, home / "on.log"))
        without = stack.enter_context(running(off, server_core, home / "off.log"))

        def measure(name: str, server: Running, contender: Contender) -> None:
            request = replace(server, contender=contender).request()
            Load(request, CONNECTIONS).closed(WARM_SECONDS)
            before = server.processor_seconds()
            outcome = Load(request, CONNECTIONS).closed(seconds)
            spent[name].append((server.processor_seconds() - before) / len(outcome.latencies) * 1e6)
            rates[name].append(outcome.per_second)

        for _ in range(rounds):
            measure(KEYED, on, keyed)
            measure(WITHOUT, on, plain)
            measure(OFF, without, off)
    return rates, spent


if __name__ == "__main__":
    raise SystemExit(main())
