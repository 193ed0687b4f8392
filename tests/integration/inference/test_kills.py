"""SIGKILL at any instant: every acknowledged prediction and rating is in the database afterwards, once."""

import random
import time
from collections.abc import Collection
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from homeprices.adapters.object_store import S3Bucket
from tests.integration.inference.conftest import Make
from tests.integration.inference.instance import Instance, Memory, eventually, kill, publish, visitors

WORKER_KILLS = 16
WHOLE_KILLS = 6
METRIC_ROUNDS = 4
ENOUGH = 100  # predictions; their duration depends on the machine
FACTORS = {"BO1": 1.0}


def assert_nothing_was_lost_or_doubled(engine: Engine, instance: Instance, memory: Memory) -> None:
    eventually(lambda: list((instance.folder / "infer-prod" / "spool").glob("*.segment")) == [], "an empty spool")
    with engine.connect() as connection:
        stored = {row.id: row.bundle for row in connection.execute(text("SELECT id, bundle FROM prediction_logs"))}
        requests = connection.execute(text("SELECT count(*) - count(DISTINCT request_id) FROM prediction_logs"))
        doubled = requests.scalar_one()
        rated = connection.execute(text("SELECT prediction_id, feedback_value, verified FROM user_feedback")).all()
    assert len(memory.estimates) > ENOUGH
    assert memory.estimates.items() <= stored.items()
    assert doubled == 0
    assert memory.ratings.items() <= {number: int(stars) for number, stars, _ in rated}.items()
    assert len(rated) == len({number for number, _, _ in rated})
    assert all(verified for number, _, verified in rated if number in memory.ratings)
    assert (memory.wrong, set(memory.failed)) == ([], set())


@pytest.fixture
def instance(make: Make, s3: S3Bucket, tmp_path: Path) -> Instance:
    """An instance for this test that serves BO1. Tests share the tables; ids and request ids are unique."""
    publish(s3, tmp_path / "made", "BO1")
    started = make()
    started.start()
    eventually(lambda: started.serves("BO1"), "BO1 served")
    return started


def replaced(instance: Instance, killed: Collection[int]) -> bool:
    return len(set(instance.workers()) - set(killed)) == len(killed)


def test_killed_workers_lose_no_acknowledged_estimate_and_no_rating(instance: Instance, engine: Engine) -> None:
    chance = random.Random(7)
    killed = 0
    with visitors(instance, 4, FACTORS) as memory:
        while killed < WORKER_KILLS:
            time.sleep(chance.uniform(0.05, 0.6))  # a random instant is what this test is about
            for pid in chance.sample(instance.workers(), k=min(1, len(instance.workers()))):
                kill(pid)
                killed += 1
        eventually(lambda: instance.serves("BO1"), "the workers serve again")
        eventually(lambda: len(memory.estimates) > ENOUGH, "enough estimates to tell")
    assert_nothing_was_lost_or_doubled(engine, instance, memory)


def test_killed_workers_keep_their_counts_in_one_file_a_kind(instance: Instance) -> None:
    home = {"total_sqft": 1200, "location": "Whitefield", "bhk": 2, "bath": 2}
    asked = 0
    lines = ('predictions_total{variant="production"}', 'prediction_duration_seconds_count{variant="production"}')
    for _ in range(METRIC_ROUNDS):
        for _ in range(5):
            assert instance.post("/api/predict_home_price", home)[0] == 200
            asked += 1
        killed = instance.workers()
        for pid in killed:
            kill(pid)
        eventually(partial(replaced, instance, killed), "new workers")
        eventually(lambda: instance.serves("BO1"), "the workers serve again")
        assert [instance.metric(line) for line in lines] == [asked, asked]
    counted = sorted(path.name for path in (instance.folder / "infer-prod" / "metrics").glob("[ch]*.db"))
    living = [f"{kind}_{pid}.db" for kind in ("counter", "histogram") for pid in instance.workers()]
    assert len(counted) == len(living) + 2
    assert set(living) < set(counted)
    assert all("_merged-" in name for name in set(counted) - set(living))
    assert "metric_files_not_merged" not in instance.log()


def test_all_of_gunicorn_killed_loses_no_acknowledged_estimate_and_no_rating(
    instance: Instance, engine: Engine
) -> None:
    chance = random.Random(11)
    with visitors(instance, 4, FACTORS) as memory:
        for _ in range(WHOLE_KILLS):
            time.sleep(chance.uniform(0.2, 0.8))
            instance.kill_all()
            instance.start()
        eventually(lambda: instance.serves("BO1"), "the workers serve again")
        eventually(lambda: len(memory.estimates) > ENOUGH, "enough estimates to tell")
    assert_nothing_was_lost_or_doubled(engine, instance, memory)


def test_a_stop_drains_everything_and_leaves_no_status_file(instance: Instance, engine: Engine) -> None:
    with visitors(instance, 2, FACTORS) as memory:
        eventually(lambda: len(memory.ratings) > 50, "some ratings")
    instance.stop()
    assert list((instance.folder / "infer-prod" / "spool").iterdir()) == []
    assert list((instance.folder / "infer-prod" / "workers").iterdir()) == []
    with engine.connect() as connection:
        stored = set(connection.execute(text("SELECT prediction_id FROM user_feedback")).scalars())
    assert memory.ratings.keys() <= stored
