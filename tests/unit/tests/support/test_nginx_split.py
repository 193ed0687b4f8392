"""The variant as a pure function. Against real Nginx: tests/integration/router/test_visitors.py."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeprices.release.experiment_record import hundredths
from tests.support.nginx_split import HASH_LIMIT, bound, murmur_hash2, position, unmoved, variant_of

SHARES = st.integers(0, 5000).map(lambda n: n / 100)
VISITORS = st.text(max_size=64)


def test_five_thousand_ids_fall_as_nginx_let_them_fall() -> None:
    """Recorded from nginx 1.22.1 and 1.31.3, which agree: visitors of every length from 1 to 32."""
    ids = [hashlib.md5(str(n).encode(), usedforsecurity=False).hexdigest()[: 1 + n % 32] for n in range(5000)]
    variants = "".join("c" if variant_of("abc", visitor, 12.34) == "candidate" else "p" for visitor in ids)
    assert variants.count("c") == 653
    assert (
        hashlib.sha256(variants.encode()).hexdigest()
        == "190b51ebffba07884144169f537e4b9563e35e95a8340cc602f81c6e7010a7c5"
    )


@pytest.mark.parametrize("text", ["", "a", "ab", "abc", "abcd", "abcde", "ಬೆಂಗಳೂರು", "x" * 1000])
def test_every_length_and_script_has_a_hash_of_32_bits(text: str) -> None:
    assert 0 <= murmur_hash2(text.encode()) <= HASH_LIMIT


@given(VISITORS, SHARES, SHARES)
def test_a_growing_share_moves_nobody_to_production(visitor: str, one: float, other: float) -> None:
    less, more = sorted((one, other))
    if variant_of("salt", visitor, less) == "candidate":
        assert variant_of("salt", visitor, more) == "candidate"


@given(VISITORS, st.lists(SHARES, max_size=5))
def test_a_visitor_is_unmoved_exactly_when_his_arm_is_the_same_in_every_epoch(
    visitor: str, shares: list[float]
) -> None:
    variants = {variant_of("salt", visitor, share) for share in shares}
    assert unmoved("salt", visitor, shares) == (len(variants) <= 1)


@given(VISITORS)
def test_nobody_and_everybody(visitor: str) -> None:
    assert variant_of("salt", visitor, 0) == "production"
    assert bound(100) == HASH_LIMIT


def test_another_salt_draws_the_visitors_anew() -> None:
    ids = [str(number) for number in range(2000)]
    first, second = ({v for v in ids if variant_of(salt, v, 20) == "candidate"} for salt in ("one", "two"))
    assert abs(len(first & second) / len(first) - 0.2) < 0.06
    assert position("one", "7") != position("two", "7")


@pytest.mark.parametrize("share", [-0.01, 100.01, float("nan"), float("inf")])
def test_a_share_outside_its_range_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 100"):
        hundredths(share)
