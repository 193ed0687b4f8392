"""Several teachers as one."""

from __future__ import annotations

import numpy as np

from homeprices.model.distillation import Teacher, mean_of
from homeprices.model.feature_columns import Matrix
from homeprices.model.feature_matrix import Prices


class Says:
    """The same of every home."""

    def __init__(self, log_price: float) -> None:
        self._log_price = log_price

    def predict(self, matrix: Matrix) -> Prices:
        return np.full(len(matrix), self._log_price)


def test_several_teachers_say_the_mean_of_what_each_says() -> None:
    one, other = (Teacher(((0.6, Says(a)), (0.4, Says(b)))) for a, b in ((1.0, 2.0), (4.0, 9.0)))
    homes = np.zeros((3, 2), dtype=np.float32)
    np.testing.assert_allclose(mean_of([one, other]).predict(homes), (one.predict(homes) + other.predict(homes)) / 2)
    np.testing.assert_allclose(mean_of([one]).predict(homes), one.predict(homes))
