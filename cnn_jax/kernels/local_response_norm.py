"""x / (k + alpha * windowed sum of squares) ** beta over channels, and its gradient."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax


def _window_sum(x: Array, n: int) -> Array:
    """Return the sum over the ``n`` nearest channels, cut off at both ends."""
    channels, reach = x.shape[-1], n // 2
    padded = jnp.pad(x, ((0, 0),) * (x.ndim - 1) + ((reach, reach),))
    total = padded[..., :channels]
    for shift in range(1, n):
        total = total + padded[..., shift : shift + channels]
    return total


def _power(base: Array, beta: float) -> Array:
    """Return base ** -beta; two square roots are far cheaper than a power."""
    if beta == 0.75:
        root = lax.rsqrt(base)
        return root * jnp.sqrt(root)
    return base ** (-beta)


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3, 4))
def normalize_across_channels(
    x: Array, k: float, n: int, alpha: float, beta: float
) -> Array:
    """Return x * s ** -beta with s = k + alpha * (sum of squares of n channels).

    The gradient is written out because what autodiff makes of the shifted sums takes
    three to five times as long on a CPU (``benchmarks/local_response_norm.py``):
    dx = g s^-beta - 2 alpha beta x * window_sum(g x s^(-beta - 1)). Only x is kept for it.

    Args:
        x: features, [..., C].
        k: constant of the denominator.
        n: channels in the sum, odd.
        alpha: weight of the sum.
        beta: power of the denominator.
    """
    return x * _power(k + alpha * _window_sum(x * x, n), beta)


def _forward(x: Array, k: float, n: int, alpha: float, beta: float) -> tuple[Array, Array]:
    return normalize_across_channels(x, k, n, alpha, beta), x


def _backward(
    k: float, n: int, alpha: float, beta: float, x: Array, gradient: Array
) -> tuple[Array]:
    base = k + alpha * _window_sum(x * x, n)
    scaled = gradient * _power(base, beta)
    return (scaled - (2.0 * alpha * beta) * x * _window_sum(scaled * x / base, n),)


normalize_across_channels.defvjp(_forward, _backward)
