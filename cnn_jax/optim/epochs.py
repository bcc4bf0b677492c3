"""Where an epoch falls among the steps.

Batches may straddle epochs, so steps per epoch is a real number, examples / batch size; a
mark at epoch e holds from the first step that begins at or after it.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

RateFunction = Callable[[Any], Array]
"""From the step count (0 for the first step) to the learning rate, float32."""


def first_step(epoch: float, steps_per_epoch: float) -> int:
    """Return the first step whose index is at least ``epoch * steps_per_epoch``.

    A product that misses a whole number by rounding alone counts as that number: 3 epochs
    of 100 / 3 steps end after step 99, not after step 100.
    """
    exact = epoch * steps_per_epoch
    nearest = round(exact)
    # Real marks lie a multiple of 1 / batch size apart, rounding is near 1e-16.
    if math.isclose(exact, nearest, rel_tol=1e-12):
        return nearest
    return math.ceil(exact)


def stairs(marks: Sequence[int], rates: Sequence[float]) -> RateFunction:
    """Return the function that is ``rates[k]`` once ``k`` of the ``marks`` are reached.

    Whole numbers are compared, so no rounding moves a mark.

    Args:
        marks: steps, not decreasing.
        rates: one more than there are marks.
    """
    steps = np.asarray(marks, np.int32)
    heights = np.asarray(rates, np.float32)

    def rate(step: Any) -> Array:
        # Comparing with all marks at once needs no loop on the device.
        passed = jnp.searchsorted(
            jnp.asarray(steps), jnp.asarray(step), side="right", method="compare_all"
        )
        return jnp.asarray(heights)[passed]

    return rate


def check_positive(name: str, value: float) -> None:
    """Raise ``ValueError`` unless ``value`` is a finite number above 0."""
    if not 0.0 < value < math.inf:
        raise ValueError(f"{name} {value} is not a positive number")


def check_between(name: str, value: float, low: float, high: float) -> None:
    """Raise ``ValueError`` unless ``value`` lies strictly between the two bounds."""
    if not low < value < high:
        raise ValueError(f"{name} {value} is not between {low:g} and {high:g}")
