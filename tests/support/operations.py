"""The operations page before parts that a test chooses, on a real server; and parts of a stack with an experiment."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from flask import Flask

from homeprices.adapters.object_store import Bucket, MemoryBucket
from homeprices.keys import key_ring
from homeprices.keys.key_check import KeyCheck
from homeprices.keys.key_ring import KeyRing, NewKey
from homeprices.reporting import html
from homeprices.reporting.charts import Line, TimeChart
from homeprices.resources import Resources
from homeprices.settings import load_settings
from monitoring.operations.access import AccessControl, Tokens
from monitoring.operations.parts import Data, Parts, Source
from monitoring.operations.server import serving
from monitoring.operations.status import Status, links
from monitoring.operations.web import create_app

DECISION = 41


def _minutes_ago(minutes: float) -> str:
    return (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat()


def quiet_parts() -> dict[str, Data]:
    """Return the parts of a healthy stack without an experiment."""
    replica = {"address": "127.0.0.1", "problem": None, "database": "up", "spool_records": 0}
    run = {"run": "scheduled__2026-03-02T11:00:00+00:00", "state": "success", "began_at": _minutes_ago(20),
           "seconds": 21.0, "note": "continue: no experiment is running", "asked": None}  # fmt: skip
    dags = ("bangalore_home_prices_pipeline", "evaluate_ab_dag", "drift_monitoring_dag", "batch_scoring_dag")
    bundle = {"trained_at": _minutes_ago(9000), "published_by": "training", "estimator": "boosting",
              "median_error": 0.161, "dataset": 1, "git_revision": "0123abcd"}  # fmt: skip
    return {
        "release": {
            "production": "BO2", "candidate": None, "state": "idle", "phase": None, "phases": {"bake": "BO2"},
            "experiment": None,
            "share": 0.0, "epoch": 3,
            "started_at": None, "changed_at": _minutes_ago(300), "changed_by": "evaluation",
            "reason": "the composite is better", "hold": None, "shadow_hold": None,
            "waiting": [],
            "last_success": {"evaluation": {"at": _minutes_ago(20), "outcome": "continue"},
                             "drift": {"at": _minutes_ago(500), "outcome": ""}, "training": None},
        },
        "services": {
            "replicas": [{**replica, "variant": "production", "name": "infer-prod", "version": "BO2"},
                         {**replica, "variant": "candidate", "name": "infer-cand", "version": None}],
            "router": {"share": 0.0, "candidate": None, "revision": "4a5b6c7d8e9f"},
            "revision": "0123abcd4567", "disk_free_bytes": 50 * 2**30, "disk_size_bytes": 100 * 2**30,
        },
        "experiment": {"look": None},
        "decisions": {"last": [], "published": {}},
        "drift": {"production": {"at": _minutes_ago(20), "bundle": "BO2", "homes": 1622, "detected": False,
                                 "sentence": "No drift was found."}, "candidate": None},
        "drift_alerts": {"production": {"alert": None, "report": "2026-03-02T030000"},
                         "candidate": {"alert": None, "report": None}},
        "pipeline": {"airflow": {"metadatabase": True, "scheduler": True, "triggerer": True, "dag_processor": True},
                     "mlflow": {}},
        "runs": {"dags": {dag: {"paused": False, "runs": [dict(run)]} for dag in dags}},
        "releases": {"production": [{"version": "BO2", "promoted_from": "CO1", **bundle},
                                    {"version": "BO1", "promoted_from": None, **bundle}],
                     "number": 2, "rolled_back": ["CO2"]},
        "log": {"hours": 24, "newest_prediction_at": _minutes_ago(1), "variants": {
            "production": {"requests": 12345, "fallbacks": 2, "visitors": 2100, "p95_milliseconds": 9.4,
                           "mean_rating": 3.91, "feedback": {"rating": 140}}}},
    }  # fmt: skip


def trial_parts() -> dict[str, Data]:
    """Return the parts of a healthy stack whose experiment runs."""
    parts = quiet_parts()
    parts["release"] |= {
        "candidate": "CO3",
        "state": "running",
        "phase": "trial",
        "phases": {"waiting": "CO4", "trial": "CO3", "bake": "BO2"},
        "experiment": "BO2-CO3",
        "share": 20.0,
    }
    parts["release"] |= {"started_at": _minutes_ago(3000), "reason": "CO3 is tried on 20 % of the visitors"}
    parts["services"]["replicas"][1]["version"] = "CO3"
    parts["services"]["router"] |= {"share": 20.0, "candidate": "CO3"}
    variant = {"requests": 9000, "visitors": 1500, "errors": 0, "mean_latency_ms": 5.2, "ratings": 120,
               "mean_rating": 3.9, "rated_visitors": 110, "prices": 12}  # fmt: skip
    parts["experiment"]["look"] = {
        "chart": "effect",
        "decision": DECISION, "at": _minutes_ago(20), "experiment": "BO2-CO3", "outcome": "continue",
        "reason": "the difference is between -0.011 and 0.034 of the composite", "policy": "sequential", "looks": 50,
        "started_at": _minutes_ago(3000), "day": 2.1, "ended": None, "left_out": {"bots": 3}, "drift": None,
        "still": "at most 11.9 days; 8 rated visitors are missing in the smaller variant",
        "variants": {"production": {"bundle": "BO2", **variant}, "candidate": {"bundle": "CO3", **variant}},
    }  # fmt: skip
    parts["decisions"] = {
        "last": [{"decision": number, "at": _minutes_ago(20 + 60 * (DECISION - number)), "experiment": "BO2-CO3",
                  "candidate": "CO3", "outcome": "continue", "actor": "evaluation", "result_version": None,
                  "has_page": True,
                  "reason": "the difference is between -0.011 and 0.034 of the composite"}
                 for number in range(DECISION, DECISION - 10, -1)],
        "published": {"BO2": {"decision": 30, "at": _minutes_ago(9000), "has_page": True}},
    }  # fmt: skip
    return parts


def broken_parts() -> dict[str, Data]:
    """Return the parts of a stack without PostgreSQL, with a failed run, a paused DAG, a hold and a drift."""
    parts = trial_parts()
    away = {"unavailable": "the database homeprices at 127.0.0.1:5432 does not answer: connection refused"}
    parts |= {"decisions": away, "drift": away, "log": away}
    parts["services"]["replicas"][0] |= {"database": "down", "spool_records": 4123}
    parts["runs"]["dags"]["evaluate_ab_dag"]["paused"] = True
    run = parts["runs"]["dags"]["bangalore_home_prices_pipeline"]["runs"][0]
    run |= {"state": "failed", "note": "build_bundle failed: the bucket does not answer"}
    alert = {"began_at": _minutes_ago(500), "features": ["total_sqft"], "sentence": "Homes are larger."}
    parts["drift_alerts"]["production"]["alert"] = {"ongoing": True, **alert}
    parts["release"]["hold"] = {"version": "CO3", "by": "person:ann", "at": _minutes_ago(90), "reason": "a holiday"}
    return parts


def keys() -> tuple[KeyRing, NewKey, NewKey]:
    """Return a ring with two keys: one may operate, the other only predict."""
    bucket, life = MemoryBucket(), timedelta(days=1)
    operator = key_ring.create(bucket, ["operate"], "10/s", life, "test")
    reader = key_ring.create(bucket, ["predict"], "10/s", life, "test")
    return key_ring.read(bucket), operator, reader


def stored_bucket() -> MemoryBucket:
    """Return a bucket with reports of a decision, a drift and a shadow comparison."""
    bucket = MemoryBucket()
    bucket.put(f"reports/decisions/{DECISION}.html", _report())
    bucket.put("reports/drift/2026-03-02T030000/production.html", html.page("Drift of production").encode())
    bucket.put("reports/shadow/manual__2026-03-02.html", html.page("The candidate in shadow of BO2").encode())
    return bucket


@cache
def _report() -> bytes:
    effect = Line("candidate minus production", [(h, 0.01 - h / 9000) for h in range(1, 51)],
                  [(-0.3 / h, 0.3 / h) for h in range(1, 51)])  # fmt: skip
    chart = TimeChart("Effect on the primary metric", "", [effect], [("promote above", 0.0)])
    page = html.page("BO2-CO3: continue", html.table([("outcome", "continue")]))
    return page.replace("</body>", chart.html() + "</body>").encode()


def application(
    parts: Mapping[str, Data], ring: KeyRing | None = None, bucket: Bucket | None = None, **variables: str
) -> Flask:
    """Return the application before these parts; a change of them shows at once."""
    settings = load_settings({"HOMEPRICES_PROMETHEUS_PUBLIC_URL": "http://127.0.0.1:9090", **variables}, ())
    check = None if settings.api_keys == "off" else KeyCheck(ring)

    def source(name: str) -> Source:
        def read() -> dict[str, Any]:
            part = parts[name]
            if isinstance(part, Exception):
                raise part
            return copy.deepcopy(part)

        return Source(name, read, keep_seconds=-1.0)

    status = Status(Parts([source(name) for name in parts]), links(settings))
    return create_app(Resources(settings, bucket or stored_bucket()), status, AccessControl(settings, check), Tokens())


@contextmanager
def operations(
    parts: Mapping[str, Data], ring: KeyRing | None = None, bucket: Bucket | None = None, **variables: str
) -> Iterator[str]:
    """Yield the address of a real server of the page before these parts."""
    with serving(application(parts, ring, bucket, **variables), "127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}"
