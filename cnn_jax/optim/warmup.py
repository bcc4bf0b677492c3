"""A gentle start for any schedule."""

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import jax.numpy as jnp
from jax import Array

from cnn_jax.optim.epochs import RateFunction, check_between, check_positive, first_step
from cnn_jax.optim.schedules import Schedule

Shape = Literal["linear", "constant"]


@dataclass(frozen=True)
class Warmup:
    """A fraction of another schedule's rate in the first epochs.

    ``linear``: the fraction grows at each step from ``start`` to 1, the gradual warm-up of
    Goyal et al. 2017, Section 2.2 (5 epochs). ``constant``: it is ``start`` until they are
    over; He et al. 2016, Section 4.2, train 110 layers at a tenth of the rate for about
    400 iterations.

    The other schedule's clock runs from the first step on, so that its marks stay epochs
    of the whole run.

    Attributes:
        schedule: whose rate it is a fraction of.
        epochs: length of the warm-up; positive.
        start: the fraction at the first step; in (0, 1).
        shape: ``linear`` or ``constant``.
    """

    schedule: Schedule
    epochs: float
    start: float = 0.1
    shape: Shape = "linear"

    def __post_init__(self) -> None:
        check_positive("epochs", self.epochs)
        check_between("start", self.start, 0, 1)
        if self.shape not in get_args(Shape):
            raise ValueError(f"shape {self.shape!r} is not {' or '.join(get_args(Shape))}")

    def build(self, steps_per_epoch: float) -> RateFunction:
        """Return the rate as a function of the step count."""
        full = self.schedule.build(steps_per_epoch)
        end = first_step(self.epochs, steps_per_epoch)
        slope = (1.0 - self.start) / (self.epochs * steps_per_epoch)

        def rate(step: Any) -> Array:
            now = jnp.asarray(step)
            ramp = slope if self.shape == "linear" else 0.0
            fraction = self.start + ramp * now.astype(jnp.float32)
            return jnp.where(now < end, fraction, 1.0) * full(step)

        return rate

    def scaled(self, factor: float) -> "Warmup":
        """Return the warm-up over ``factor`` times as many epochs, its schedule too."""
        check_positive("factor", factor)
        return replace(
            self, schedule=self.schedule.scaled(factor), epochs=self.epochs * factor
        )
