"""What the operations page reads of the bucket."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from homeprices.adapters.object_store import MemoryBucket
from homeprices.errors import NotFound
from homeprices.release import control_record, promotion
from homeprices.reporting.charts import in_page, new_figure
from monitoring.operations import bucket_parts
from monitoring.operations.bucket_parts import BucketParts
from monitoring.operations.stored_pages import StoredPages
from tests.contract.release import drafts, in_production, publish, wait_in_queue  # noqa: F401


def test_a_promoted_candidate_is_not_rolled_back_after_any_number_of_releases(
    drafts: list[Path],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bucket_parts, "RELEASES_SHOWN", 2)
    bucket = MemoryBucket()
    publish(bucket, drafts[0], "first", "BO")
    publish(bucket, drafts[1], "second", "CO")
    control_record.start_experiment(bucket, "BO1", "CO1", 20, "test")
    promotion.promote(bucket, "CO1", in_production, "test", "better")
    for version in ("BO1", "BO2"):
        promotion.revert(bucket, version, in_production, "test", "back")
    publish(bucket, drafts[2], "third", "CO")
    control_record.start_experiment(bucket, "BO4", "CO2", 20, "test")
    promotion.roll_back(bucket, "CO2", "test", "worse")
    found = BucketParts(bucket).releases()
    assert [one["version"] for one in found["production"]] == ["BO4", "BO3"]
    assert (found["number"], found["rolled_back"]) == (4, ["CO2"])


def test_candidates_that_wait_are_listed_with_the_reason(drafts: list[Path]) -> None:  # noqa: F811
    bucket = MemoryBucket()
    publish(bucket, drafts[0], "first", "BO")
    publish(bucket, drafts[1], "second", "CO")
    assert BucketParts(bucket).release()["waiting"] == []
    wait_in_queue(bucket, drafts[2], "third")
    found = BucketParts(bucket).release()
    [one] = found["waiting"]
    assert (one["version"], one["why"], one["published_by"]) == ("CO2", "CO1 has the slot", "pipeline")
    assert found["candidate"] == "CO1"


@pytest.mark.parametrize("body", [None, b"{", b"[]", b'{"page": "x"}'])
def test_the_newest_shadow_comparison_is_named_and_a_damaged_one_hides_nothing(body: bytes | None) -> None:
    bucket, newest = MemoryBucket(), {"page": "x", "at": "2026-03-02T12:00:00Z", "production": "BO1", "sentence": "S",
                                      "objection": "too far"}  # fmt: skip
    bucket.put("reports/shadow/newest.json", json.dumps(newest).encode())
    shown = BucketParts(bucket).releases()["shadow"]
    assert (shown["page"], shown["sentence"], shown["stopped"]) == ("x", "S", True)
    bucket.delete("reports/shadow/newest.json")
    if body is not None:
        bucket.put("reports/shadow/newest.json", body)
    assert BucketParts(bucket).releases() == {"production": [], "number": 0, "rolled_back": [], "shadow": None}


def test_another_chart_of_a_report_is_not_shown_as_the_effect() -> None:
    bucket = MemoryBucket()
    bucket.put("reports/decisions/1.html", in_page(new_figure()[0], "Mean rating").encode())
    for chart in ("effect", "", "nothing"):
        with pytest.raises(NotFound, match="has no chart"):
            StoredPages(bucket).chart(1, chart)
    assert StoredPages(bucket).chart(1, "rating").startswith(b"<svg ")
