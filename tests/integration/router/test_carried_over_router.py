"""A router goes on with what the router of revision fc80cdd has left in its folder, under real Nginx."""

from __future__ import annotations

import json
import shutil

from homeprices.adapters.object_store import S3Bucket
from tests.integration.router.conftest import eventually
from tests.integration.router.test_agent_process import Stand, counts_of, program, stand
from tests.support.stored import PINNED, key_pattern, members, pinned

__all__ = ["program", "stand"]  # fixtures


def take_over(stand: Stand) -> dict[str, str]:
    """Put the files into the router's folder; gives the counts that were left."""
    shutil.copytree(PINNED / "fc80cdd" / "router", stand.folder / "router")
    left: dict[str, str] = json.loads(counts_of(stand))
    return left


def test_with_the_bucket_away_the_experiment_and_its_split_go_on(stand: Stand) -> None:
    take_over(stand)
    stand.start_and_wait()
    assert [stand.reported(name) for name in ("experiment", "epoch", "share")] == ["BO3-CO2", 5, 50.0]
    assert {stand.visitor().arrive().predict().variant for _ in range(40)} == {"production", "candidate"}


def test_its_counts_go_on_under_the_same_name_and_are_handed_in_with_the_pinned_members(
    stand: Stand, s3: S3Bucket, s3_settings: dict[str, str]
) -> None:
    left = take_over(stand)
    stand.environment.update(s3_settings)
    agent = stand.start_and_wait()
    assert stand.visitor().predict().status == 200
    eventually(lambda: len(json.loads(counts_of(stand))["days"]) == 2 or counts_of(stand) != json.dumps(left), 60)
    agent.terminate()
    assert agent.wait(60) == 0
    [key] = [entry.key for entry in s3.list("traffic/")]
    assert key_pattern(key) == "traffic/{day}/{router}.json" and key.endswith(f"/{left['router']}.json")
    counted = json.loads(s3.get(key).body)
    pinned_members = pinned("stored_names.json")["members"]["traffic/{day}/{router}.json"]
    assert members(counted, pinned_members["free"]) <= set(pinned_members["members"])
    assert "production" in str(counted["slots"])
