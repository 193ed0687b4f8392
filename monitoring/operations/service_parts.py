"""What the services say: replicas, router, Airflow, MLflow, the disk, and the last runs of each DAG."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import httpx

from homeprices.adapters.airflow_client import AirflowClient
from homeprices.adapters.certificates import certificates
from homeprices.errors import HomePricesError, NotFound, Unavailable
from homeprices.foreign_text import LONG, printable
from homeprices.names import VARIANTS, Variant
from homeprices.release import replicas
from homeprices.settings import Settings
from monitoring.exporter.service_collectors import DAGS, AirflowCollector, MlflowCollector
from monitoring.operations.parts import Data

RUNS_SHOWN = 5
TIMEOUT_SECONDS = 3.0


class ServiceParts:
    """Asks the services as their operator."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def services(self) -> Data:
        """Return what each replica and the router serve, and the free space where this process keeps its state.

        All are asked at once, so that one that hangs does not use up the time of the others.
        """
        folder = self._settings.state_dir.resolve()
        disk = shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists()))
        with ThreadPoolExecutor(len(VARIANTS) + 1) as pool:
            router, of_variants = pool.submit(self._router), pool.map(self._replicas, VARIANTS)
            return {
                "replicas": [replica for found in of_variants for replica in found],
                "router": router.result(),
                "revision": printable(self._settings.git_revision),
                "disk_free_bytes": disk.free,
                "disk_size_bytes": disk.total,
            }

    def pipeline(self) -> Data:
        """Return the health of Airflow's components, and whether MLflow answers."""
        settings = self._settings
        collectors = (AirflowCollector(settings.airflow_url), MlflowCollector(settings.mlflow_tracking_uri))
        with ThreadPoolExecutor(len(collectors)) as pool:
            return dict(zip((one.name for one in collectors), pool.map(_health, collectors), strict=True))

    def runs(self) -> Data:
        """Return the last runs of each DAG, what they published (their note), and whether the DAG is paused."""
        found: Data = {}
        with AirflowClient(self._settings) as airflow:
            for dag in DAGS:
                try:
                    runs, paused = airflow.runs(dag, RUNS_SHOWN), airflow.is_paused(dag)
                except NotFound:  # its file was not read yet
                    continue
                found[dag] = {"paused": paused, "runs": [_run(run) for run in runs]}
        return {"dags": found}

    def _replicas(self, variant: Variant) -> list[Data]:
        return [
            {
                "variant": variant,
                "name": printable(replica.instance or replica.url),
                "address": replica.address,
                "version": replica.version and printable(replica.version),
                "problem": replica.problem and printable(replica.problem, LONG),
                "database": replica.database and printable(str(replica.database)),
                "spool_records": replica.spool_records,
            }
            for replica in replicas.probe(self._settings.replica_urls(variant))
        ]

    def _router(self) -> Data:
        url = f"{self._settings.router_url.rstrip('/')}/router/version"
        try:
            answer = httpx.get(url, timeout=TIMEOUT_SECONDS, trust_env=False, verify=certificates())
            told = answer.raise_for_status().json()
            return {
                "share": float(told["share"]),
                "candidate": told.get("candidate") and printable(str(told["candidate"])),
                "revision": printable(str(told.get("revision"))),
            }
        except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
            return {"problem": printable(f"does not answer at {url}: {error or type(error).__name__}", LONG)}


def _health(collector: AirflowCollector | MlflowCollector) -> Data:
    try:
        return {sample.labels["component"]: bool(sample.value) for sample in collector.collect()}
    except Unavailable as error:
        return {"problem": printable(str(error), LONG)}


def _run(run: dict[str, Any]) -> Data:
    conf = run.get("conf")
    began, ended = run.get("start_date"), run.get("end_date")
    return {
        "run": printable(str(run.get("dag_run_id")), 200),
        "state": printable(str(run.get("state"))),
        "began_at": began,
        "seconds": None if not (began and ended) else round(_seconds(began, ended), 1),
        "note": printable(str(run.get("note") or ""), LONG),
        "asked": _asked(conf) if isinstance(conf, dict) else None,
    }


def _asked(conf: dict[str, Any]) -> Data | None:
    """Return the action of a person that a run of the evaluation carries out."""
    action = conf.get("order") or conf.get("action")
    if not action or action == "evaluate":
        return None
    told = {name: conf.get(name) for name in ("version", "share", "reason", "actor")}
    return {
        "action": printable(str(action)),
        **{name: printable(_plain(value), LONG) for name, value in told.items() if value is not None},
    }


def _plain(value: Any) -> str:
    """Return a parameter of a run as a person has typed it: 30 for 30.0."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _seconds(began: str, ended: str) -> float:
    try:
        return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()
    except (TypeError, ValueError) as error:
        raise HomePricesError(f"Airflow names a time that is none: {error}") from error
