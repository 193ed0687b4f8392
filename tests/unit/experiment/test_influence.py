"""Influence of networks, and means without extremes: against what is worked out the long way."""

from __future__ import annotations

import math
import random
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeprices.experiment.evidence import SampleMoments, Stratum, sample_moments, trimmed_moments
from homeprices.experiment.influence import MOST, ToldDifference, Voice, without_networks
from homeprices.experiment.treatment_effect import stratified_difference


def difference(voices: list[Voice], strata: int) -> float:
    """The difference of mean ratings over strata."""
    found = [
        Stratum(
            epoch=place,
            share=20,
            ratings=tuple(
                sample_moments(voice.stars for voice in voices if (voice.stratum, voice.variant) == (place, variant))
                for variant in (0, 1)
            ),
        )
        for place in range(strata)
    ]
    return stratified_difference([stratum for stratum in found if all(sample.n for sample in stratum.ratings)])[0]


def many_voices(seed: int, networks: int) -> list[Voice]:
    drawn = random.Random(seed)
    return [
        Voice(f"n{drawn.randrange(networks)}", *place, float(drawn.randint(1, 5)))
        for place in product((0, 1), (0, 1))
        for _ in range(100)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_the_networks_whose_removal_moves_the_difference_most_are_told(seed: int) -> None:
    voices = many_voices(seed, 60)
    names = {voice.network for voice in voices}
    by_removal = sorted(names, key=lambda name: difference([row for row in voices if row.network != name], 2))
    told = {left.network for left in without_networks(voices, [], 2)}
    assert len(told) == 2 * MOST
    assert {by_removal[0], by_removal[-1]} <= told


def test_what_remains_is_what_the_others_said() -> None:
    voices = [Voice("a", 0, 0, 1.0), Voice("b", 0, 0, 5.0), Voice("b", 0, 1, 2.0), Voice(None, 0, 1, 4.0)]
    prices = [ToldDifference("a", 0.2), ToldDifference("b", 0.1), ToldDifference(None, 0.0)]
    first, second = without_networks(voices, prices, 1)
    assert (first.network, first.voices, first.price_difference.mean) == ("a", 2, 0.05)
    assert first.ratings == ((SampleMoments(n=1, mean=5.0), SampleMoments(n=2, mean=3.0, variance=2.0)),)
    assert (second.network, second.voices) == ("b", 3)
    assert second.ratings == ((SampleMoments(n=1, mean=1.0), SampleMoments(n=1, mean=4.0)),)


def test_a_network_that_is_all_of_a_variant_leaves_nothing_to_compare() -> None:
    found = without_networks([Voice("a", 0, 1, 5.0), Voice("b", 0, 0, 3.0), Voice("c", 0, 0, 3.0)], [], 1)
    assert next(left for left in found if left.network == "a").ratings[0][1].n == 0


def test_who_told_the_prices_that_speak_most_against_the_candidate_is_told() -> None:
    prices = [ToldDifference(f"n{place}", place / 1000) for place in range(50)]
    assert {left.network for left in without_networks([], prices, 0)} == {f"n{place}" for place in range(40, 50)}


def test_nobody_leaves_nothing_out() -> None:
    assert without_networks([], [], 1) == ()


def test_a_trimmed_mean_by_hand() -> None:
    """Ten values without the lowest and the highest; those count as the nearest in the variance (Yuen)."""
    found = trimmed_moments([1, 2, 2, 3, 3, 3, 4, 4, 5, 100], 0.1)
    winsorized = sample_moments([2, 2, 2, 3, 3, 3, 4, 4, 5, 5])
    assert (found.n, found.mean) == (10, 26 / 8)
    assert found.variance == pytest.approx(winsorized.variance / 0.8**2)


def test_few_values_are_trimmed_to_nothing() -> None:
    assert trimmed_moments([1.0, 5.0], 0.05) == SampleMoments()
    assert trimmed_moments([1.0, 3.0, 5.0], 0.05) == SampleMoments(n=3, mean=3.0)
    assert trimmed_moments([math.nan], 0.05) == SampleMoments()


@given(st.lists(st.integers(1, 5), min_size=40, max_size=200))
def test_one_voice_in_twenty_moves_a_trimmed_mean_less_than_the_mean(stars: list[int]) -> None:
    few = math.floor(0.05 * len(stars))
    honest, bought = trimmed_moments(stars, 0.05), trimmed_moments([*stars[few:], *[5000] * few], 0.05)
    assert bought.mean <= 5 < sample_moments([*stars[few:], *[5000] * few]).mean
    assert honest.n == bought.n == len(stars)
