"""Two networks on the same examples: counts, interval, test, refusals."""

import dataclasses

import numpy as np
import pytest

from cnn_jax.errors import UserError
from cnn_jax.evaluation.comparison import compare
from cnn_jax.evaluation.measures import Unknown, losses, ranks
from cnn_jax.maths.paired import mcnemar, tango_interval
from tests.evaluation.made_predictions import SETTING, predictions, random_predictions


def guessing(wrong, examples=100):
    """Two classes, label 0; the examples in ``wrong`` are guessed 1."""
    rows = np.log(np.tile([0.8, 0.2], (examples, 1)))
    rows[list(wrong)] = np.log([0.3, 0.7])
    return predictions(rows, np.zeros(examples))


def test_the_difference_of_two_errors_by_hand():
    first, second = guessing(range(0, 12)), guessing(range(10, 40))  # 10, 11 by both
    found = compare(first, second).top1
    assert (found.first, found.second, found.difference) == (0.12, 0.30, -0.18)
    assert (found.only_first_wrong, found.only_second_wrong, found.both_wrong) == (
        10,
        28,
        2,
    )
    assert found.interval == tango_interval(10, 28, 100)
    assert found.p_value == mcnemar(10, 28)
    assert found.resolved
    turned = compare(second, first).top1
    assert turned.difference == 0.18
    assert turned.interval == pytest.approx((-found.interval.high, -found.interval.low))


def test_a_difference_needs_the_interval_and_the_exact_test():
    # 1 against 7 of 21: Tango's interval leaves 0 out, the exact test has p = 0.07.
    found = compare(guessing([0], 21), guessing(range(1, 8), 21)).top1
    assert found.interval.high < 0
    assert found.p_value > 0.05
    assert not found.resolved


def test_top_5_and_likelihood_are_compared_too():
    first, second = random_predictions(1, examples=400), random_predictions(2, examples=400)
    found = compare(first, second)
    a, b = ranks(first) >= 5, ranks(second) >= 5
    assert found.top5.only_first_wrong == (a & ~b).sum()
    differences = losses(first) - losses(second)
    assert found.nll.difference == pytest.approx(differences.mean())
    half = (found.nll.interval.high - found.nll.interval.low) / 2
    # 1.966: Student's quantile with 399 degrees.
    assert half == pytest.approx(1.966 * differences.std(ddof=1) / 20, rel=1e-3)


def test_a_network_equals_itself():
    made = random_predictions(0)
    found = compare(made, made)
    assert (found.top1.difference, found.top1.p_value) == (0.0, 1.0)
    assert found.top1.interval.low < 0 < found.top1.interval.high
    assert not found.top1.resolved
    assert found.nll.difference == 0.0
    assert not found.nll.resolved


def test_two_networks_of_one_error_rate_are_called_different_in_few_cases():
    random = np.random.default_rng(0)
    trials = 400
    resolved = 0
    for _ in range(trials):
        a, b = (np.flatnonzero(random.random(300) < 0.1) for _ in range(2))
        resolved += compare(guessing(a, 300), guessing(b, 300)).top1.resolved
    assert resolved / trials <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / trials)


def test_what_cannot_be_compared_says_why():
    few = random_predictions(0, classes=4)
    assert isinstance(compare(few, few).top5, Unknown)
    broken = random_predictions(1)
    broken.log_probabilities[0, 0] = np.nan
    found = compare(random_predictions(0), broken)
    assert found.nll == Unknown("made: 1 example has a score that is not finite")
    assert found.top1.examples == 200


def test_predictions_of_other_examples_are_refused():
    made = random_predictions(0)
    other = dataclasses.replace(SETTING, model="other", dataset_label="MNIST")
    elsewhere = dataclasses.replace(other, fingerprint="0")
    with pytest.raises(
        UserError, match=r"made and other .* different data: synth.* and MN"
    ):
        compare(made, made._replace(setting=elsewhere))
    fewer = random_predictions(0, examples=100)
    with pytest.raises(UserError, match="200 and 100 examples"):
        compare(made, fewer)
    relabelled = made._replace(labels=(made.labels + 1) % 7)
    with pytest.raises(UserError, match="other labels"):
        compare(made, relabelled)
    one_crop_against_ten = dataclasses.replace(SETTING, protocol="ten-crop")
    assert compare(made, made._replace(setting=one_crop_against_ten)).top1.difference == 0
