"""The expected calibration error against a loop and by hand."""

import numpy as np
import pytest

from cnn_jax.evaluation.calibration import calibration
from cnn_jax.evaluation.measures import Unknown
from tests.evaluation.made_predictions import predictions, random_predictions


def test_the_calibration_error_by_hand():
    # Confidences .9 (right), .9 (wrong), .6 (right): bins (.8667, .9333] and (.5333, .6].
    rows = np.log([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4]])
    found = calibration(predictions(rows, [0, 1, 0]))
    # 1e-6: logarithms in float32.
    assert found.ece == pytest.approx(2 / 3 * abs(0.5 - 0.9) + 1 / 3 * (1 - 0.6), rel=1e-6)
    assert found.confidence == pytest.approx(0.8, rel=1e-6)
    assert found.accuracy == pytest.approx(2 / 3)
    (lower, upper) = (one for one in found.bins if one.examples)
    assert (lower.low, lower.high) == pytest.approx((8 / 15, 9 / 15))
    assert (upper.examples, upper.accuracy) == (2, 0.5)


def test_the_calibration_error_against_a_loop():
    made = random_predictions(0, examples=500)
    confidence = np.exp(made.log_probabilities.max(-1).astype(float))
    right = made.log_probabilities.argmax(-1) == made.labels
    expected = 0.0
    for m in range(15):
        inside = [m / 15 < p <= (m + 1) / 15 for p in confidence]
        if any(inside):
            gap = right[inside].mean() - confidence[inside].mean()
            expected += sum(inside) / 500 * abs(gap)
    found = calibration(made)
    assert found.ece == pytest.approx(expected, rel=1e-12)
    assert sum(one.examples for one in found.bins) == 500


def test_a_certain_guess_is_in_the_last_bin_and_a_flat_one_in_its_own():
    found = calibration(predictions([[0.0, -50.0], [1e-7, -50.0]], [0, 0]))
    assert found.bins[-1].examples == 2  # 1e-7: a mean of probabilities, rounded up
    assert found.ece == 0.0
    flat = calibration(predictions([[-np.log(2)] * 2], [0]), bins=2)
    assert [one.examples for one in flat.bins] == [1, 0]  # (0, 1/2] holds 1/2
    assert flat.bins[1].accuracy is None


def test_a_calibrated_network_has_a_small_error():
    random = np.random.default_rng(0)
    p = random.uniform(0.5, 1.0, 40_000)
    labels = (random.random(40_000) > p).astype(int)
    rows = np.log(np.stack([p, 1 - p], axis=-1))
    # The mean of 8 bins' absolute errors; each bin has 5,000 examples, so 0.5 % or so.
    assert calibration(predictions(rows, labels)).ece < 0.01


def test_a_score_that_is_not_finite_leaves_no_calibration():
    assert isinstance(calibration(predictions([[np.nan, 0.0]], [0])), Unknown)
