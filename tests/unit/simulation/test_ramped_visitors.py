"""Simulated ramps: they are decided by the policy itself, and without a ramp they end as those of the other module."""

from __future__ import annotations

import pytest

from homeprices.experiment.policies import from_document, load
from homeprices.experiment.policies.ramp import TAKEN
from homeprices.experiment.policies.sequential import SequentialPolicy
from homeprices.simulation.experiments import simulate
from homeprices.simulation.ramped_visitors import evidence_of, simulate_ramp, simulate_visitors
from homeprices.simulation.visitors import Scenario

RAMPED = from_document({"rule": "sequential", "ramp": [1, {"share": 5, "least_duration": "PT12H"}, 20]})


def sequential(policy: object) -> SequentialPolicy:
    assert isinstance(policy, SequentialPolicy)
    return policy


@pytest.mark.parametrize(("effect", "error_share", "per_day"), [(0.5, 0.002, 400.0), (-0.5, 0.03, 100.0)])
def test_the_policy_takes_each_step_and_ends_each_trial_at_the_look_that_is_simulated(
    effect: float, error_share: float, per_day: float
) -> None:
    policy, runs = sequential(RAMPED), 3
    scenario = Scenario(runs=runs, effect=effect, per_day=per_day, days=5, seed=3)
    visitors = simulate_visitors(policy, scenario, 0, runs, error_share)
    found = simulate_ramp(policy, scenario, error_share)
    steps = 0
    for run in range(runs):
        for look in range(scenario.looks):
            decision = policy.decide(evidence_of(scenario, visitors, run, look))
            if decision.outcome != "continue":
                assert (decision.outcome, look + 1) == (found[run].ended.outcome, found[run].ended.hours)
                break
            due = look + 1 in [int(began[run]) for began in visitors.began[1:]]
            assert (TAKEN in decision.statistics) == due, (run, look, decision.reason)
            steps += due
    assert steps >= 1


def test_a_trial_without_a_ramp_has_the_rates_of_the_other_simulation() -> None:
    policy = sequential(load("sequential")).model_copy(update={"ramp": None})
    scenario = Scenario(runs=120, effect=0.4, seed=5)
    promoted = [
        sum(outcome == "promote" for outcome in outcomes)
        for outcomes in (
            [run.ended.outcome for run in simulate_ramp(policy, scenario)],
            [end.outcome for end in simulate(policy, scenario)],
        )
    ]
    assert min(promoted) >= 110


def test_fewer_visitors_meet_a_candidate_that_fails_and_a_ramp_delays_one_that_is_better() -> None:
    ours = sequential(load("sequential"))
    plain = ours.model_copy(update={"ramp": None})
    bad = Scenario(runs=40, per_day=1000.0, days=3)
    met = [sum(run.met for run in simulate_ramp(policy, bad, 0.3)) for policy in (ours, plain)]
    assert met[0] < met[1]
    better = Scenario(runs=40, per_day=1000.0, effect=0.5, days=6)
    hours = [sum(run.ended.hours for run in simulate_ramp(policy, better)) for policy in (ours, plain)]
    assert hours[0] > hours[1]
    assert all(run.trial is not None and run.trial >= 24 for run in simulate_ramp(ours, better))
