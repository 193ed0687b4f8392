"""The results of the chaos tests, one JSON file each; `documentations/reliability.md` is generated from them."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent / "results"
measured: list[Result] = []
"""The results of this run, for its summary."""
SUBJECTS = ("homeprices", "inference", "router")
"""The tested code. The revision of a result is the last commit that changed these paths."""


class Result(BaseModel):
    """`failed` of `count` trials (`unit`) failed; `figures` are further measurements, with their units."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    claim: str
    count: int
    unit: str
    failed: int
    figures: dict[str, float | int | str]
    command: str
    measured_at: datetime
    revision: str
    machine: str
    load: float

    @property
    def upper_bound(self) -> float:
        """The 95 % upper bound of the failure rate if none of `count` failed (rule of three)."""
        return 3 / self.count


def keep(name: str, claim: str, *, count: int, unit: str, failed: int = 0, **figures: Any) -> None:
    """Keep a result for the summary; write it only if `CHAOS_RESULTS` is set, so that CI does not change the tree."""
    result = Result(
        name=name,
        claim=claim,
        count=count,
        unit=unit,
        failed=failed,
        figures={key.replace("_", " "): round(v, 3) if isinstance(v, float) else v for key, v in figures.items()},
        command=_command(),
        measured_at=datetime.now(UTC).replace(microsecond=0),
        revision=_git("log", "-1", "--format=%h", "--", *SUBJECTS),
        machine=f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}",
        load=round(os.getloadavg()[0], 1),
    )
    measured.append(result)
    if not os.environ.get("CHAOS_RESULTS"):
        return
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_text(result.model_dump_json(indent=2) + "\n")


def read() -> list[Result]:
    """Return every stored result, by name."""
    return [Result.model_validate(json.loads(path.read_text())) for path in sorted(FOLDER.glob("*.json"))]


def _command() -> str:
    """Return the command that repeats the test: the variables that set the counts, and the test id."""
    variables = [f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith("CHAOS")]
    test = os.environ["PYTEST_CURRENT_TEST"].split(" ")[0]
    return " ".join([*(one for one in variables if not one.startswith("CHAOS_RESULTS")), "pytest", f"'{test}'"])


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], capture_output=True, text=True, cwd=ROOT, check=False)
    return done.stdout.strip() or "unknown"
