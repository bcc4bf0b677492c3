"""What a handful of seeds can say about an error rate: intervals that hold their promise.

An error rate is a count divided by the number of test images, so three or five seeds
often give the same value. The plain Student interval then has no width at all, and says
with certainty what nobody knows. Every interval over seeds in this package is therefore
Student's, widened in quadrature by the *resolution* of the test set (``resolution``):

    half_width(c)^2 = t(c)^2 (s^2 / n  +  r^2 / t(0.95)^2),   r = max(1, 3 / n) / N

with ``n`` seeds, spread ``s`` (n - 1 in the denominator), ``N`` test images and ``t(c)``
the two-sided Student quantile at confidence ``c`` with n - 1 degrees of freedom. At
95 % no interval is narrower than one test image on either side. Where ``s`` is several
images wide the widening is a percent or less. Why these numbers: a true rate anywhere
between two neighbouring counts can round to the same count (half an image for a rate, a
whole one for the difference of two), and a rare mistake that none of n seeds made may
still happen ``-log(0.05) = 3.0`` times in n runs (the "rule of three", Hanley and
Lippman-Hand, "If nothing goes wrong, is everything all right?", JAMA 249, 1983). The
coverage is checked by simulation in ``tests/study/test_statistics.py``.

Every function is vectorised: seeds are the last axis, leading axes are independent.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special  # a tenth of the import time of scipy.stats

from cnn_jax.maths.intervals import CONFIDENCE, Floats, wilson_interval

__all__ = [
    "CONFIDENCE",
    "Agreement",
    "Estimate",
    "holm",
    "mean_interval",
    "paired_interval",
    "rank_agreement",
    "resolution",
    "simultaneous_confidence",
    "wilson_interval",
]


class Estimate(NamedTuple):
    """A mean over seeds with its interval; fractions, not percent.

    ``low`` and ``high`` are cut at the ends of what is possible (0 and 1 for a rate, -1
    and 1 for a difference); ``half_width`` is not. ``p_value`` is that of the two-sided
    test against 0 which belongs to the interval: it is below 1 - confidence exactly where
    the interval leaves 0 out. It means something for differences only.
    """

    mean: Floats
    low: Floats
    high: Floats
    half_width: Floats
    p_value: Floats


def resolution(seeds: int, examples: int) -> float:
    """Return the least half-width of a 95 % interval: one test image (1.5 for 2 seeds)."""
    # A difference of exactly one image lies on the end of its interval; the last factor
    # keeps it inside whatever the last bit of a division says.
    return max(1.0, 3.0 / seeds) / examples * (1 + 1e-9)


def mean_interval(
    errors: ArrayLike, *, examples: int, confidence: float = CONFIDENCE
) -> Estimate:
    """Return the mean error over seeds and its widened Student interval.

    It covers what training draws at random (weights, order, augmentation) on *this* test
    set; for the chance in the test set itself see ``wilson_interval``.

    Args:
        errors: shape (..., seeds), fractions of the test set.
        examples: test images that each error was counted on.
        confidence: of the interval, in (0, 1).

    Raises:
        ValueError: fewer than two seeds, or a value out of its range.
    """
    values = _checked(errors, examples, confidence)
    return _student(values, examples, confidence, lowest=0.0)


def paired_interval(
    arm: ArrayLike, baseline: ArrayLike, *, examples: int, confidence: float = CONFIDENCE
) -> Estimate:
    """Return the mean of ``arm - baseline`` over common seeds and its interval.

    Runs with the same seed share data order, augmentation and split, so what is common
    to both cancels in the difference (Student's paired t interval, widened as above).

    Args:
        arm: errors of shape (..., seeds), fractions.
        baseline: the same seeds in the same order, broadcast against ``arm``.
        examples: test images; both were counted on the same ones.
        confidence: of the interval, in (0, 1).

    Raises:
        ValueError: the seeds do not match, fewer than two, or a value out of its range.
    """
    first = _checked(arm, examples, confidence)
    second = _checked(baseline, examples, confidence)
    if first.shape[-1] != second.shape[-1]:
        raise ValueError(
            f"pairs need the same seeds: got {first.shape[-1]} and {second.shape[-1]}"
        )
    return _student(first - second, examples, confidence, lowest=-1.0)


def _student(values: Floats, examples: int, confidence: float, lowest: float) -> Estimate:
    seeds = values.shape[-1]
    freedom = seeds - 1
    mean = values.mean(axis=-1)
    # At 95 % the second term alone is a half-width of `resolution`.
    least = resolution(seeds, examples) / special.stdtrit(freedom, 0.5 + CONFIDENCE / 2)
    error = np.sqrt(values.var(axis=-1, ddof=1) / seeds + least**2)
    half_width = special.stdtrit(freedom, 0.5 + confidence / 2) * error
    return Estimate(
        mean=mean,
        low=np.maximum(mean - half_width, lowest),
        high=np.minimum(mean + half_width, 1.0),
        half_width=half_width,
        p_value=2.0 * special.stdtr(freedom, -np.abs(mean) / error),
    )


def _checked(errors: ArrayLike, examples: int, confidence: float) -> Floats:
    values = np.asarray(errors, dtype=np.float64)
    if values.ndim == 0 or values.shape[-1] < 2:
        raise ValueError(f"an interval needs two seeds or more; got shape {values.shape}")
    if not ((values >= 0.0) & (values <= 1.0)).all():
        raise ValueError("errors must be fractions in [0, 1]")
    if examples < 1:
        raise ValueError(f"examples must be positive; got {examples}")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must be in (0, 1); got {confidence}")
    return values


def simultaneous_confidence(comparisons: int, confidence: float = CONFIDENCE) -> float:
    """Return the confidence that each of several intervals needs for all to hold at once.

    Bonferroni: ``1 - (1 - confidence) / m``, whatever the dependence (the arms share a
    baseline). Holm's step-down test has no informative interval of its own: the regions
    that belong to it say nothing about the size of an effect that it rejects, unless all
    are rejected (Guilbaud, Biometrical Journal 50, 2008), and the often seen intervals at
    the stepwise levels ``alpha / (m - i + 1)`` miss too often together. So intervals are
    Bonferroni's, p-values Holm's; where the interval leaves 0 out, Holm rejects too.
    """
    if comparisons < 1:
        raise ValueError(f"comparisons must be positive; got {comparisons}")
    return 1.0 - (1.0 - confidence) / comparisons


def holm(p_values: ArrayLike) -> Floats:
    """Return Holm's step-down adjusted p-values; the last axis is the family.

    Sorted upwards, ``p~(i) = max over j <= i of min(1, (m - j + 1) p(j))``; Holm, "A
    simple sequentially rejective multiple test procedure", Scand. J. Statist. 6, 1979.
    """
    p = np.asarray(p_values, dtype=np.float64)
    family = p.shape[-1]
    order = np.argsort(p, axis=-1, kind="stable")
    scaled = np.take_along_axis(p, order, axis=-1) * np.arange(family, 0, -1)
    stepped = np.minimum(np.maximum.accumulate(scaled, axis=-1), 1.0)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, stepped, axis=-1)
    return adjusted


class Agreement(NamedTuple):
    """How far two orders of the same arms agree.

    Attributes:
        spearman: rank correlation, None for fewer than three arms or a constant list.
        pairs: pairs of arms that ``theirs`` orders (ties order nothing).
        same: pairs that ``ours`` puts in the same order.
        resolved: pairs whose difference our seeds resolve, all pairs taken together.
        resolved_same: resolved pairs in the same order.
    """

    spearman: float | None
    pairs: int
    same: int
    resolved: int
    resolved_same: int


def rank_agreement(
    ours: Sequence[float], theirs: Sequence[float], resolved: ArrayLike
) -> Agreement:
    """Return how far our order of the arms agrees with a published one.

    Args:
        ours: one error an arm.
        theirs: the published number of the same arms, larger is worse.
        resolved: shape (arms, arms), symmetric; whether our difference is resolved.
    """
    mine, other = np.asarray(ours, float), np.asarray(theirs, float)
    first, second = np.triu_indices(len(mine), k=1)
    asked = other[first] != other[second]
    agree = asked & ((mine[first] - mine[second]) * (other[first] - other[second]) > 0)
    clear = asked & np.asarray(resolved, bool)[first, second]
    spearman = None
    if len(mine) >= 3 and np.ptp(mine) > 0 and np.ptp(other) > 0:
        spearman = float(np.corrcoef(_ranks(mine), _ranks(other))[0, 1])
    return Agreement(
        spearman=spearman,
        pairs=int(asked.sum()),
        same=int(agree.sum()),
        resolved=int(clear.sum()),
        resolved_same=int((clear & agree).sum()),
    )


def _ranks(values: Floats) -> Floats:
    """Return ranks from 1; equal values share the mean of theirs."""
    below = (values[None, :] < values[:, None]).sum(axis=1)
    equal = (values[None, :] == values[:, None]).sum(axis=1)
    return below + (equal + 1) / 2
