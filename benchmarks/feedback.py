"""How long feedback right after an estimate takes, as a ratio to the estimate, and its processor time.

python -m benchmarks.feedback --workers 4 --pairs 300 --out benchmarks/results/feedback.json

Runs gunicorn, PostgreSQL and S3. Each request has a connection of its own, so any worker may take it: feedback reaches
another worker than its estimate did, as it does behind the router. Both are measured in turn, so that other load on the
machine affects both; an id that had to be waited for shows as a ratio of ten or more.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks import machine
from benchmarks.capacity import processor_seconds
from homeprices.adapters.database import upgrade
from homeprices.names import PREDICT_PATH
from homeprices.settings import load_settings
from tests.integration.inference.instance import Instance, eventually, publish
from tests.integration.predictions.conftest import database_variables
from tests.support.servers import open_s3, temporary_servers

HOME = {"total_sqft": 1200, "location": "Whitefield", "bhk": 2, "bath": 2}
UP = 'database_up{variant="production"}'


def main() -> int:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    busy = machine.busy_share()
    with temporary_servers() as (folder, servers):
        variables = {**database_variables(servers.postgres("feedback")), **servers.s3("feedback")}
        upgrade(load_settings(variables, ()))
        publish(open_s3(variables), folder / "made", "BO1")
        instance = Instance(folder / "state", {**variables, "WEB_CONCURRENCY": str(chosen.workers)})
        try:
            instance.start()
            eventually(lambda: instance.serves("BO1") and instance.metric(UP) == 1, "every worker serves")
            found = measure(instance, chosen.pairs)
        finally:
            instance.stop()
    report = {"machine": machine.describe(), "busy_share": busy, "workers": chosen.workers, **found}
    content = json.dumps(report, indent=1)
    print(content)
    if chosen.out:
        chosen.out.write_text(content + "\n")
    return 0


def measure(instance: Instance, pairs: int) -> dict[str, Any]:
    """Return the milliseconds and processor milliseconds of estimates and of feedback on them, by quantile."""
    assert instance.process is not None
    serving = [psutil.Process(instance.process.pid)]
    spent: dict[str, list[float]] = {"estimate": [], "feedback": []}
    seconds = {"estimate": 0.0, "feedback": 0.0}
    undetermined = 0

    def post(kind: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        before, started = processor_seconds(serving), time.perf_counter()
        answer = instance.post(path, body)
        spent[kind].append(1000 * (time.perf_counter() - started))
        seconds[kind] += processor_seconds(serving) - before
        return answer

    for _ in range(pairs):
        number = post("estimate", PREDICT_PATH, HOME)[1]["prediction_id"]
        status, _ = post("feedback", "/api/feedback", {"prediction_id": number, "feedback_type": "accurate"})
        undetermined += status == 202
    quantiles = {share: {kind: _quantile(values, share) for kind, values in spent.items()} for share in (0.5, 0.99)}
    return {
        "pairs": pairs,
        "undetermined": undetermined,
        "milliseconds": {f"p{round(100 * share)}": found for share, found in quantiles.items()},
        "feedback_to_estimate": {
            f"p{round(100 * share)}": round(found["feedback"] / found["estimate"], 2)
            for share, found in quantiles.items()
        },
        "processor_ms": {kind: round(1000 * value / pairs, 2) for kind, value in seconds.items()},
    }


def _quantile(values: list[float], share: float) -> float:
    return round(sorted(values)[min(len(values) - 1, int(share * len(values)))], 1)


if __name__ == "__main__":
    raise SystemExit(main())
