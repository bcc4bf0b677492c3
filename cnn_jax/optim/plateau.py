"""Divide the rate when the validation error stops improving.

Krizhevsky et al. 2012, Section 5: "divide the learning rate by 10 when the validation error
rate stopped improving with the current learning rate". Simonyan and Zisserman 2015, Section
3.1, and He et al. 2016, Section 3.4, do the same. No paper says after how many epochs.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from cnn_jax.optim.epochs import RateFunction, check_between, check_positive, first_step
from cnn_jax.optim.schedules import Constant, Schedule
from cnn_jax.optim.warmup import Warmup


class PlateauState(NamedTuple):
    """What the next decision depends on; part of a checkpoint.

    Attributes:
        scale: factor by which the schedule's rate is multiplied.
        best: lowest validation error so far; infinity before the first.
        waited: epochs in a row without an improvement.
        cooling: epochs left in which none is expected.
    """

    scale: Float[Array, ""]
    best: Float[Array, ""]
    waited: Int[Array, ""]
    cooling: Int[Array, ""]


@dataclass(frozen=True)
class ReduceOnPlateau:
    """A rate that is multiplied by ``factor`` after ``patience`` epochs in vain.

    An epoch is in vain unless its validation error is below the best one so far by more
    than ``min_improvement``, an absolute difference; an error that is not a number is in
    vain. PyTorch's ``ReduceLROnPlateau`` with ``threshold_mode="abs"`` and one epoch less
    of patience decides alike, but for its refusal of changes below 1e-8.

    ``build`` gives the rate before any reduction; whoever steps multiplies by the state's
    ``scale``, and calls ``update`` once an epoch.

    Attributes:
        rate: at the start; positive.
        factor: in (0, 1).
        patience: epochs in a row without an improvement that are one too many; at least 1.
        min_improvement: of the error, which is a fraction: 0.001 is a tenth of a
            percentage point; at least 0.
        cooldown: epochs after a reduction that do not count as in vain; at least 0.
        min_rate: the rate does not fall below it; at least 0, at most ``rate``.
    """

    rate: float
    factor: float = 0.1
    patience: int = 5
    min_improvement: float = 0.0
    cooldown: int = 0
    min_rate: float = 0.0

    def __post_init__(self) -> None:
        check_positive("rate", self.rate)
        check_between("factor", self.factor, 0, 1)
        if self.patience < 1:
            raise ValueError(f"patience {self.patience} is not at least 1 epoch")
        if self.cooldown < 0:
            raise ValueError(f"cooldown {self.cooldown} is not at least 0 epochs")
        if not 0.0 <= self.min_improvement < 1.0:
            raise ValueError(f"min_improvement {self.min_improvement} is not in [0, 1)")
        if not 0.0 <= self.min_rate <= self.rate:
            raise ValueError(f"min_rate {self.min_rate} is not in [0, {self.rate:g}]")

    def build(self, steps_per_epoch: float) -> RateFunction:
        """Return the rate before any reduction as a function of the step count."""
        return Constant(self.rate).build(steps_per_epoch)

    def scaled(self, factor: float) -> "ReduceOnPlateau":
        """Return the schedule for a run ``factor`` times as long.

        Patience and cooldown grow or shrink with it, rounded up to whole epochs.
        """
        check_positive("factor", factor)
        return replace(
            self,
            patience=first_step(self.patience, factor),
            cooldown=first_step(self.cooldown, factor),
        )

    def initial_state(self) -> PlateauState:
        """Return the state before the first epoch."""
        return PlateauState(
            scale=jnp.ones((), jnp.float32),
            best=jnp.full((), jnp.inf, jnp.float32),
            waited=jnp.zeros((), jnp.int32),
            cooling=jnp.zeros((), jnp.int32),
        )

    def update(self, state: PlateauState, validation_error: Any) -> PlateauState:
        """Return the state after an epoch; pure, so it can be traced.

        Args:
            state: before it.
            validation_error: at its end, as a fraction.
        """
        error = jnp.asarray(validation_error, jnp.float32)
        improved = error < state.best - self.min_improvement
        idle = improved | (state.cooling > 0)
        waited = jnp.where(idle, 0, state.waited + 1)
        reduce = waited >= self.patience
        lower = jnp.maximum(state.scale * self.factor, self.min_rate / self.rate)
        cooling = jnp.maximum(state.cooling - 1, 0)
        return PlateauState(
            scale=jnp.where(reduce, lower, state.scale),
            best=jnp.where(improved, error, state.best),
            waited=jnp.where(reduce, 0, waited),
            cooling=jnp.where(reduce, self.cooldown, cooling),
        )


def plateau_of(schedule: Schedule) -> ReduceOnPlateau | None:
    """Return the part of ``schedule`` that needs the validation error, or None."""
    if isinstance(schedule, Warmup):
        return plateau_of(schedule.schedule)
    return schedule if isinstance(schedule, ReduceOnPlateau) else None
