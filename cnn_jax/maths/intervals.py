"""Intervals of rates and means that were counted on a finite set of examples."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special  # a tenth of the import time of scipy.stats

CONFIDENCE = 0.95
"""Of every interval that a report prints, unless it says otherwise."""

Floats = NDArray[np.float64]


class Interval(NamedTuple):
    """The two ends of an interval."""

    low: float
    high: float


def wilson_interval(
    error: ArrayLike, examples: int, confidence: float = CONFIDENCE
) -> tuple[Floats, Floats]:
    """Return Wilson's score interval of an error rate on a finite test set.

    ``(p + z^2/2N -+ z sqrt(p(1-p)/N + z^2/4N^2)) / (1 + z^2/N)``; Wilson, "Probable
    inference, the law of succession, and statistical inference", JASA 22, 1927.

    For a mean over seeds, N stays the number of test images: every seed is tested on the
    same ones, so seeds x N independent trials were never made. The mean of several
    networks varies no more from test set to test set than one network does (the variance
    over images of a mean of 0/1 mistakes is at most p(1 - p)), so this is on the safe side.

    Args:
        error: fraction of mistakes, any shape.
        examples: test images N.
        confidence: of the interval, in (0, 1).

    Returns:
        The lower and the upper end, the shape of ``error``.

    Raises:
        ValueError: no examples, or an error outside [0, 1].
    """
    p = np.asarray(error, dtype=np.float64)
    if examples < 1:
        raise ValueError(f"examples must be positive; got {examples}")
    if not ((p >= 0.0) & (p <= 1.0)).all():
        raise ValueError("errors must be fractions in [0, 1]")
    z = float(special.ndtri(0.5 + confidence / 2))
    centre = p + z**2 / (2 * examples)
    reach = z * np.sqrt(p * (1 - p) / examples + z**2 / (4 * examples**2))
    scale = 1 + z**2 / examples
    # Rounding alone would leave 1e-19 where the formula gives exactly 0 or 1.
    low = np.where(p == 0.0, 0.0, (centre - reach) / scale)
    high = np.where(p == 1.0, 1.0, (centre + reach) / scale)
    return low, high


def student_interval(
    values: ArrayLike, confidence: float = CONFIDENCE
) -> tuple[float, Interval | None]:
    """Return the mean of one value an example, and Student's interval of that mean.

    ``mean -+ t s / sqrt(N)`` with N - 1 degrees of freedom. The values need not be normal:
    for the hundreds of examples of a test set their mean nearly is. A loss is skewed, so
    for a handful of examples the interval is only a rough one.

    Args:
        values: shape [N], finite, N at least 1.
        confidence: of the interval, in (0, 1).

    Returns:
        The mean, and the interval; None for one value, which says nothing of the spread.

    Raises:
        ValueError: no value, or one that is not finite.
    """
    given = np.asarray(values, dtype=np.float64)
    if given.ndim != 1 or given.size == 0 or not np.isfinite(given).all():
        raise ValueError(f"expected finite values of shape [N], N > 0; got {given.shape}")
    mean = float(given.mean())
    if given.size == 1:
        return mean, None
    t = float(special.stdtrit(given.size - 1, 0.5 + confidence / 2))
    half_width = t * float(given.std(ddof=1)) / given.size**0.5
    return mean, Interval(mean - half_width, mean + half_width)
