"""Rates that fall by a formula: exponential, polynomial, cosine."""

import math
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from cnn_jax.optim.epochs import (
    RateFunction,
    check_between,
    check_positive,
    first_step,
    stairs,
)

_MOST_STAIRS = 2**16


@dataclass(frozen=True)
class Exponential:
    """Multiply the rate by ``factor`` for every so many epochs, for ever.

    Szegedy et al. 2015, Section 6: "decreasing the learning rate by 4 % every 8 epochs";
    Szegedy et al. 2016, Section 8: "every two epoch using an exponential rate of 0.94".

    Attributes:
        rate: at the start; positive.
        factor: in (0, 1).
        every_epochs: positive.
        staircase: True: all at once when that many epochs have passed. False: a little at
            each step, rate * factor ** (epochs / every_epochs).
    """

    rate: float
    factor: float
    every_epochs: float = 1.0
    staircase: bool = True

    def __post_init__(self) -> None:
        check_positive("rate", self.rate)
        check_between("factor", self.factor, 0, 1)
        check_positive("every_epochs", self.every_epochs)
        if self.staircase and self._stairs() > _MOST_STAIRS:
            raise ValueError(
                f"factor {self.factor} makes {self._stairs():,} stairs, at most "
                f"{_MOST_STAIRS:,} are kept; use staircase=False"
            )

    def _stairs(self) -> int:
        """Return how many stairs it takes until float32 has no smaller rate."""
        smallest = float(np.finfo(np.float32).smallest_normal)
        return max(1, math.ceil(math.log(smallest / self.rate) / math.log(self.factor)))

    def build(self, steps_per_epoch: float) -> RateFunction:
        """Return the rate as a function of the step count."""
        check_positive("steps_per_epoch", steps_per_epoch)
        if self.staircase:
            numbers = range(1, self._stairs() + 1)
            ends = (first_step(k * self.every_epochs, steps_per_epoch) for k in numbers)
            marks = [end for end in ends if end < 2**31]
            return stairs(
                marks, [self.rate * self.factor**k for k in range(len(marks) + 1)]
            )
        # In logarithms, so that no power of a rounded factor is taken.
        slope = math.log(self.factor) / (self.every_epochs * steps_per_epoch)
        return lambda step: self.rate * jnp.exp(slope * jnp.asarray(step, jnp.float32))

    def scaled(self, factor: float) -> "Exponential":
        """Return the schedule that falls every ``factor`` times as many epochs."""
        check_positive("factor", factor)
        return replace(self, every_epochs=self.every_epochs * factor)


@dataclass(frozen=True)
class Polynomial:
    """Down to a final rate at the end of the run: (1 - part of the run) ** ``power``.

    Caffe's ``poly`` with a final rate of 0. Its GoogLeNet (``bvlc_googlenet``,
    quick_solver.prototxt) has rate 0.01, power 0.5 and 2.4 million steps of 32 images.

    Attributes:
        rate: at the start; positive.
        epochs: length of the run, after which the rate stays at the final one.
        power: positive; 1 is a straight line.
        final_rate: at least 0, below ``rate``.
    """

    rate: float
    epochs: float
    power: float = 1.0
    final_rate: float = 0.0

    def __post_init__(self) -> None:
        _check_fall(self.rate, self.epochs, self.final_rate)
        check_positive("power", self.power)

    def build(self, steps_per_epoch: float) -> RateFunction:
        """Return the rate as a function of the step count."""
        check_positive("steps_per_epoch", steps_per_epoch)
        total = self.epochs * steps_per_epoch
        height = self.rate - self.final_rate
        return lambda step: self.final_rate + height * _left(step, total) ** self.power

    def scaled(self, factor: float) -> "Polynomial":
        """Return the schedule over ``factor`` times as many epochs."""
        check_positive("factor", factor)
        return replace(self, epochs=self.epochs * factor)


@dataclass(frozen=True)
class Cosine:
    """Down to a final rate along half a cosine: Loshchilov and Hutter 2017, Equation 5.

    One period, without the paper's restarts.

    Attributes:
        rate: at the start; positive.
        epochs: length of the run, after which the rate stays at the final one.
        final_rate: at least 0, below ``rate``.
    """

    rate: float
    epochs: float
    final_rate: float = 0.0

    def __post_init__(self) -> None:
        _check_fall(self.rate, self.epochs, self.final_rate)

    def build(self, steps_per_epoch: float) -> RateFunction:
        """Return the rate as a function of the step count."""
        check_positive("steps_per_epoch", steps_per_epoch)
        total = self.epochs * steps_per_epoch
        height = self.rate - self.final_rate

        def rate(step: Any) -> Array:
            wave = (1.0 + jnp.cos(jnp.pi * (1.0 - _left(step, total)))) / 2.0
            return self.final_rate + height * wave

        return rate

    def scaled(self, factor: float) -> "Cosine":
        """Return the schedule over ``factor`` times as many epochs."""
        check_positive("factor", factor)
        return replace(self, epochs=self.epochs * factor)


def _left(step: Any, total: float) -> Array:
    """Return how much of ``total`` steps is still to come, in [0, 1]."""
    return jnp.clip((total - jnp.asarray(step, jnp.float32)) / total, 0.0, 1.0)


def _check_fall(rate: float, epochs: float, final_rate: float) -> None:
    check_positive("rate", rate)
    check_positive("epochs", epochs)
    if not 0.0 <= final_rate < rate:
        raise ValueError(f"final_rate {final_rate} is not at least 0 and below {rate:g}")
