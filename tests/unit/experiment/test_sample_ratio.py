"""The SRM test: the Bayes factor of the paper, golden p-values, and its error rate over many looks."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import gammaln

from homeprices.experiment.policies import document_of, load
from homeprices.experiment.policies.limits import ErrorRates, SampleRatio
from homeprices.experiment.policies.sequential import SequentialPolicy
from homeprices.experiment.sample_ratio import log_evidence, log_evidence_of_epochs, log_gamma, p_value, recorded_split
from tests.unit.experiment.looks import look

ROOT = Path(__file__).parents[3]


def p(counts: tuple[int, int], share: float = 0.2) -> float:
    return p_value(log_evidence(counts, (1 - share, share), concentration=300))


@pytest.mark.parametrize(
    ("counts", "share", "expected"),
    [
        ((0, 0), 0.2, 1.0),
        ((800, 200), 0.2, 1.0),
        ((8000, 2000), 0.2, 1.0),
        ((7800, 2200), 0.2, 4.307794925451309e-05),
        ((7700, 2300), 0.2, 2.145500639030251e-11),
        ((5200, 4800), 0.5, 0.002476693047429515),
        ((140_000, 60_000), 0.2, 0.0),
    ],
)
def test_golden_p_values(counts: tuple[int, int], share: float, expected: float) -> None:
    """Computed in exact fractions, with factorials: the priors are whole numbers."""
    assert p(counts, share) == pytest.approx(expected, rel=1e-10, abs=1e-300)


def test_the_evidence_is_the_bayes_factor_of_the_paper() -> None:
    """Two visitors, one each, split evenly: B(a + x) / B(a) / 0.25 with a = (1, 1) is (1/6) / 0.25 = 2/3."""
    assert log_evidence([1, 1], [0.5, 0.5], concentration=2) == pytest.approx(math.log(2 / 3))
    assert log_evidence([0, 0], [0.8, 0.2], concentration=300) == 0


def test_evidence_of_epochs_adds_up_and_an_epoch_without_a_choice_is_none() -> None:
    epochs = [(20.0, (800, 260)), (50.0, (500, 480)), (0.0, (900, 0)), (100.0, (0, 10))]
    expected = log_evidence((800, 260), (0.8, 0.2), concentration=300) + log_evidence(
        (500, 480), (0.5, 0.5), concentration=300
    )
    assert log_evidence_of_epochs(epochs, concentration=300) == pytest.approx(expected)
    assert log_evidence_of_epochs([], concentration=300) == 0


@given(st.integers(0, 500), st.integers(0, 500), st.floats(0.01, 0.99))
def test_it_is_a_probability_and_the_same_for_either_variant(candidate: int, production: int, share: float) -> None:
    value = p((production, candidate), share)
    assert 0 <= value <= 1
    assert value == pytest.approx(p((candidate, production), 1 - share), rel=1e-6, abs=1e-12)


def test_a_sound_split_is_rarely_flagged_and_a_broken_one_soon() -> None:
    rng = np.random.default_rng(5)

    def flagged(share: float, hours: int, runs: int) -> float:
        candidate = rng.binomial(50, share, size=(runs, hours)).cumsum(axis=1)
        looks = [[p((50 * (hour + 1) - int(n), int(n))) for hour, n in enumerate(run)] for run in candidate]
        return float((np.array(looks) < 0.01).any(axis=1).mean())

    assert flagged(0.2, 336, 300) <= 0.01 + 3 * math.sqrt(0.01 * 0.99 / 300)
    assert flagged(0.15, 36, 300) >= 0.95


@pytest.mark.parametrize("x", [1e-3, 0.5, 1, 2, 2.5, 3, 12.999, 13, 60.25, 999.9, 1000, 12345.75, 1e8, 1e9])
def test_log_gamma_equals_scipys_to_the_bit(x: float) -> None:
    """Decisions recorded with SciPy's function are replayed with this one."""
    assert log_gamma(x) == gammaln(x)


def test_it_needs_the_standard_library_only() -> None:
    """The exporter's image has neither NumPy nor SciPy."""
    script = "import sys, homeprices.experiment.sample_ratio; print({'numpy', 'scipy'} & sys.modules.keys())"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True, timeout=60
    )
    assert done.stdout.strip() == "set()"


def test_log_gamma_has_scipys_bits_where_its_algorithm_changes_and_no_value_below() -> None:
    for edge in (1.0, 2.0, 3.0, 13.0, 14.0, 1000.0, 1001.0, 1e8):
        for x in (math.nextafter(edge, 0), edge, math.nextafter(edge, math.inf), edge + 0.5):
            assert log_gamma(x) == gammaln(x), x
    assert log_gamma(0) == log_gamma(-1.0) == math.inf


def test_a_recorded_split_is_judged_as_its_policy_has_judged_it() -> None:
    policy = SequentialPolicy(sample_ratio=SampleRatio(concentration=100), error_rates=ErrorRates(sample_ratio=0.2))
    for assigned in ((4000, 1000), (4000, 1080), (4000, 1150)):
        seen = look(assigned=assigned)
        decided, split = policy.decide(seen), recorded_split(seen.model_dump(mode="json"), document_of(policy))
        assert split is not None and split.log_evidence == decided.statistics["sample_ratio_log_evidence"]
        assert split.mismatch == (decided.outcome == "invalid") == (split.p_value <= 0.2)
        by_default = recorded_split(seen.model_dump(mode="json"), document_of(load("composite")))
        assert by_default is not None and by_default.log_evidence != split.log_evidence
        assert by_default.mismatch == (SequentialPolicy().decide(seen).outcome == "invalid")
    assert str(split).startswith("a mismatch, p = 0.00")
    assert str(split).endswith(
        "(a mismatch from 0.2 down): 1150 of 5150 visitors are the candidate's, and 1030 were planned"
    )
    assert recorded_split({}, None) is None, "the decision of a person"
