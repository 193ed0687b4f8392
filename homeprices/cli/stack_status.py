"""`homeprices status`: the operations page, short, in a terminal; from the same data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from homeprices.cli.command_group import Refusal, example
from homeprices.errors import Unavailable
from homeprices.foreign_text import printable, printable_lines

if TYPE_CHECKING:
    from homeprices.settings import Settings

STATUS_PATH = "/api/status"
TIMEOUT_SECONDS = 15.0
NOTE_LENGTH = 200
RUNS_SHOWN = 1


@click.command(epilog=example("homeprices status"))
@click.option("--json", "as_json", is_flag=True, help="Print the data of the operations page.")
def status(as_json: bool) -> None:
    """Show what is wrong and what runs; exit code 1 if something is wrong."""
    from homeprices.settings import load_settings

    try:
        document = fetch(load_settings())
    except Unavailable as error:
        raise Refusal(f"status: {error}") from error
    click.echo(json.dumps(document, indent=2) if as_json else text_of(document))
    if not document["ok"]:
        raise SystemExit(1)


def fetch(settings: Settings) -> dict[str, Any]:
    """Return the data of the operations page: through the router, or from the exporter while the router is away.

    Raises Unavailable.
    """
    import httpx

    reasons = []
    for url in (settings.router_url, settings.exporter_url):
        try:
            answer = httpx.get(url.rstrip("/") + STATUS_PATH, timeout=TIMEOUT_SECONDS, trust_env=False)
            document = answer.raise_for_status().json()
            if isinstance(document, dict) and "parts" in document:
                return document
            reasons.append(f"{url} answers something that is no status")
        except (httpx.HTTPError, ValueError) as error:
            reasons.append(f"{url}: {error or type(error).__name__}")
    raise Unavailable(f"no part of a stack answers (not running: make up): {printable('; '.join(reasons), 500)}")


def text_of(document: dict[str, Any]) -> str:
    """Return the document as a few lines, what is wrong first."""
    return printable_lines("\n".join(_lines(document)), most=400)


def _lines(document: dict[str, Any]) -> Iterator[str]:
    problems, parts = document["problems"], document["parts"]
    if not problems:
        yield "Everything works."
    for problem in problems:
        yield f"{problem['severity']:12} {problem['text']}"
    readable = {name: part for name, part in parts.items() if "unavailable" not in part}
    for name, lines in _SECTIONS.items():
        if name in readable:
            yield from lines(readable[name])


def _release(release: dict[str, Any]) -> Iterator[str]:
    yield f"production   {release['production'] or 'none'}"
    state, phase = release["state"], f", {release['phase']}" if release["phase"] else ""
    share = f", {state}{phase}, {release['share']:g} % of the visitors" if state != "idle" else ""
    yield f"candidate    {release['candidate'] or 'none'}{share}"
    for name, models in release.get("phases", {}).items():
        if name not in (release["phase"], "waiting"):
            yield f"{name:12} {models}"
    for one in release.get("waiting", ()):
        yield f"waiting      {one['version']}: {one['why']}"
    if release["changed_at"]:
        yield f"last change  {_time(release['changed_at'])} by {release['changed_by']}: {release['reason']}"


def _experiment(experiment: dict[str, Any]) -> Iterator[str]:
    look = experiment["look"]
    if look is None:
        return
    end = look["ended"] or look
    yield f"experiment   {_time(end['at'])} {look['experiment']}: {end['outcome']}: {end['reason']}"
    if look.get("still") and end["outcome"] in ("continue", "invalid"):
        yield f"still        {look['still']}"
    if look.get("split"):
        yield f"split        {look['split']}"


def _services(services: dict[str, Any]) -> Iterator[str]:
    for one in services["replicas"]:
        state = one["problem"] or f"serves {one['version'] or 'no model'}, {one['spool_records'] or 0:,} in its spool"
        yield f"replica      {one['name']} at {one['address']} {state}"


def _drift(drift: dict[str, Any]) -> Iterator[str]:
    for variant, report in drift.items():
        if report:
            yield f"drift        {variant}: {printable(report['sentence'], NOTE_LENGTH)}"


def _runs(runs: dict[str, Any]) -> Iterator[str]:
    for dag, entry in runs["dags"].items():
        for run in entry["runs"][:RUNS_SHOWN]:
            note = f": {printable(run['note'], NOTE_LENGTH)}" if run["note"] else ""
            yield f"run          {dag} {_time(run['began_at'])} {run['state']}{note}"


def _releases(releases: dict[str, Any]) -> Iterator[str]:
    if releases["production"]:
        yield f"releases     {' -> '.join(one['version'] for one in reversed(releases['production']))}"


def _log(log: dict[str, Any]) -> Iterator[str]:
    for variant, one in log["variants"].items():
        yield f"log          {variant}: {one['requests']:,} requests in {log['hours']} hours"


_SECTIONS = {
    "release": _release,
    "experiment": _experiment,
    "services": _services,
    "drift": _drift,
    "runs": _runs,
    "releases": _releases,
    "log": _log,
}


def _time(moment: str | None) -> str:
    """Return the day and minute of an ISO time, in UTC as the server says it."""
    return (moment or "")[:16].replace("T", " ")
