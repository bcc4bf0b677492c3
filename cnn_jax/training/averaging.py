"""Averages of the parameters over the steps, batch statistics included.

The average is what is evaluated; training goes on with the parameters themselves. After
each step a <- a + w (x - a), over parameters and running batch statistics alike, so that
an averaged network is normalised by averaged statistics.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

Weight = Callable[[Any], Array]
"""From the number of steps taken to w, the share that the newest values get."""


class Averaging(Protocol):
    """A rule that gives w."""

    def build(self, steps_per_epoch: float) -> Weight:
        """Return w as a function of the number of steps taken, this one included."""
        ...

    def scaled(self, factor: float) -> "Averaging":
        """Return the same rule for a run ``factor`` times as long."""
        ...


@dataclass(frozen=True)
class ExponentialAverage:
    """w = 1 - decay: recent steps count most.

    Szegedy et al. 2016, Section 8, evaluate such an average of Inception v3 (the decay,
    0.9999, is TF-slim's).

    Attributes:
        decay: in (0, 1).
        warmup: take min(decay, (1 + t) / (10 + t)) at step t, as TensorFlow's
            ``ExponentialMovingAverage`` with ``num_updates`` does, so that the initial
            parameters are soon forgotten.
    """

    decay: float = 0.9999
    warmup: bool = False

    def __post_init__(self) -> None:
        if not 0.0 < self.decay < 1.0:
            raise ValueError(f"decay {self.decay} is not between 0 and 1")

    def build(self, steps_per_epoch: float) -> Weight:  # noqa: ARG002
        """Return w as a function of the number of steps taken."""

        def weight(step: Any) -> Array:
            t = jnp.asarray(step, jnp.float32)
            early = (1.0 + t) / (10.0 + t) if self.warmup else self.decay
            return 1.0 - jnp.minimum(self.decay, early)

        return weight

    def scaled(self, factor: float) -> "ExponentialAverage":  # noqa: ARG002
        """Return itself: the decay is one of steps, not of the run."""
        return self


@dataclass(frozen=True)
class PolyakAverage:
    """The plain mean over all steps from an epoch on: Polyak and Juditsky 1992.

    Szegedy et al. 2015, Section 6, made GoogLeNet's final model so. Before that epoch the
    average is the newest step's.

    The mean of very many float32 steps stops moving: a share w (x - a) below half a unit in
    the last place of a is lost. After n steps that is a distance x - a of up to n 2^-25 of
    a: 3 % after a million steps. Begin late enough, or take an exponential average.

    Attributes:
        from_epoch: at least 0.
    """

    from_epoch: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.from_epoch < math.inf:
            raise ValueError(f"from_epoch {self.from_epoch} is not a number of at least 0")

    def build(self, steps_per_epoch: float) -> Weight:
        """Return w as a function of the number of steps taken."""
        before = math.ceil(self.from_epoch * steps_per_epoch)

        def weight(step: Any) -> Array:
            return 1.0 / jnp.maximum(jnp.asarray(step, jnp.float32) - before, 1.0)

        return weight

    def scaled(self, factor: float) -> "PolyakAverage":
        """Return the same rule with its epoch moved in proportion."""
        return replace(self, from_epoch=self.from_epoch * factor)


def move_average(average: PyTree, values: PyTree, weight: Array) -> PyTree:
    """Return a + w (x - a) for every array of the two trees."""
    return jax.tree.map(lambda a, x: a + weight.astype(a.dtype) * (x - a), average, values)
