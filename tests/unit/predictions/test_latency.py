import math
import random

import pytest

from homeprices.predictions.sketches import ACCURACY, GAMMA, quantile


@pytest.mark.parametrize("share", [0.01, 0.5, 0.95, 1.0])
def test_a_quantile_is_within_five_percent_whatever_the_distribution(share: float) -> None:
    chance = random.Random(5)
    values = sorted([chance.expovariate(1 / 3) + 0.01 for _ in range(5000)] + [10 ** chance.uniform(-2, 4)] * 500)
    counts: dict[int, int] = {}
    for value in values:
        bucket = math.floor(math.log(value) / math.log(GAMMA))
        counts[bucket] = counts.get(bucket, 0) + 1
    true = values[math.ceil(share * len(values)) - 1]
    assert quantile(counts, share) == pytest.approx(true, rel=ACCURACY)


def test_without_requests_there_is_no_quantile() -> None:
    assert quantile({}, 0.95) is None
