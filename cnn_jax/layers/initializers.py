"""The papers' initial weights, as ``(key, shape, dtype) -> array`` functions.

Shapes are a kernel's: the last axis counts outputs, all the others feed one output.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from cnn_jax.types import Key


def gaussian(
    key: Key, shape: Sequence[int], dtype: Any = jnp.float32, *, deviation: float
) -> Array:
    """Draw from N(0, ``deviation`` squared), as Krizhevsky et al. 2012, Section 5."""
    return deviation * jax.random.normal(key, tuple(shape), dtype)


def he(
    key: Key, shape: Sequence[int], dtype: Any = jnp.float32, *, slope: float = 0.0
) -> Array:
    """Draw from N(0, 2 / ((1 + slope^2) fan_in)): He et al. 2015, equations 10 and 15.

    Args:
        key: random key.
        shape: kernel shape.
        dtype: of the result.
        slope: the activation's slope for negative inputs; 0 for ReLU.
    """
    fan_in = math.prod(shape[:-1])
    return gaussian(
        key, shape, dtype, deviation=math.sqrt(2.0 / ((1.0 + slope**2) * fan_in))
    )


def glorot(key: Key, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
    """Draw uniformly with variance 2 / (fan_in + fan_out): Glorot and Bengio 2010, 16."""
    receptive_field = math.prod(shape[:-2])
    limit = math.sqrt(6.0 / (receptive_field * (shape[-2] + shape[-1])))
    return jax.random.uniform(key, tuple(shape), dtype, -limit, limit)


def lecun_uniform(
    key: Key, shape: Sequence[int], dtype: Any = jnp.float32, *, reach: float = 2.4
) -> Array:
    """Draw uniformly from +-reach / fan_in: LeCun et al. 1998, appendix A."""
    limit = reach / math.prod(shape[:-1])
    return jax.random.uniform(key, tuple(shape), dtype, -limit, limit)


def uniform(
    key: Key, shape: Sequence[int], dtype: Any = jnp.float32, *, limit: float
) -> Array:
    """Draw uniformly from +-``limit``, as Ciresan et al. 2012, Section 2."""
    return jax.random.uniform(key, tuple(shape), dtype, -limit, limit)
