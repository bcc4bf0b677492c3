"""Learning rates in the papers' terms: epochs, not steps.

A schedule is a frozen dataclass; ``build`` turns it into a function of the step count as
optax takes it. Here: a rate that stays, one that falls at given epochs, one cycle. In
``decay.py``: exponential, polynomial and cosine. In ``warmup.py``: a gentle start for any
of them. In ``plateau.py``: a rate that falls when the validation error stops improving.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Protocol

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


class Schedule(Protocol):
    """A learning rate over the epochs of a run."""

    def build(self, steps_per_epoch: float) -> RateFunction:
        """Return the rate as a function of the step count; it can be traced.

        Args:
            steps_per_epoch: training examples / batch size, not rounded.
        """
        ...

    def scaled(self, factor: float) -> "Schedule":
        """Return the same schedule for a run ``factor`` times as long."""
        ...


@dataclass(frozen=True)
class Constant:
    """The same rate throughout.

    Attributes:
        rate: positive.
    """

    rate: float

    def __post_init__(self) -> None:
        check_positive("rate", self.rate)

    def build(self, steps_per_epoch: float) -> RateFunction:
        """Return the rate as a function of the step count."""
        check_positive("steps_per_epoch", steps_per_epoch)
        rate = np.float32(self.rate)
        return lambda step: jnp.full(jnp.shape(step), rate)

    def scaled(self, factor: float) -> "Constant":
        """Return itself."""
        check_positive("factor", factor)
        return self


@dataclass(frozen=True)
class StepDecay:
    """Multiply the rate by ``factor`` at each of the given epochs.

    He et al. 2016, Section 4.2, and Huang et al. 2016, Section 4, divide by 10 twice.

    Attributes:
        rate: at the start; positive.
        factor: in (0, 1).
        at_epochs: positive, increasing, at least one.
    """

    rate: float
    factor: float = 0.1
    at_epochs: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_positive("rate", self.rate)
        check_between("factor", self.factor, 0, 1)
        if not self.at_epochs:
            raise ValueError("at_epochs is empty; a rate that never changes is Constant")
        previous = 0.0
        for epoch in self.at_epochs:
            if not previous < epoch < math.inf:
                raise ValueError(
                    f"at_epochs {self.at_epochs} must be positive and increasing"
                )
            previous = epoch

    def build(self, steps_per_epoch: float) -> RateFunction:
        """Return the rate as a function of the step count."""
        check_positive("steps_per_epoch", steps_per_epoch)
        marks = [first_step(epoch, steps_per_epoch) for epoch in self.at_epochs]
        return stairs(marks, [self.rate * self.factor**k for k in range(len(marks) + 1)])

    def scaled(self, factor: float) -> "StepDecay":
        """Return the schedule with every mark at ``factor`` times its epoch."""
        check_positive("factor", factor)
        return replace(self, at_epochs=tuple(e * factor for e in self.at_epochs))


@dataclass(frozen=True)
class OneCycle:
    """Up to a peak and down again: Smith and Topin 2018, with cosines for straight lines.

    In the form of ``optax.cosine_onecycle_schedule`` (also the cosine form of PyTorch's
    ``OneCycleLR``): from peak / start_divisor up to the peak at ``warmup_fraction`` of the
    run, then down to peak / (start_divisor * end_divisor) when the run is over, where it
    stays.

    Attributes:
        peak_rate: positive.
        epochs: length of the cycle; the run's own number of epochs.
        warmup_fraction: in (0, 1).
        start_divisor: at least 1.
        end_divisor: of the rate at the start, not of the peak; at least 1.
    """

    peak_rate: float
    epochs: float
    warmup_fraction: float = 0.3
    start_divisor: float = 25.0
    end_divisor: float = 1e4

    def __post_init__(self) -> None:
        check_positive("peak_rate", self.peak_rate)
        check_positive("epochs", self.epochs)
        check_between("warmup_fraction", self.warmup_fraction, 0, 1)
        for name in ("start_divisor", "end_divisor"):
            if not 1.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} {getattr(self, name)} is not at least 1")

    def build(self, steps_per_epoch: float) -> RateFunction:
        """Return the rate as a function of the step count."""
        check_positive("steps_per_epoch", steps_per_epoch)
        total = self.epochs * steps_per_epoch
        top = self.warmup_fraction * total
        peak = self.peak_rate
        start = peak / self.start_divisor
        end = start / self.end_divisor

        def rate(step: Any) -> Array:
            now = jnp.asarray(step, jnp.float32)
            rising = jnp.clip(now / top, 0.0, 1.0)
            falling = jnp.clip((now - top) / (total - top), 0.0, 1.0)
            up = start + (peak - start) * (1.0 - jnp.cos(jnp.pi * rising)) / 2.0
            down = end + (peak - end) * (1.0 + jnp.cos(jnp.pi * falling)) / 2.0
            return jnp.where(now < top, up, down)

        return rate

    def scaled(self, factor: float) -> "OneCycle":
        """Return the cycle over ``factor`` times as many epochs."""
        check_positive("factor", factor)
        return replace(self, epochs=self.epochs * factor)
