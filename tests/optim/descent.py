"""A small function to descend, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

CURVATURE = np.array([1.0, 3.0, -0.5])
START = np.array([1.0, -2.0, 0.25])


def gradient(w):
    """Return the gradient of sum(c/2 w^2 + w^4 / 40)."""
    return CURVATURE * w + 0.1 * w**3


def descend(optimizer, params, grad, steps, scales=None):
    """Return the parameters after each step, in float64.

    Args:
        optimizer: an optax transformation.
        params: NumPy arrays.
        grad: params -> gradients.
        steps: number of them.
        scales: rate_scale of each step; None leaves it out.
    """

    def step(carry, scale):
        params, state = carry
        extra = {} if scale is None else {"rate_scale": scale}
        updates, state = optimizer.update(grad(params), state, params, **extra)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    with jax.enable_x64(True):
        params = jax.tree.map(jnp.asarray, params)
        carry = (params, optimizer.init(params))
        scales = None if scales is None else jnp.asarray(scales, jnp.float32)
        (_, state), seen = jax.jit(
            lambda carry, scales: jax.lax.scan(step, carry, scales, length=steps)
        )(carry, scales)
        assert jax.tree.map(jnp.result_type, state) == jax.tree.map(
            jnp.result_type, carry[1]
        )
        return jax.tree.map(np.asarray, seen)


def rates_of(schedule, steps):
    """Return the float32 rates of the first steps, as float64."""
    return [float(r) for r in np.asarray(schedule(jnp.arange(steps)))]
