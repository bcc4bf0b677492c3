"""Two classifiers on the same examples: the difference of their errors, and its test.

Only the *discordant* examples tell them apart: those that one of the two gets right.
"""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from cnn_jax.maths.intervals import CONFIDENCE, Interval, student_interval

_HALVINGS = 60  # of an interval at most 2 long: below the last bit of the result


def tango_interval(
    only_first: int, only_second: int, examples: int, confidence: float = CONFIDENCE
) -> Interval:
    """Return Tango's score interval of the difference of two paired error rates.

    All differences d that the score test does not reject, |z(d)| at most the normal
    quantile, with b = ``only_first``, c = ``only_second``, N = ``examples``:

        z(d) = (b - c - N d) / sqrt(N (2 q + d (1 - d)))
        q = (sqrt(B^2 - 4 A C) - B) / 2A,   A = 2N,
        B = -b - c + (2N - b + c) d,   C = -c d (1 - d)

    T. Tango, "Equivalence test and confidence interval for the difference in proportions
    for the paired-sample design", Statistics in Medicine 17, 1998. Fagerland, Lydersen and
    Laake, "Recommended tests and confidence intervals for paired binomial proportions",
    Statistics in Medicine 33, 2014, recommend it. It leaves 0 out exactly where McNemar's
    asymptotic test rejects; the exact test (``mcnemar``) is a little stricter. It has a
    width even where the two never differ.

    Args:
        only_first: examples that the first alone gets wrong.
        only_second: examples that the second alone gets wrong.
        examples: all of them, N.
        confidence: of the interval, in (0, 1).

    Returns:
        The ends of the interval of error(first) - error(second), in [-1, 1].

    Raises:
        ValueError: counts that can't be.
    """
    b, c, n = _checked(only_first, only_second, examples)
    quantile = float(special.ndtri(0.5 + confidence / 2))
    observed = (b - c) / n

    def statistic(d: float) -> float:
        half = -b - c + (2 * n - b + c) * d
        root = max(half**2 + 8 * n * c * d * (1 - d), 0.0) ** 0.5
        variance = n * ((root - half) / (2 * n) + d * (1 - d))
        distance = b - c - n * d
        return (
            distance / variance**0.5 if variance > 0 else math.copysign(math.inf, distance)
        )

    def end(rejected: float, sign: int) -> float:
        """Halve the distance between a difference that is kept and one that is not."""
        kept = observed
        for _ in range(_HALVINGS):
            middle = (kept + rejected) / 2
            if sign * statistic(middle) <= quantile:
                kept = middle
            else:
                rejected = middle
        return kept

    low = -1.0 if observed == -1 else end(-1.0, sign=1)
    high = 1.0 if observed == 1 else end(1.0, sign=-1)
    return Interval(low, high)


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided p-value of McNemar's exact test that both err equally often.

    If they do, each discordant example is a fair coin: twice the binomial probability of
    the smaller count or less, at most 1. Q. McNemar, "Note on the sampling error of the
    difference between correlated proportions or percentages", Psychometrika 12, 1947.

    Args:
        only_first: examples that the first alone gets wrong.
        only_second: examples that the second alone gets wrong.

    Raises:
        ValueError: a count below 0.
    """
    discordant = only_first + only_second
    _checked(only_first, only_second, max(discordant, 1))
    if discordant == 0:
        return 1.0
    tail = float(special.bdtr(float(min(only_first, only_second)), discordant, 0.5))
    return min(1.0, 2.0 * tail)


def paired_mean_interval(
    first: ArrayLike, second: ArrayLike, confidence: float = CONFIDENCE
) -> tuple[float, Interval | None]:
    """Return the mean of ``first - second`` over examples, and Student's paired interval.

    Args:
        first: one value an example, shape [N].
        second: of the same examples in the same order.
        confidence: of the interval, in (0, 1).

    Raises:
        ValueError: shapes that differ, no value, or one that is not finite.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.shape != b.shape:
        raise ValueError(f"pairs need the same examples: got {a.shape} and {b.shape}")
    return student_interval(a - b, confidence)


def _checked(b: int, c: int, examples: int) -> tuple[int, int, int]:
    if b < 0 or c < 0 or examples < max(b + c, 1):
        raise ValueError(
            f"{b} and {c} discordant examples of {examples}: counts must be 0 or more and "
            f"no more than the examples, of which there must be one"
        )
    return b, c, examples
