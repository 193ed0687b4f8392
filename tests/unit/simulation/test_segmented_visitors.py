"""The check by segment, simulated: the looks are the policy's own, it brakes promotions only, and its rates hold."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from benchmarks.policy_error_rates import segment_harm
from homeprices.experiment import policies
from homeprices.experiment.policies.segments import SegmentRule, segment_effects
from homeprices.experiment.policies.sequential import SequentialPolicy
from homeprices.reporting.markdown import section_marks
from homeprices.simulation.segmented_visitors import (
    DIFFERS,
    evidence_of,
    find_harm,
    harmed_at,
    region_shares,
    simulate_segments,
    simulate_visitors,
)
from homeprices.simulation.visitors import Scenario

ROOT = Path(__file__).parents[3]
RULE = SegmentRule()
OURS = cast(SequentialPolicy, policies.load("sequential"))


def test_what_is_harmed_in_all_runs_at_once_is_what_the_policy_finds_look_by_look() -> None:
    scenario = Scenario(runs=4, days=8, per_day=300, effect=0.4)
    visitors = simulate_visitors(scenario, 0, 4, -0.8)
    harmed = harmed_at(RULE, visitors.sums)
    for run in range(4):
        for look in range(0, scenario.looks, 17):
            effects = segment_effects(evidence_of(OURS, scenario, visitors, run, look), RULE)
            assert [effect.harmed for effect in effects] == harmed[:, run, look].tolist(), (run, look)
    assert 0 < harmed.mean() < 0.2


def test_every_visitor_is_in_one_segment_of_each_kind_and_the_regions_differ_as_asked_for() -> None:
    scenario = Scenario(runs=40, per_day=400, effect=0.4)
    visitors = simulate_visitors(scenario, 0, 40, -0.8)
    for variant, sums in zip(visitors.variants, visitors.sums, strict=True):
        for of_a_kind in (slice(0, 7), slice(7, 9), slice(9, 12), slice(12, 14)):
            assert (sums[:, of_a_kind].sum(axis=1) == [variant.rated, variant.stars, variant.stars_squared]).all()
    rated, stars, _ = visitors.sums[..., -1].sum(axis=-1).transpose(1, 0, 2)
    difference = dict(zip(RULE.names, (stars / rated)[1] - (stars / rated)[0], strict=True))
    assert difference[f"region {DIFFERS}"] == pytest.approx(-0.8, abs=0.06)
    assert difference["region east"] == pytest.approx(0.4, abs=0.06)
    assert difference["known place"] == pytest.approx(0.4 * 0.8 - 0.8 * 0.2, abs=0.03)
    assert dict(zip(RULE.names, rated[0] / rated[0][:7].sum(), strict=True))[f"region {DIFFERS}"] == pytest.approx(
        region_shares()[DIFFERS], abs=0.01
    )


def test_the_check_only_delays_promotions() -> None:
    """Run by run: what it changes is a promotion, into a later one or none."""
    ended = simulate_segments(OURS, Scenario(runs=40, per_day=300, effect=0.4), -0.8)
    changed = [run for run in ended if run.checked != run.unchecked]
    assert len(changed) > 10
    for run in changed:
        assert run.unchecked.outcome == "promote"
        assert run.checked.hours > run.unchecked.hours
        assert run.found.hours is not None and run.found.hours <= run.unchecked.hours


def test_false_alarms_are_rare_and_real_harm_is_found() -> None:
    """At most 5 % over all segments; the rate is half of that, and 7.5 % of 200 runs are four standard errors more."""
    found = find_harm(RULE, Scenario(runs=200, per_day=1000, days=6), 0.0)
    assert np.mean([run.hours is not None for run in found]) <= 0.075
    harmed = find_harm(RULE, Scenario(runs=50, per_day=300, effect=0.4), -0.8)
    assert np.mean([run.hours is not None for run in harmed]) >= 0.9
    assert not any(run.others for run in harmed)


def test_the_committed_tables_keep_the_promises() -> None:
    page = (ROOT / segment_harm.DOCUMENT).read_text(encoding="utf-8")
    first, last = section_marks(segment_harm.SECTION)
    measured = page.partition(first)[2].partition(last)[0]
    [runs] = re.findall(r"look of ([0-9,]+) experiments a cell", measured)
    assert int(runs.replace(",", "")) >= 2000
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in measured.splitlines() if "%" in line]
    false = [[float(cell.rstrip("%")) for cell in row[1:]] for row in rows if len(row) == 3]
    assert len(false) == 4 and max(map(max, false)) <= 5
    power = {
        (row[0], row[1]): [float(cell.rstrip("%")) for cell in row if "%" in cell] for row in rows if len(row) == 9
    }
    assert len(power) == 12
    for found, unchecked, checked, later in power.values():
        assert (later <= checked + 2, checked <= unchecked, 0 <= found <= 100) == (True, True, True)


def test_the_tables_go_between_their_marks_and_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_harm, "RATINGS_A_DAY", (300.0,))
    document = tmp_path / "page.md"
    document.write_text("before\n{}\nold\n{}\nafter\n".format(*section_marks(segment_harm.SECTION)))
    assert segment_harm.main(["--runs", "8", "--document", str(document)]) == 0
    text = document.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert text.count("\n| ") == 2 * 2 + 1 + 3
