import hashlib
import math

import pytest

from homeprices.predictions.sketches import REGISTER_BITS, REGISTERS, SKETCH_BITS, distinct_count


def sketch(values: range) -> str:
    """What the SQL aggregate makes, of another hash."""
    bits = bytearray(b"0" * SKETCH_BITS)
    for value in values:
        hashed = int.from_bytes(hashlib.sha256(b"%d" % value).digest()[:8], "big")
        register, rest = hashed % REGISTERS, hashed // REGISTERS
        lowest = min(REGISTER_BITS - 1, (rest & -rest).bit_length() - 1)
        bits[register * REGISTER_BITS + lowest] = ord("1")
    return bits.decode()


def test_none_and_few_visitors_are_counted_exactly() -> None:
    assert [distinct_count(sketch(range(count))) for count in (0, 1, 2, 5)] == [0, 1, 2, 5]


@pytest.mark.parametrize("count", [100, 500, 1000, 1500, 3000, 10_000, 100_000])
def test_the_error_is_that_of_the_paper(count: int) -> None:
    """Over twenty draws the mean is right, and single ones lie within three standard errors."""
    found = [
        distinct_count(sketch(range(draw * count, (draw + 1) * count))) for draw in range(20 if count < 50_000 else 5)
    ]
    standard_error = 0.78 / math.sqrt(REGISTERS)
    assert max(abs(one / count - 1) for one in found) < 3.3 * standard_error
    assert sum(found) / len(found) == pytest.approx(count, rel=0.02)
