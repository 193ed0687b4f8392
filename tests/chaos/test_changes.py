"""Promotions and router reloads under load, with the code of the stack."""

from __future__ import annotations

from pathlib import Path

import pytest

from homeprices.adapters.object_store import S3Bucket
from homeprices.release import control_record, promotion
from tests.chaos import measurements
from tests.chaos.counts import Counts
from tests.chaos.serving_stack import ServingStack, crowd, serving_stack
from tests.integration.inference.conftest import Make
from tests.integration.inference.instance import eventually

VISITORS = 6


def try_and_promote(stack: ServingStack, number: int) -> None:
    """Publish candidate `number`, start and raise its share, and promote it: three router reloads, two hot reloads."""
    candidate, production = f"CO{number}", f"BO{number}"
    stack.publish(candidate)
    eventually(lambda: stack.candidate.serves(candidate), f"{candidate} served")
    control_record.start_experiment(stack.bucket, production, candidate, 20, "test")
    stack.apply_record()
    control_record.set_share(stack.bucket, 50, "test")
    stack.apply_record()

    def wait(version: str) -> None:
        eventually(lambda: stack.production.serves(version), f"{version} served by all workers")

    assert promotion.promote(stack.bucket, candidate, wait, "test", "it won") == f"BO{number + 1}"
    stack.apply_record()


@pytest.mark.timeout(7200)
def test_promotions_and_reloads_under_load_fail_no_request_and_mix_no_versions(
    make: Make, s3: S3Bucket, tmp_path: Path, counts: Counts
) -> None:
    with serving_stack(make, s3, tmp_path) as stack, crowd(stack.listen, VISITORS) as visits:
        reloads = 0
        for number in range(1, counts.changes + 1):
            try_and_promote(stack, number)
            reloads += 3
            wanted = counts.posts * number // counts.changes
            eventually(lambda wanted=wanted: len(visits.statuses) >= wanted or visits.wrong, "enough requests", 1200)  # type: ignore[misc]
    assert visits.wrong == []
    assert set(visits.statuses) == {200}
    assert len(visits.statuses) >= counts.posts
    served = {f"BO{number}" for number in range(1, counts.changes + 2)}
    assert served <= visits.versions | {f"BO{counts.changes + 1}"}
    assert {version for version in visits.versions if version.startswith("CO")}
    measurements.keep(
        "promotions-and-reloads",
        "Candidates are published, get a larger share and are promoted under load: no failed request, no response with "
        "the number of another version",
        count=len(visits.statuses),
        unit="requests",
        promotions=counts.changes,
        router_reloads=reloads,
        kept_connections_closed_before_the_response_and_retried=visits.retried,
    )
