"""Promotions and router reloads under load, by the code that the stack uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from homeprices.adapters.object_store import S3Bucket
from homeprices.release import control_record, promotion
from tests.chaos import results
from tests.chaos.counts import Counts
from tests.chaos.house import House, crowd, house
from tests.integration.inference.conftest import Make
from tests.integration.inference.instance import eventually

VISITORS = 6


def try_and_promote(here: House, number: int) -> None:
    """Publish candidate `number`, start its trial, raise its share, and promote it: three reloads, two hot reloads."""
    candidate, production = f"CO{number}", f"BO{number}"
    here.publish(candidate)
    eventually(lambda: here.candidate.serves(candidate), f"{candidate} served")
    control_record.start_experiment(here.bucket, production, candidate, 20, "test")
    here.apply_control_record()
    control_record.set_share(here.bucket, 50, "test")
    here.apply_control_record()

    def wait(version: str) -> None:
        eventually(lambda: here.production.serves(version), f"{version} served by all workers")

    assert promotion.promote(here.bucket, candidate, wait, "test", "it won") == f"BO{number + 1}"
    here.apply_control_record()


@pytest.mark.timeout(7200)
def test_promotions_and_reloads_under_load_fail_no_request_and_mix_no_versions(
    make: Make, s3: S3Bucket, tmp_path: Path, counts: Counts
) -> None:
    with house(make, s3, tmp_path) as here, crowd(here.listen, VISITORS) as told:
        reloads = 0
        for number in range(1, counts.changes + 1):
            try_and_promote(here, number)
            reloads += 3
            wanted = counts.posts * number // counts.changes
            eventually(lambda wanted=wanted: len(told.statuses) >= wanted or told.wrong, "enough requests", 1200)  # type: ignore[misc]
    assert told.wrong == []
    assert set(told.statuses) == {200}
    assert len(told.statuses) >= counts.posts
    served = {f"BO{number}" for number in range(1, counts.changes + 2)}
    assert served <= told.versions | {f"BO{counts.changes + 1}"}
    assert {version for version in told.versions if version.startswith("CO")}
    results.keep(
        "promotions-and-reloads",
        "Candidates are published, get a larger share and are promoted under load: no failed request, no response with "
        "the number of another version",
        count=len(told.statuses),
        unit="requests",
        promotions=counts.changes,
        router_reloads=reloads,
        kept_connections_closed_before_the_response_and_retried=told.retried,
    )
