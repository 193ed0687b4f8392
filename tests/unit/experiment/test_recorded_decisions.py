"""Decisions that an earlier revision has put on record come out the same today, to the bit."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.carried_over import computed_again, recorded_decisions

decisions = pytest.mark.parametrize("decision", recorded_decisions(), ids=lambda decision: decision["policy"])


def test_one_of_each_rule_and_one_of_the_watch_are_there() -> None:
    found = {(decision["policy_document"]["rule"], decision["outcome"]) for decision in recorded_decisions()}
    assert found == {("sequential", "promote"), ("composite", "continue"), ("sequential", "revert")}


@decisions
def test_it_comes_out_the_same_to_the_bit(decision: dict[str, Any]) -> None:
    assert computed_again(decision) == {name: decision[name] for name in ("outcome", "reason", "statistics")}


@decisions
def test_other_evidence_comes_out_otherwise(decision: dict[str, Any]) -> None:
    """So that the test above could fail: statistics are computed, not read from the record."""
    evidence = dict(decision["evidence"])
    if "strata" in evidence:
        evidence["candidate"] = {**evidence["candidate"], "mean_latency_ms": 1_000.0}
    else:
        evidence["slow"] = {**evidence["slow"], "hits": 0, "hits_squared": 0, "hits_times_trials": 0}
    assert computed_again({**decision, "evidence": evidence})["statistics"] != decision["statistics"]
