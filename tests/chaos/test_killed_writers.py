"""SIGKILL of a process that writes to the log, at a random time: every acknowledged record is stored once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from homeprices.predictions.prediction_log import open_prediction_log
from homeprices.settings import load_settings
from tests.chaos import measurements
from tests.chaos.counts import Counts
from tests.chaos.visitors import empty_log
from tests.integration.inference.instance import eventually
from tests.support.servers import clean_environment

ROOT = Path(__file__).parents[2]
AT_ONCE = 2
LONGEST_LIFE_SECONDS = 0.3
KILLED_AT_START = 0.2
"""The share of writers killed before their first write: while connecting, adopting a spool or draining."""

RATINGS = "SELECT prediction_id, feedback_value FROM user_feedback"


@dataclass
class Writers:
    """The process that forks writers, and their output."""

    process: subprocess.Popen[str]
    predictions: list[int] = field(default_factory=list)
    ratings: dict[int, int] = field(default_factory=dict)
    started: list[int] = field(default_factory=list)
    writing: set[int] = field(default_factory=set)

    def start_one(self) -> int:
        """Start a writer and return its process id."""
        before = len(self.started)
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        eventually(lambda: len(self.started) > before, "a writer starts")
        return self.started[-1]

    def listen(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            match line.split():
                case ["p", number]:
                    self.predictions.append(int(number))
                case ["f", number, stars]:
                    self.ratings[int(number)] = int(stars)
                case ["writing", pid]:
                    self.writing.add(int(pid))
                case ["started", pid]:
                    self.started.append(int(pid))


@contextmanager
def writers(folder: Path, variables: dict[str, str]) -> Iterator[Writers]:
    command = [sys.executable, "-m", "tests.chaos.writer", str(folder)]
    with subprocess.Popen(
        command, env={**clean_environment(), **variables}, cwd=ROOT, text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        made = Writers(process)
        ear = threading.Thread(target=made.listen)
        ear.start()
        try:
            yield made
        finally:
            assert process.stdin
            process.stdin.close()
            ear.join(60)


@pytest.mark.parametrize("fsync", [False, True], ids=["kernel", "fsync"])
@pytest.mark.timeout(7200)
def test_killed_writers_lose_nothing_that_they_were_told_is_safe(
    fsync: bool, counts: Counts, variables: dict[str, str], engine: Engine, tmp_path: Path
) -> None:
    rounds = counts.writer_kills
    chance = random.Random(5)
    variables = {**variables, "HOMEPRICES_SPOOL_FSYNC": str(fsync).lower()}
    settings = load_settings({**variables, "HOMEPRICES_STATE_DIR": str(tmp_path)}, ())
    empty_log(engine)
    with writers(tmp_path, variables) as made:
        alive = [made.start_one() for _ in range(AT_ONCE)]
        for _ in range(rounds):
            pid = alive.pop(0)
            if chance.random() > KILLED_AT_START:
                eventually(lambda pid=pid: pid in made.writing, "a writer writes")  # type: ignore[misc]
            time.sleep(chance.uniform(0, LONGEST_LIFE_SECONDS))  # the random instant is the purpose of the test
            os.kill(pid, signal.SIGKILL)
            alive.append(made.start_one())
        for pid in alive:
            os.kill(pid, signal.SIGKILL)
    log = open_prediction_log(settings, engine)
    log.start()
    eventually(lambda: list((settings.instance_dir / "spool").glob("*.segment")) == [], "an empty spool", 300)
    log.close()
    with engine.connect() as connection:
        stored = connection.execute(text("SELECT id FROM prediction_logs")).scalars().all()
        rated = {row[0]: int(row[1]) for row in connection.execute(text(RATINGS))}
        counted = connection.execute(text("SELECT sum(requests) FROM traffic_hours")).scalar_one()
    assert len(made.predictions) > rounds
    assert set(made.predictions) <= set(stored)
    assert len(stored) == len(set(stored)) == counted
    assert made.ratings.items() <= rated.items()
    measurements.keep(
        f"killed-writers-{'fsync' if fsync else 'kernel'}",
        f"A process that writes to the log, {'with' if fsync else 'without'} fsync, is killed at a random instant: "
        "PostgreSQL holds every acknowledged prediction and rating once",
        count=rounds,
        unit="kills",
        acknowledged_estimates=len(made.predictions),
        acknowledged_ratings=len(made.ratings),
        lost=0,
        doubled=0,
        stored_but_never_acknowledged=len(set(stored) - set(made.predictions)),
    )
