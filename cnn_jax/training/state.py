"""Everything that changes while a network trains; a checkpoint is exactly this."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, UInt32

from cnn_jax.training.metrics import Metrics, zero_metrics


class TrainState(NamedTuple):
    """The state between two steps.

    Attributes:
        step: steps taken.
        params: the network's parameters.
        batch_stats: its running statistics; empty without batch normalisation.
        opt_state: the optimizer's.
        seed: of the run; every random draw is a function of (seed, step, example).
        totals: sums over the examples seen since the epoch began.
        diverged_at: the first step whose loss was not finite, -1 if there was none.
    """

    step: Int[Array, ""]
    params: Any
    batch_stats: Any
    opt_state: Any
    seed: UInt32[Array, ""]
    totals: Metrics
    diverged_at: Int[Array, ""]


def init_state(
    model: Any, optimizer: optax.GradientTransformation, seed: UInt32[Array, ""]
) -> TrainState:
    """Return the state before the first step; pure, so it can be compiled.

    Args:
        model: a module with an ``input_shape``.
        optimizer: its state is made for the parameters.
        seed: of the run; the initial weights are drawn from it.
    """
    images = jnp.zeros((1, *model.input_shape))
    # Step -1 is never trained, so its key is free for the initial weights.
    key = jax.random.fold_in(jax.random.key(seed), jnp.uint32(2**32 - 1))
    variables = model.init(key, images, train=False)
    params = variables["params"]
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=variables.get("batch_stats", {}),
        opt_state=optimizer.init(params),
        seed=seed,
        totals=zero_metrics(),
        diverged_at=jnp.full((), -1, jnp.int32),
    )
