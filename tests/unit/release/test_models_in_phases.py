"""Which models are in which phase, by one word in metric, status and operations page."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest

from homeprices.adapters.object_store import MemoryBucket
from homeprices.cli.stack_status import text_of
from homeprices.errors import HomePricesError
from homeprices.names import Phase
from homeprices.registry import regional_record
from homeprices.release import candidate_queue, control_record, phases, promotion
from homeprices.resources import Resources
from homeprices.settings import load_settings
from homeprices.workflows.status import experiment_status, release_status
from monitoring.exporter.bucket_collector import BucketCollector
from monitoring.operations.bucket_parts import BucketParts
from tests.contract.release import drafts, in_production, publish, wait_in_queue  # noqa: F401
from tests.support.operations import trial_parts
from tests.support.stored import members, pinned

# ruff: noqa: F811 (fixtures)

NOW = datetime.now(UTC)


def said(bucket: MemoryBucket, now: datetime = NOW) -> dict[Phase, str]:
    """What the bucket says, after a check that metric, status and page say the same."""
    found = phases.models_in(bucket, now)
    samples = BucketCollector(bucket, lambda: now).collect()
    metric = {s.labels["phase"]: s.value for s in samples if s.name == "homeprices_experiment_phase"}
    assert metric == {phase: float(phase in found) for phase in get_args(Phase)}
    page = BucketParts(bucket, lambda: now).release()
    assert page["phases"] == found
    if now == NOW:
        status = release_status(Resources(load_settings({}, ()), bucket)).splitlines()
        lines = [line.removeprefix("phase").strip() for line in status if line.startswith("phase")]
        assert lines == [f"{phase}: {models}" for phase, models in found.items()]
    return found


def test_every_phase_is_said_by_the_same_word_everywhere(drafts: list[Path]) -> None:
    bucket = MemoryBucket()
    assert said(bucket) == {}
    publish(bucket, drafts[0], "first", "BO")
    with phases.in_shadow(bucket, "run", NOW):
        assert said(bucket) == {"shadow": "run"}
    assert said(bucket) == {}
    for number, draft in enumerate((drafts[1], drafts[2], drafts[1])):
        wait_in_queue(bucket, draft, f"run {number}")
    assert said(bucket) == {"waiting": "CO1, CO2, CO3"}
    candidate_queue.take(bucket, "CO2", "test", "the best")
    control_record.start_experiment(bucket, "BO1", "CO2", 5, "test", phase="ramp")
    assert said(bucket) == {"waiting": "CO1, CO3", "ramp": "CO2"}
    phases.take_step(bucket, "BO1-CO2", 1, 20, "trial", "test", "next")
    assert said(bucket) == {"waiting": "CO1, CO3", "trial": "CO2"}
    promotion.promote(bucket, "CO2", in_production, "evaluation", "better")
    end = NOW + timedelta(hours=24)
    phases.record_bake(bucket, "BO2", end)
    candidate_queue.take(bucket, "CO1", "test", "the best")
    control_record.start_experiment(bucket, "BO2", "CO1", 5, "test", phase="ramp")
    assert said(bucket) == {"waiting": "CO3", "ramp": "CO1", "bake": "BO2"}
    assert said(bucket, end + timedelta(seconds=1)) == {"waiting": "CO3", "ramp": "CO1"}
    promotion.roll_back(bucket, "CO1", "evaluation", "worse")
    status = experiment_status(Resources(load_settings({}, ()), bucket), clock=lambda: NOW).splitlines()
    assert status[0] == f"No experiment is running; BO2 is in production, phase bake until {end:%Y-%m-%d %H:%M} UTC."
    promotion.revert(bucket, "BO1", in_production, "person", "BO2 is bad")
    assert "bake" not in said(bucket), "the record is of an earlier production"


def test_regional_bundles_have_bake_windows_of_their_own(drafts: list[Path]) -> None:
    bucket = MemoryBucket()
    publish(bucket, drafts[0], "first", "BO")
    phases.record_bake(bucket, "BO1", NOW + timedelta(hours=1))
    for number in (1, 2):
        regional_record.add(bucket, f"RO{number}", (f"place {number}",), "BO1", "test", "better")
        phases.record_bake(bucket, f"RO{number}", NOW + timedelta(hours=number))
    assert said(bucket) == {"bake": "BO1, RO1, RO2"}
    phases.record_bake(bucket, "BO1", None)
    regional_record.end(bucket, "RO1", "watch", "harm")
    assert said(bucket) == {"bake": "RO2"}
    assert said(bucket, NOW + timedelta(hours=3)) == {}


def test_a_comparison_that_died_is_not_in_shadow_for_ever_and_another_run_is_left_alone() -> None:
    bucket = MemoryBucket()
    with pytest.raises(RuntimeError), phases.in_shadow(bucket, "one", NOW):
        raise RuntimeError
    assert phases.models_in(bucket, NOW) == {}
    with phases.in_shadow(bucket, "one", NOW):
        held = bucket.get(phases.SHADOW_KEY).body
        bucket.put(phases.SHADOW_KEY, held.replace(b"one", b"two"))
    assert phases.models_in(bucket, NOW) == {"shadow": "two"}
    assert phases.models_in(bucket, NOW + 2 * phases.LONGEST_COMPARISON) == {}


def test_the_text_of_the_stack_names_the_other_phases() -> None:
    text = text_of({"problems": [], "parts": trial_parts()})
    assert "candidate    CO3, running, trial, 20 % of the visitors\nbake         BO2\n" in text


def test_what_is_stored_is_pinned_and_a_damaged_record_is_named() -> None:
    bucket, names = MemoryBucket(), pinned("stored_names.json")
    phases.record_bake(bucket, "BO1", NOW)
    with phases.in_shadow(bucket, "run", NOW):
        for key in (phases.BAKE_KEY, phases.SHADOW_KEY):
            assert key in names["keys"]
            held = names["members"][key]
            assert members(json.loads(bucket.get(key).body), held["free"]) == set(held["members"])
    etag = bucket.get(phases.BAKE_KEY).etag
    phases.record_bake(bucket, "BO1", NOW)
    assert bucket.get(phases.BAKE_KEY).etag == etag
    bucket.put(phases.BAKE_KEY, b"{}")
    with pytest.raises(HomePricesError, match=r"control/bake.json names no phase"):
        phases.models_in(bucket, NOW)
