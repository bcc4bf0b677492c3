"""Local response normalisation across channels (Krizhevsky et al. 2012, Section 3.3)."""

import jax.numpy as jnp

from cnn_jax.kernels.local_response_norm import normalize_across_channels
from cnn_jax.types import Features


def local_response_norm(
    x: Features,
    *,
    k: float = 2.0,
    n: int = 5,
    alpha: float = 1e-4,
    beta: float = 0.75,
) -> Features:
    """Return x / (k + alpha * sum of squares of the n nearest channels) ** beta.

    The sum runs over channels i - n // 2 to i + n // 2, cut off at both ends. ``alpha``
    multiplies the sum, as printed; Caffe and torch divide it by n (pass alpha / n).

    Args:
        x: features, [..., C].
        k: constant of the denominator.
        n: channels in the sum, odd.
        alpha: weight of the sum.
        beta: power of the denominator.

    Raises:
        ValueError: n is not a positive odd number.
    """
    if n < 1 or n % 2 == 0:
        raise ValueError(f"n = {n} channels: a positive odd number is needed")
    # bfloat16 has 8 bits: too few for a sum of squares and its power.
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return normalize_across_channels(wide, k, n, alpha, beta).astype(x.dtype)
