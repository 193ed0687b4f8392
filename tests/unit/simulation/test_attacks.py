"""Simulated attacks: what moved a decision before moves none now, and the honest still decide.

Counts are small here; `make simulate-attack` has the larger ones, and documentations/evidence.md their results.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.attacks.__main__ import GOALS, LIARS, SECTION, undefended
from homeprices.experiment.policies import load
from homeprices.reporting.markdown import section_marks
from homeprices.simulation.attacks import SPREAD, Attack, Crowd, Goal, decided, zipf

OURS = load("sequential")


@pytest.mark.parametrize(("goal", "effect"), GOALS)
def test_one_network_moved_a_decision_and_moves_none(goal: Goal, effect: float) -> None:
    attack = Attack(goal, networks=1, voices_a_day=200)
    assert decided(undefended(), Crowd(500, effect), attack, 1)[0] == goal
    assert decided(OURS, Crowd(500, effect), attack, 1)[0] != goal


def test_fifty_visitors_of_one_network_who_tell_wrong_prices_roll_nobody_back() -> None:
    attack = Attack("rollback", 1, LIARS, prices=True, days=1)
    assert decided(undefended(), Crowd(500, 1.0), attack, 1)[0] == "rollback"
    assert decided(OURS, Crowd(500, 1.0), attack, 1)[0] != "rollback"


@pytest.mark.parametrize(("effect", "outcome"), [(1.0, "promote"), (-1.0, "rollback")])
def test_the_honest_decide(effect: float, outcome: str) -> None:
    assert decided(OURS, Crowd(500, effect), None, 1)[0] == outcome


def test_honest_visitors_spread_by_the_law_of_zipf() -> None:
    shares = zipf(10_000, SPREAD)
    assert (shares.sum(), shares[0] / shares[9]) == (pytest.approx(1), pytest.approx(10**SPREAD))
    assert 0.03 < shares[0] < 0.05


def test_the_committed_table_says_that_one_network_moves_nothing() -> None:
    page = Path("documentations/evidence.md").read_text(encoding="utf-8")
    first, last = section_marks(SECTION)
    measured = page.partition(first)[2].partition(last)[0]
    rows = re.findall(r"^\| [0-9,]+ \| 1 \| (.*) \|$", measured, re.MULTILINE)
    assert len(rows) == 3
    for row in rows:
        before_promoted, promoted, before_rolled_back, rolled_back = row.split(" | ")
        assert promoted.startswith("0 of ") and rolled_back.startswith("0 of ")
        assert not before_promoted.startswith("0 of ") and not before_rolled_back.startswith("0 of ")
