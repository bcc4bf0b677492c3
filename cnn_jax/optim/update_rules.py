"""Update rules: from gradients to what is taken from the weights.

A rule's state is a NamedTuple of trees like the parameters (or empty ones), the same on
every step; ``trace`` is the velocity, by optax's name.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

Rate = Float[Array, ""]


class UpdateRule(NamedTuple):
    """A pair of pure functions.

    Attributes:
        init: parameters -> state.
        update: gradients, state, rate of this step -> what is to be taken from the
            parameters, next state.
    """

    init: Callable[[Any], Any]
    update: Callable[[Any, Any, Rate], tuple[Any, Any]]


class Momentum(NamedTuple):
    """State of ``momentum_rule``.

    Attributes:
        trace: velocity, an empty tuple where there is none.
    """

    trace: Any


class RmsMomentum(NamedTuple):
    """State of ``rms_prop_rule``.

    Attributes:
        mean_square: running mean of the squared gradient.
        trace: velocity, an empty tuple where there is none.
    """

    mean_square: Any
    trace: Any


def momentum_rule(momentum: float, *, nesterov: bool, rate_inside: bool) -> UpdateRule:
    """Return gradient descent along a velocity.

    Args:
        momentum: share of the velocity that is kept; 0 keeps no velocity.
        nesterov: step along the velocity that the next step would have.
        rate_inside: the velocity adds up gradients times their rates, not gradients.
    """

    def init(params: Any) -> Momentum:
        return Momentum(jax.tree.map(jnp.zeros_like, params) if momentum else ())

    def update(grads: Any, state: Momentum, rate: Rate) -> tuple[Any, Momentum]:
        gains = _times(rate, grads) if rate_inside else grads
        if not momentum:
            return gains if rate_inside else _times(rate, grads), state

        def step(gain: Array, velocity: Array) -> Array:
            return (gain + momentum * velocity).astype(velocity.dtype)

        trace = jax.tree.map(step, gains, state.trace)
        way = jax.tree.map(step, gains, trace) if nesterov else trace
        return way if rate_inside else _times(rate, way), Momentum(trace)

    return UpdateRule(init, update)


def rms_prop_rule(
    decay: float, epsilon: float, momentum: float, initial_mean_square: float
) -> UpdateRule:
    """Return descent along gradients that are divided by the root of their mean square.

    Args:
        decay: share of the mean square that is kept.
        epsilon: added to the mean square, inside the root.
        momentum: share of the velocity that is kept; 0 keeps no velocity.
        initial_mean_square: before the first step.
    """
    velocity_rule = momentum_rule(momentum, nesterov=False, rate_inside=True)

    def init(params: Any) -> RmsMomentum:
        square = jax.tree.map(lambda p: jnp.full_like(p, initial_mean_square), params)
        return RmsMomentum(square, velocity_rule.init(params).trace)

    def update(grads: Any, state: RmsMomentum, rate: Rate) -> tuple[Any, RmsMomentum]:
        mean_square = jax.tree.map(
            lambda s, g: (decay * s + (1.0 - decay) * jnp.square(g)).astype(s.dtype),
            state.mean_square,
            grads,
        )
        scaled = jax.tree.map(lambda g, s: g / jnp.sqrt(s + epsilon), grads, mean_square)
        way, velocity = velocity_rule.update(scaled, Momentum(state.trace), rate)
        return way, RmsMomentum(mean_square, velocity.trace)

    return UpdateRule(init, update)


def adam_rule(beta1: float, beta2: float, epsilon: float) -> UpdateRule:
    """Return descent along mean gradients over the root of their mean squares.

    The state is optax's: the count of steps, the means ``mu`` and the mean squares ``nu``.

    Args:
        beta1: share of the mean that is kept.
        beta2: share of the mean square that is kept.
        epsilon: added to the root.
    """
    adam = optax.scale_by_adam(b1=beta1, b2=beta2, eps=epsilon)

    def update(grads: Any, state: Any, rate: Rate) -> tuple[Any, Any]:
        way, state = adam.update(grads, state)
        return _times(rate, way), state

    return UpdateRule(adam.init, update)


def _times(rate: Rate, tree: Any) -> Any:
    return jax.tree.map(lambda leaf: (rate * leaf).astype(leaf.dtype), tree)
