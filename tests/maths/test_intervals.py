"""Intervals of means and rates against hand-worked numbers."""

import numpy as np
import pytest

from cnn_jax.maths.intervals import student_interval, wilson_interval
from cnn_jax.study import statistics

T2 = 4.30265  # two-sided 95 % quantile of Student's t with 2 degrees, from printed tables


def test_students_interval_by_hand():
    mean, interval = student_interval([1.0, 2.0, 6.0])  # squared deviations 4 + 1 + 9
    assert mean == pytest.approx(3.0)
    reach = T2 * np.sqrt(14 / 2 / 3)
    # 1e-5: a quantile of six digits.
    assert interval == pytest.approx((3 - reach, 3 + reach), rel=1e-5)
    _, stricter = student_interval([1.0, 2.0, 6.0], confidence=0.99)
    assert stricter.low < interval.low


def test_one_value_has_a_mean_and_no_interval():
    assert student_interval([0.5]) == (0.5, None)


@pytest.mark.parametrize("values", [[], [[1.0, 2.0]], [1.0, np.nan], [np.inf, 1.0]])
def test_what_has_no_mean_is_refused(values):
    with pytest.raises(ValueError, match="finite values"):
        student_interval(values)


def test_students_interval_of_skewed_losses_covers_their_mean():
    random = np.random.default_rng(0)
    losses = random.exponential(0.3, (2000, 500))
    found = [student_interval(sample)[1] for sample in losses]
    inside = np.mean([low <= 0.3 <= high for low, high in found])
    assert abs(inside - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 2000)  # three standard errors


def test_a_study_uses_the_same_wilson_interval():
    assert statistics.wilson_interval is wilson_interval
