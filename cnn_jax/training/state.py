"""Everything that changes while a network trains; a checkpoint is exactly this."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, UInt32

from cnn_jax.training.metrics import Metrics, zero_metrics
from cnn_jax.types import Variables


class TrainState(NamedTuple):
    """The state between two steps.

    Attributes:
        step: steps taken.
        params: the network's parameters.
        batch_stats: its running statistics; empty without batch normalisation.
        opt_state: the optimizer's.
        average: averages of parameters and running statistics, as variables; empty where
            the recipe has none.
        plateau: of a learning rate that falls when the validation error stops improving,
            with ``scale``, the factor that it has reached; empty for any other.
        seed: of the run; every random draw is a function of (seed, step, example).
        totals: sums over the examples seen since the epoch began.
        diverged_at: the first step whose loss was not finite, -1 if there was none.
    """

    step: Int[Array, ""]
    params: Any
    batch_stats: Any
    opt_state: Any
    average: Any
    plateau: Any
    seed: UInt32[Array, ""]
    totals: Metrics
    diverged_at: Int[Array, ""]


def init_variables(model: Any, seed: UInt32[Array, ""]) -> Variables:
    """Return the network's initial parameters and statistics; pure.

    Args:
        model: a module with an ``input_shape``.
        seed: of the run; the initial weights are drawn from it.
    """
    images = jnp.zeros((1, *model.input_shape))
    # Step -1 is never trained, so its key is free for the initial weights.
    key = jax.random.fold_in(jax.random.key(seed), jnp.uint32(2**32 - 1))
    variables: Variables = model.init(key, images, train=False)
    return {"batch_stats": {}} | variables


def first_state(
    variables: Variables,
    optimizer: optax.GradientTransformation,
    seed: UInt32[Array, ""],
    *,
    averaged: bool = False,
    plateau: Any = (),
) -> TrainState:
    """Return the state before the first step; pure.

    Args:
        variables: ``params`` and ``batch_stats``.
        optimizer: its state is made for the parameters.
        seed: of the run.
        averaged: keep an average of the variables.
        plateau: initial state of a plateau decay.
    """
    kept = {name: variables[name] for name in ("params", "batch_stats")}
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        **kept,
        opt_state=optimizer.init(kept["params"]),
        average=kept if averaged else {},
        plateau=plateau,
        seed=seed,
        totals=zero_metrics(),
        diverged_at=jnp.full((), -1, jnp.int32),
    )


def init_state(
    model: Any, optimizer: optax.GradientTransformation, seed: UInt32[Array, ""]
) -> TrainState:
    """Return ``first_state`` of freshly drawn variables; pure, so it can be compiled."""
    return first_state(init_variables(model, seed), optimizer, seed)


def evaluated_variables(state: TrainState) -> Variables:
    """Return the variables that count: the average where there is one."""
    if state.average:
        return dict(state.average)
    return {"params": state.params, "batch_stats": state.batch_stats}
