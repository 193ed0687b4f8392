"""SIGKILL of serving at a random time under load: a worker, or all of gunicorn."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine

from homeprices.adapters.object_store import S3Bucket
from tests.chaos import measurements
from tests.chaos.counts import Counts
from tests.chaos.visitors import Persistent, assert_nothing_was_lost_or_doubled, empty_log
from tests.integration.inference.conftest import Make
from tests.integration.inference.instance import Instance, Memory, eventually, kill, publish, visitors

FACTORS = {"BO1": 1.0}
VISITORS = 3
PAUSE_SECONDS = 0.02
KILLED_AT_START = 0.2
WHOLE_SHARE = 0.2
"""The share of rounds that kill all of gunicorn: restarting all of gunicorn takes ten times as long as a worker."""


@pytest.fixture
def instance(make: Make, s3: S3Bucket, tmp_path: Path, engine: Engine) -> Instance:
    """An instance that serves BO1, with an empty log."""
    empty_log(engine)
    publish(s3, tmp_path / "made", "BO1")
    started = make()
    started.start()
    eventually(lambda: started.serves("BO1"), "BO1 served")
    return started


def wait_for_answers(memory: Memory, chance: random.Random) -> None:
    """Usually wait for responses between two kills; sometimes do not, so that a kill meets starting processes."""
    answered = len(memory.estimates)
    if chance.random() > KILLED_AT_START:
        eventually(lambda: len(memory.estimates) > answered, "an answer since the last kill")


@pytest.mark.timeout(10_800)
def test_killed_workers_lose_nothing(instance: Instance, engine: Engine, counts: Counts) -> None:
    chance = random.Random(7)
    rounds = round(counts.kills * (1 - WHOLE_SHARE))
    with visitors(instance, VISITORS, FACTORS, PAUSE_SECONDS, Persistent) as memory:
        for _ in range(rounds):
            wait_for_answers(memory, chance)
            time.sleep(chance.uniform(0.0, 0.5))  # a random instant is what this test is about
            eventually(instance.workers, "a worker")
            kill(chance.choice(instance.workers()))
        eventually(lambda: instance.serves("BO1"), "the workers serve again")
        answered = len(memory.statuses)
        eventually(lambda: len(memory.statuses) > answered + 20, "answers after the last kill")
    figures = assert_nothing_was_lost_or_doubled(engine, instance, memory)
    assert figures["acknowledged_estimates"] > rounds / 2
    measurements.keep(
        "killed-workers",
        "A gunicorn worker is killed at a random instant under load: PostgreSQL holds every acknowledged prediction "
        "and rating once; every response is 2xx",
        count=rounds,
        unit="kills",
        **figures,
    )


@pytest.mark.timeout(10_800)
def test_all_of_gunicorn_killed_loses_nothing(instance: Instance, engine: Engine, counts: Counts) -> None:
    chance = random.Random(11)
    rounds = round(counts.kills * WHOLE_SHARE)
    back = []
    with visitors(instance, VISITORS, FACTORS, PAUSE_SECONDS, Persistent) as memory:
        for _ in range(rounds):
            wait_for_answers(memory, chance)
            time.sleep(chance.uniform(0.0, 0.5))
            instance.kill_all()
            started = time.monotonic()
            instance.start()
            back.append(time.monotonic() - started)
        eventually(lambda: instance.serves("BO1"), "the workers serve again")
        answered = len(memory.statuses)
        eventually(lambda: len(memory.statuses) > answered + 20, "answers after the last kill")
    figures = assert_nothing_was_lost_or_doubled(engine, instance, memory)
    measurements.keep(
        "killed-gunicorn",
        "All of gunicorn is killed at a random instant under load and restarted: PostgreSQL holds every acknowledged "
        "prediction and rating once",
        count=rounds,
        unit="kills",
        median_seconds_until_the_first_response=sorted(back)[len(back) // 2],
        **figures,
    )
