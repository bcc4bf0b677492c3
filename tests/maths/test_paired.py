"""Paired differences against published examples, by hand, and by simulated coverage."""

from itertools import product
from math import comb

import numpy as np
import pytest

from cnn_jax.maths.paired import mcnemar, paired_mean_interval, tango_interval


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        # Bentur et al. 2009 in Fagerland, Lydersen and Laake 2014: three digits.
        ((1, 7, 21), (-0.517, -0.026)),
        # Cavo et al. 2012 in the tests of the R package contingencytables: four digits.
        ((6, 16, 161), (-0.1240, -0.0054)),
    ],
)
def test_tangos_interval_against_published_examples(counts, expected):
    digits = 3 if counts[2] == 21 else 4
    assert tuple(round(end, digits) for end in tango_interval(*counts)) == expected


def test_tangos_interval_where_nobody_differs_is_that_of_no_event_by_wilson():
    # z(d) = -sqrt(N d / (1 - d)), so d = z^2 / (N + z^2); z = 1.959964.
    low, high = tango_interval(0, 0, 54)
    assert high == pytest.approx(1.959964**2 / (54 + 1.959964**2), rel=1e-6)
    assert low == -high


def test_tangos_interval_turns_round_with_its_arguments_and_stays_in_range():
    for b, c in product(range(8), repeat=2):
        n = max(b + c, 7)
        low, high = tango_interval(b, c, n)
        turned = tango_interval(c, b, n)
        assert (low, high) == pytest.approx((-turned.high, -turned.low), abs=1e-12)
        assert -1 <= low <= (b - c) / n <= high <= 1
        assert low < high
    assert tango_interval(7, 0, 7).high == 1.0
    assert tango_interval(0, 7, 7).low == -1.0


def test_tangos_interval_leaves_0_out_where_mcnemars_score_test_rejects():
    for b, c in product(range(0, 40, 3), repeat=2):
        if b + c == 0:
            continue
        low, high = tango_interval(b, c, 200)
        rejected = (b - c) ** 2 / (b + c) > 1.959964**2
        assert (low > 0 or high < 0) == rejected, (b, c)


# Rates of: only the first wrong, only the second wrong.
TRUTHS = [(0.01, 0.01), (0.02, 0.005), (0.1, 0.1), (0.1, 0.05), (0.3, 0.2), (0.0, 0.0)]


@pytest.mark.parametrize(("only_first", "only_second"), TRUTHS)
def test_tangos_interval_covers(only_first, only_second):
    trials, n = 1500, 300
    random = np.random.default_rng(int(1000 * only_first))
    rates = [only_first, only_second, 1 - only_first - only_second]
    counts, times = np.unique(
        random.multinomial(n, rates, trials)[:, :2], axis=0, return_counts=True
    )
    inside = 0
    for (b, c), often in zip(counts, times, strict=True):
        low, high = tango_interval(int(b), int(c), n)
        # 1e-9: a truth on the very end is inside.
        inside += often * (low - 1e-9 <= only_first - only_second <= high + 1e-9)
    # Three standard errors of the simulation, and 1 % for an interval that is asymptotic.
    assert inside / trials >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / trials) - 0.01


def test_mcnemars_exact_test_is_the_sign_test_of_the_discordant_pairs():
    for b, c in product(range(9), repeat=2):
        n, k = b + c, min(b, c)
        expected = min(1.0, 2 * sum(comb(n, i) for i in range(k + 1)) / 2**n)
        assert mcnemar(b, c) == pytest.approx(expected, rel=1e-12)
    assert mcnemar(1, 7) == pytest.approx(18 / 256)  # 2 (1 + 8) / 2^8
    assert mcnemar(6, 16) == pytest.approx(0.052479, abs=5e-7)  # printed with six digits
    assert mcnemar(0, 0) == 1.0
    assert 0 < mcnemar(300, 500) < 1e-10


def test_mcnemars_exact_test_rejects_in_at_most_five_percent():
    random = np.random.default_rng(1)
    trials = 2000
    pairs = random.binomial(500, 0.06, trials)
    first = random.binomial(pairs, 0.5)
    rejected = [
        mcnemar(int(x), int(n - x)) < 0.05 for x, n in zip(first, pairs, strict=True)
    ]
    assert np.mean(rejected) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / trials)


def test_what_is_common_to_a_pair_cancels():
    base = np.array([0.1, 3.0, 0.7, 9.0])
    mean, interval = paired_mean_interval(base + 0.25, base)
    assert mean == pytest.approx(0.25)
    # 1e-12: differences of floats near 9.
    assert interval == pytest.approx((0.25, 0.25), abs=1e-12)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: tango_interval(3, 3, 5), "3 and 3 discordant examples of 5"),
        (lambda: tango_interval(-1, 3, 5), "-1"),
        (lambda: tango_interval(0, 0, 0), "examples"),
        (lambda: mcnemar(-1, 2), "-1"),
        (lambda: paired_mean_interval([1.0], [1.0, 2.0]), "same examples"),
    ],
)
def test_impossible_counts_are_refused(call, word):
    with pytest.raises(ValueError, match=word):
        call()
