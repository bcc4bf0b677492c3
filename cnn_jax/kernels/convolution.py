"""Two-dimensional convolution (cross-correlation), channels last."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax


def grouped_convolution(
    lhs: Array,
    rhs: Array,
    window_strides: Sequence[int],
    padding: Any,
    *,
    feature_group_count: int = 1,
    **options: Any,
) -> Array:
    """Return ``lax.conv_general_dilated``, with groups split apart on a CPU.

    XLA's CPU lowering of a grouped convolution is several times slower than one
    convolution a group (``benchmarks/``); the result is the same. Everywhere else the
    call is passed on.

    Args:
        lhs: images, [N, H, W, C].
        rhs: kernel, [h, w, C / groups, features].
        window_strides: of height and width.
        padding: as ``lax`` takes it.
        feature_group_count: groups; output channels of one group are neighbours.
        **options: handed to ``lax.conv_general_dilated``.
    """
    if feature_group_count == 1 or jax.default_backend() != "cpu":
        return lax.conv_general_dilated(
            lhs,
            rhs,
            window_strides,
            padding,
            feature_group_count=feature_group_count,
            **options,
        )
    inputs = jnp.split(lhs, feature_group_count, axis=-1)
    kernels = jnp.split(rhs, feature_group_count, axis=-1)
    return jnp.concatenate(
        [
            lax.conv_general_dilated(x, kernel, window_strides, padding, **options)
            for x, kernel in zip(inputs, kernels, strict=True)
        ],
        axis=-1,
    )
