"""The statistics against hand-worked numbers, and their coverage by simulation."""

import numpy as np
import pytest

from cnn_jax.study.statistics import (
    holm,
    mean_interval,
    paired_interval,
    rank_agreement,
    resolution,
    simultaneous_confidence,
    wilson_interval,
)

# Two-sided 95 % quantiles of Student's t from the printed tables, 2 and 4 degrees.
T2, T4 = 4.30265, 2.77645

TRIALS = 4000
# Three standard errors of a coverage of 95 % estimated from TRIALS independent trials.
# Each cell of a grid is held to it, so the seeds of the generators are fixed.
SLACK = 3 * np.sqrt(0.95 * 0.05 / TRIALS)
SPREADS = (0.0, 0.1, 0.3, 0.5, 1.0, 2.0, 5.0, 30.0)  # in test images
SHIFTS = (0.0, 0.25, 0.45, 0.5, 0.8)  # of the true rate from the lattice, in test images


def covers(estimate, truth):
    # 1e-12: a truth on the very end of an interval is inside, whatever the last bit says.
    return np.mean((estimate.low <= truth + 1e-12) & (truth - 1e-12 <= estimate.high))


def rounded_normal(random, images, spread, seeds, examples):
    """Error rates whose count is a normal number of ``images``, rounded."""
    counts = np.rint(images + spread * random.standard_normal((TRIALS, seeds)))
    return np.clip(counts, 0, examples) / examples


@pytest.mark.parametrize("examples", [360, 500])
@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_mean_intervals_of_rounded_rates_cover_at_every_spread(seeds, examples):
    random = np.random.default_rng(seeds * examples)
    for spread in SPREADS:
        for shift in SHIFTS:
            images = 150 + shift
            errors = rounded_normal(random, images, spread, seeds, examples)
            estimate = mean_interval(errors, examples=examples)
            assert covers(estimate, images / examples) >= 0.95 - SLACK, (spread, shift)


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_mean_intervals_of_binomial_rates_cover_from_rare_to_common_mistakes(seeds):
    random = np.random.default_rng(seeds)
    for expected in (0.05, 0.2, 0.5, 0.62, 0.8, 1.0, 1.5, 2, 3, 5, 10, 40, 180):
        p = expected / 360
        errors = random.binomial(360, p, (TRIALS, seeds)) / 360
        assert covers(mean_interval(errors, examples=360), p) >= 0.95 - SLACK, expected


@pytest.mark.parametrize("correlation", [0.0, 0.8])
@pytest.mark.parametrize("seeds", [3, 5])
def test_paired_intervals_of_rounded_rates_cover_at_every_spread(seeds, correlation):
    random = np.random.default_rng(seeds)
    for spread in SPREADS:
        for shift in SHIFTS:
            # The worst case of rounding: both arms just short of the next count.
            images = 250 + shift, 250.5 - shift
            common = random.standard_normal((TRIALS, seeds))
            own = random.standard_normal((2, TRIALS, seeds))
            noise = np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own
            arm, base = (
                np.rint(m + spread * z) / 500 for m, z in zip(images, noise, strict=True)
            )
            estimate = paired_interval(arm, base, examples=500)
            truth = (images[0] - images[1]) / 500
            assert covers(estimate, truth) >= 0.95 - SLACK, (spread, shift)


@pytest.mark.parametrize("seeds", [3, 5])
def test_four_arms_without_effect_are_called_different_in_five_percent_at_most(seeds):
    random = np.random.default_rng(seeds)
    for expected in (0.3, 1.0, 4.0, 30.0):
        errors = random.binomial(360, expected / 360, (5, TRIALS, seeds)) / 360
        confidence = simultaneous_confidence(4)
        estimate = paired_interval(
            errors[1:], errors[0], examples=360, confidence=confidence
        )
        outside = (estimate.low > 0) | (estimate.high < 0)
        assert np.mean(outside.any(axis=0)) <= 0.05 + SLACK, expected
        rejected = holm(np.moveaxis(estimate.p_value, 0, -1)) <= 0.05
        assert np.mean(rejected.any(axis=-1)) <= 0.05 + SLACK, expected


@pytest.mark.parametrize("seeds", [3, 5])
def test_intervals_of_four_arms_cover_their_differences_together(seeds):
    random = np.random.default_rng(10 + seeds)
    images = np.array([120.0, 120.4, 123.0, 131.7, 180.0])
    confidence = simultaneous_confidence(4)
    for spread in (0.0, 0.4, 1.0, 3.0, 10.0):
        noise = spread * random.standard_normal((5, TRIALS, seeds))
        errors = np.rint(images[:, None, None] + noise) / 360
        estimate = paired_interval(
            errors[1:], errors[0], examples=360, confidence=confidence
        )
        truth = (images[1:, None] - images[0]) / 360
        inside = (estimate.low <= truth + 1e-12) & (truth - 1e-12 <= estimate.high)
        assert np.mean(inside.all(axis=0)) >= 0.95 - SLACK, spread


@pytest.mark.parametrize(("seeds", "t"), [(3, T2), (5, T4)])
def test_equal_values_leave_one_test_image_on_either_side(seeds, t):
    estimate = mean_interval([0.1] * seeds, examples=500)
    # 1e-6: the printed quantiles have six digits.
    assert estimate.half_width == pytest.approx(1 / 500, rel=1e-6)
    stricter = mean_interval([0.1] * seeds, examples=500, confidence=0.99)
    assert stricter.half_width > 1.5 / 500
    assert resolution(2, 500) == pytest.approx(1.5 / 500)


def test_the_half_width_is_that_of_the_formula():
    errors = np.array([0.10, 0.12, 0.17])  # mean 0.13, squared deviations 9 + 1 + 16 e-4
    expected = np.hypot(T2 * np.sqrt(13e-4 / 3), 1 / 400)
    estimate = mean_interval(errors, examples=400)
    assert estimate.mean == pytest.approx(0.13)
    # 1e-5: quantiles of six digits.
    assert estimate.half_width == pytest.approx(expected, rel=1e-5)
    assert estimate.low == pytest.approx(0.13 - expected, rel=1e-4)


def test_the_widening_is_small_where_the_spread_is_large():
    errors = np.array([20, 32, 41, 47, 60]) / 360  # spread of 15 images
    plain = T4 * errors.std(ddof=1) / np.sqrt(5)
    widened = mean_interval(errors, examples=360).half_width
    assert 1.0 < widened / plain < 1.01


def test_a_rate_stays_between_0_and_1_and_a_difference_may_be_negative():
    estimate = mean_interval([0.0, 0.0, 0.01], examples=100)
    assert estimate.low == 0.0
    pair = paired_interval([0.0, 0.01, 0.0], [0.3, 0.31, 0.3], examples=100)
    assert pair.high < 0.0
    assert pair.mean == pytest.approx(-0.3)


def test_what_is_common_to_a_pair_cancels():
    base = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    pair = paired_interval(base + 0.05, base, examples=1000)
    assert pair.half_width == pytest.approx(1 / 1000)
    assert pair.low > 0.0


def test_the_p_value_says_what_the_interval_says_at_every_confidence():
    random = np.random.default_rng(7)
    arm, base = random.integers(30, 45, (2, 300, 4)) / 360
    for confidence in (0.5, 0.8, 0.95, 0.9875):
        pair = paired_interval(arm, base, examples=360, confidence=confidence)
        outside = (pair.low > 0) | (pair.high < 0)
        np.testing.assert_array_equal(outside, pair.p_value < 1 - confidence)
        assert outside.any()
        assert not outside.all()


def test_holm_by_hand():
    # Sorted .01 .02 .03 .04 times 4 3 2 1: .04 .06 .06 .04, then the running maximum.
    np.testing.assert_allclose(holm([0.03, 0.01, 0.04, 0.02]), [0.06, 0.04, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.9, 0.6]), [1.0, 1.0])
    np.testing.assert_allclose(holm([[0.01, 0.5]]), [[0.02, 0.5]])


def test_a_simultaneous_interval_without_0_is_rejected_by_holm_too():
    p = np.random.default_rng(3).uniform(0, 0.1, (500, 4))
    bonferroni = p <= 1 - simultaneous_confidence(4)
    assert (holm(p)[bonferroni] <= 0.05 + 1e-12).all()


def test_wilson_against_the_printed_example():
    # Newcombe, Statistics in Medicine 17, 1998, Table I, method 3: 81 of 263.
    low, high = wilson_interval(81 / 263, 263)
    assert (round(float(low), 4), round(float(high), 4)) == (0.2553, 0.3662)
    low, high = wilson_interval(np.array([0.0, 1.0]), 20)  # ibid.: 0 of 20, upper .1611
    np.testing.assert_allclose(low, [0.0, 1 - 0.1611], atol=5e-5)  # four digits printed
    np.testing.assert_allclose(high, [0.1611, 1.0], atol=5e-5)


def test_agreement_counts_pairs_and_skips_ties():
    everything = np.ones((4, 4), bool)
    found = rank_agreement([1, 2, 3, 4], [10, 30, 20, 40], everything)
    assert (found.pairs, found.same, found.resolved_same) == (6, 5, 5)
    assert found.spearman == pytest.approx(0.8)  # 1 - 6 * 2 / (4 * 15)
    nothing = np.zeros((4, 4), bool)
    tied = rank_agreement([1, 2, 3, 4], [10, 10, 20, 40], nothing)
    assert (tied.pairs, tied.same, tied.resolved) == (5, 5, 0)
    # Ranks 1.5 1.5 3 4 against 1 2 3 4: covariance 4.5, squares 4.5 and 5.
    assert tied.spearman == pytest.approx(4.5 / np.sqrt(4.5 * 5))
    assert rank_agreement([1, 2], [3, 4], np.ones((2, 2), bool)).spearman is None
    assert rank_agreement([1, 2, 3], [4, 4, 4], np.ones((3, 3), bool)).pairs == 0


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: mean_interval([0.1], examples=10), "two seeds"),
        (lambda: mean_interval([0.1, 3.0], examples=10), "fractions"),
        (lambda: mean_interval([0.1, np.nan], examples=10), "fractions"),
        (lambda: mean_interval([0.1, 0.1], examples=0), "examples"),
        (lambda: mean_interval([0.1, 0.1], examples=9, confidence=95), "confidence"),
        (lambda: paired_interval([0.1, 0.1], [0.1] * 3, examples=9), "same seeds"),
        (lambda: wilson_interval(1.5, 10), "fractions"),
        (lambda: wilson_interval(0.5, 0), "examples"),
        (lambda: simultaneous_confidence(0), "comparisons"),
    ],
)
def test_bad_arguments_are_named(call, word):
    with pytest.raises(ValueError, match=word):
        call()
