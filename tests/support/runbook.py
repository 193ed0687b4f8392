"""The page of the alerts' likely causes as the tests read it, and the reasons why a command of it is wrong."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import click
import yaml

from homeprices.cli import homeprices
from local.ports import BASE

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "documentations" / "runbook.md"
HEADER = "| likely cause | `make up` | Compose |\n|---|---|---|\n"
_ROW = re.compile(r"\| (.+?) \| `([^`|]+)` \| `([^`|]+)` \|")
_TABLE = re.compile(r"(?:Page|Ticket)\. [^|]+?\n\n" + re.escape(HEADER) + r"((?:\|.*\n)+)")
COMPOSE_FILES = ("docker-compose.yaml", "docker-compose.ab.yml")
LOCAL_SERVICES = frozenset(
    {"airflow-scheduler", "exporter", "infer-cand", "infer-prod", "mlflow", "postgres", "router", "seaweedfs"}
)
"""Those of `make up` whose logs the page names."""

SMALL_PROGRAMS = frozenset({"cat", "df", "du", "tail", "grep"})
"""Programs of every image on Debian. They end, unless `tail` follows."""

PACKAGED = {"airflow": "orchestration"}
"""Programs that the dependency group of an image brings."""


@dataclass(frozen=True)
class Cause:
    """A row of a section's table."""

    name: str
    local: str
    compose: str


@cache
def sections() -> dict[str, str]:
    """Return the text of each section by its heading."""
    first, *rest = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)
    assert first.startswith("# Runbook\n")
    return {part.partition("\n")[0]: part.partition("\n")[2].lstrip("\n") for part in rest}


def causes(alert: str) -> list[Cause]:
    """Return the table of a section; the test fails if the section does not start with one."""
    table = _TABLE.match(sections()[alert])
    assert table, f"{alert} does not start with its severity and the table of causes"
    rows = [_ROW.fullmatch(line) for line in table[1].splitlines()]
    assert rows and all(rows), f"a row of {alert} is no cause with one command in each column:\n{table[1]}"
    return [Cause(*row.groups()) for row in rows if row]


def fault(command: str) -> str | None:
    """Return why a command does not end, or names something that does not exist; None if it is right."""
    words = shlex.split(command)
    check = _CHECKS.get(words[0])
    if check is None:
        return f"{words[0]} is none of the programs that are known to end: {', '.join(sorted(_CHECKS))}"
    return check(words[1:])


def _small(program: str) -> Callable[[list[str]], str | None]:
    def check(words: list[str]) -> str | None:
        if program == "tail" and (words[0] != "-n" or not words[1].isdecimal() or len(words) != 3):
            return "tail prints a number of lines of one file: tail -n 50 FILE"
        logs = [Path(word).stem for word in words if word.startswith(".stack/logs/")]
        return next((f"no service writes {name}.log" for name in logs if name not in LOCAL_SERVICES), None)

    return check


def _curl(words: list[str]) -> str | None:
    if words[:2] != ["-sS", "-m"]:
        return "curl waits for an answer without limit; begin with curl -sS -m 5"
    ports = re.findall(r"^http://127\.0\.0\.1:(\d+)/", words[-1])
    return None if ports and int(ports[0]) in BASE.values() else f"no server listens at {words[-1]}"


def _top(words: list[str]) -> str | None:
    return None if words == ["-b", "-n", "1"] else "top runs until a key is pressed; top -b -n 1 ends"


def _make(words: list[str]) -> str | None:
    return None if words == ["status"] else "only make status shows something and ends"


def _homeprices(words: list[str]) -> str | None:
    """Parse the command without running it."""
    command: click.Command = homeprices
    context = click.Context(homeprices, info_name="homeprices")
    while isinstance(command, click.Group):
        found = command.get_command(context, words[0]) if words else None
        if found is None:
            return f"homeprices has no command {' '.join(words)}"
        command, words = found, words[1:]
    try:
        command.make_context(str(command.name), list(words), parent=context)
    except click.UsageError as error:
        return error.format_message()
    return None


def _docker(words: list[str]) -> str | None:
    if words in (["system", "df"], ["stats", "--no-stream"]):
        return None
    if words[0] != "compose":
        return f"docker {words[0]} is not known to end"
    files: tuple[str, ...] = COMPOSE_FILES
    words = words[1:]
    if words[0] == "-f":
        files, words = (words[1],), words[2:]
    services = compose_services(files)
    verb, words = words[0], words[1:]
    if verb == "exec":
        return _in_container(services, words)
    if verb == "logs":
        if words[0] != "--tail" or not words[1].isdecimal() or len(words) != 3:
            return "logs prints a number of lines of one service: logs --tail 50 SERVICE"
        words = words[2:]
    elif verb == "ps" and words[:1] == ["-a"]:
        words = words[1:]
    else:
        return f"docker compose {verb} is not known to end"
    return next((f"{' '.join(files)} have no service {word}" for word in words if word not in services), None)


def _in_container(services: dict[str, Any], words: list[str]) -> str | None:
    """Check service, program and module of `exec SERVICE PROGRAM ...` against the stage that builds its image."""
    name, program, *arguments = words
    if name not in services:
        return f"no service {name}"
    stage = stages().get(_stage_of(services, name), "")
    if program == "python":
        if arguments[:2] != ["-m", "homeprices"]:
            return "only homeprices is known to end"
        return _homeprices(arguments[2:]) if "COPY homeprices " in stage else f"the image of {name} has no homeprices"
    if program in PACKAGED:
        if PACKAGED[program] not in stage:
            return f"the image of {name} has no {program}"
        return None if arguments == ["dags", "list"] else "only airflow dags list is known to end"
    if program == "curl" and "curl" in services[name]["healthcheck"]["test"]:
        return _curl(arguments)
    if program not in SMALL_PROGRAMS:
        return f"the image of {name} has no {program}"
    return _small(program)(arguments)


def _stage_of(services: dict[str, Any], name: str) -> str:
    """Return the build target of a service, which may be that of another service with the same image."""
    image = services[name]["image"]
    targets = [one["build"]["target"] for one in compose_services(COMPOSE_FILES).values()
               if one["image"] == image and "build" in one]  # fmt: skip
    return str(targets[0]) if targets else ""


@cache
def stages() -> dict[str, str]:
    """Return the lines of each stage of the Dockerfile, after those of the stages that it is made from or copies."""
    found: dict[str, str] = {}
    for stage in re.split(r"^(?=FROM )", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)[1:]:
        base, name = re.findall(r"^FROM (\S+) AS (\S+)", stage)[0]
        copied = re.findall(r"^COPY --from=(\S+)", stage, re.MULTILINE)
        found[name] = "".join(found.get(one, "") for one in (base, *copied)) + stage
    return found


@cache
def compose_services(files: tuple[str, ...]) -> dict[str, Any]:
    """Return the services of Compose files by name."""
    read = [yaml.safe_load((ROOT / file).read_text())["services"] for file in files]
    return {name: service for services in read for name, service in services.items()}


_CHECKS: dict[str, Callable[[list[str]], str | None]] = {
    **{program: _small(program) for program in SMALL_PROGRAMS},
    "curl": _curl,
    "top": _top,
    "make": _make,
    ".venv/bin/homeprices": _homeprices,
    "docker": _docker,
}
