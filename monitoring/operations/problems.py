"""What is wrong, from the parts of the status: pure. An operator reads this first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from homeprices.names import BATCH_DAG, DRIFT_DAG, EVALUATION_DAG, PLACE_PRICES_DAG, TRAINING_DAG
from monitoring.operations.parts import UNAVAILABLE, Data

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

TITLES = {
    "release": "The release",
    "services": "The services",
    "experiment": "The experiment",
    "decisions": "The decisions",
    "drift": "Drift",
    "drift_alerts": "The drift alerts",
    "pipeline": "Airflow and MLflow",
    "runs": "The runs",
    "releases": "The release history",
    "log": "The prediction log",
}
LATE = {"evaluation": timedelta(hours=2), "drift": timedelta(hours=26), "training": timedelta(days=8)}
"""Each runs hourly, daily, weekly; a success older than this is late."""

MEANS = {
    EVALUATION_DAG: "the experiment is neither decided nor rolled back",
    DRIFT_DAG: "drift is not checked",
    TRAINING_DAG: "no candidate is trained",
    BATCH_DAG: "no batch is scored",
    PLACE_PRICES_DAG: "place prices stay those of the last day",
}
SPOOL_RECORDS = 1_000
LEAST_FREE = 0.1
ROUTER_SECONDS = 60.0
"""A router applies a change within seconds."""


def problems(parts: Mapping[str, Data], now: datetime) -> list[Data]:
    """Return what is wrong, the worst first: `severity`, the `part` where it shows, and a sentence."""
    found = [{"severity": severity, "part": part, "text": text} for severity, part, text in _all(parts, now)]
    return sorted(found, key=lambda problem: SEVERITIES.index(problem["severity"]))


Problem = tuple[Severity, str, str]


def _all(parts: Mapping[str, Data], now: datetime) -> Iterator[Problem]:
    reasons: dict[str, list[str]] = {}
    for name, part in parts.items():
        if UNAVAILABLE in part:
            reasons.setdefault(str(part[UNAVAILABLE]), []).append(name)
    for reason, names in reasons.items():  # one dead database is one problem
        titles = ", ".join([TITLES[names[0]], *(TITLES[name][0].lower() + TITLES[name][1:] for name in names[1:])])
        yield "error", names[0], f"{titles} cannot be read: {reason}"
    readable = {name: {} if UNAVAILABLE in part else part for name, part in parts.items()}
    yield from _release(readable.get("release", {}), now)
    yield from _services(readable.get("services", {}), readable.get("release", {}), now)
    yield from _pipeline(readable.get("pipeline", {}))
    yield from _experiment(readable.get("experiment", {}), readable.get("release", {}))
    yield from _runs(readable.get("runs", {}))
    yield from _drift(readable.get("drift_alerts", {}))


def _release(release: Data, now: datetime) -> Iterator[Problem]:
    if not release:
        return
    if release["production"] is None:
        yield "error", "release", "Nothing is in production; the first training publishes BO1"
    if release["state"] == "stopped":
        yield (
            "error",
            "release",
            f"{release['candidate'] or 'The candidate'} gets no visitors: stopped by {release['changed_by']} "
            f"({release['reason']})",
        )
    if held := release["hold"]:
        yield "note", "release", f"{held['version']} is held by {held['by']}: {held['reason']}"
    for process, success in release["last_success"].items():
        if success and now - datetime.fromisoformat(success["at"]) > LATE[process]:
            hours = (now - datetime.fromisoformat(success["at"])) / timedelta(hours=1)
            severity: Severity = "error" if process == "evaluation" else "warning"
            yield severity, "runs", f"The last {process} that succeeded ended {hours:,.0f} hours ago"


def _services(services: Data, release: Data, now: datetime) -> Iterator[Problem]:
    for replica in services.get("replicas", ()):
        name, wanted = replica["name"], release.get(replica["variant"])
        if replica["problem"]:
            needed = replica["variant"] == "production" or release.get("state") == "running"
            yield "error" if needed else "warning", "services", f"{name} {replica['problem']}"
            continue
        if release and replica["version"] != wanted:
            serves = replica["version"] or "no model"
            yield "warning", "services", f"{name} serves {serves}, and {wanted or 'nothing'} is {replica['variant']}"
        if replica["database"] == "down":
            records = replica["spool_records"] or 0
            yield "error", "services", f"{name} does not reach PostgreSQL; {records:,} records wait in its spool"
        elif (replica["spool_records"] or 0) > SPOOL_RECORDS:
            yield "warning", "services", f"{replica['spool_records']:,} records wait in the spool of {name}"
    router = services.get("router", {})
    if router.get("problem"):
        yield "error", "services", f"The router {router['problem']}"
    elif router and release.get("state") == "running" and router["share"] != release["share"]:
        changed = release["changed_at"]
        if changed is None or (now - datetime.fromisoformat(changed)).total_seconds() > ROUTER_SECONDS:
            yield (
                "error",
                "services",
                f"The router gives the candidate {router['share']:g} %, and the control record {release['share']:g} %",
            )
    if services and services["disk_free_bytes"] < LEAST_FREE * services["disk_size_bytes"]:
        free = services["disk_free_bytes"] / 2**30
        yield "warning", "services", f"The disk has {free:.1f} GiB left"


def _pipeline(pipeline: Data) -> Iterator[Problem]:
    if problem := pipeline.get("mlflow", {}).get("problem"):
        yield "warning", "pipeline", str(problem)
    airflow = pipeline.get("airflow", {})
    if problem := airflow.get("problem"):
        yield "error", "pipeline", str(problem)
        return
    sick = ", ".join(name.replace("_", " ") for name, healthy in airflow.items() if not healthy)
    if sick:
        yield "error", "pipeline", f"Airflow is not healthy: {sick}"


def _experiment(experiment: Data, release: Data) -> Iterator[Problem]:
    look = experiment.get("look")
    if not look or (release and release["experiment"] != look["experiment"]):
        return
    if look["outcome"] == "invalid":
        yield "error", "experiment", f"{look['experiment']} is invalid: {look['reason']}"
    if problem := look.get("problem"):
        yield "warning", "experiment", str(problem)


def _runs(runs: Data) -> Iterator[Problem]:
    for dag, entry in runs.get("dags", {}).items():
        if entry["paused"]:
            yield "warning", "runs", f"{dag} is paused: {MEANS[dag]} until somebody unpauses it in Airflow"
        ended = [run for run in entry["runs"] if run["state"] in ("success", "failed")]
        if ended and ended[0]["state"] == "failed":
            note = f": {ended[0]['note']}" if ended[0]["note"] else ""
            yield "error", "runs", f"The last run of {dag} has failed{note}"


def _drift(alerts: Data) -> Iterator[Problem]:
    for variant, entry in alerts.items():
        alert: Any = entry["alert"]
        if alert and alert["ongoing"]:
            yield (
                "warning",
                "drift",
                f"{variant.capitalize()} drifts in {', '.join(alert['features'])}: {alert['sentence']}",
            )
