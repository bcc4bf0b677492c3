"""Batch normalisation whose statistics are over the rows that were chosen.

Source:
    Ioffe and Szegedy. Batch Normalization. ICML 2015. Algorithms 1 and 2.
    Hoffer, Hubara and Soudry. Train longer, generalize better. NIPS 2017, Algorithm 1:
    "ghost" batches, consecutive parts of a batch that are normalised each by itself.

Over which rows is a matter of the training recipe, not of the network: the step says it
(``layers/batch_layout.py``), and one device or many, jit or pmap, one piece or several
give the same numbers.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.ad_checkpoint import checkpoint_name

from cnn_jax.layers.batch_layout import current_layout
from cnn_jax.types import Features


@dataclass(frozen=True)
class BatchNorm:
    """How a network normalises its batches.

    Attributes:
        epsilon: added to the variance.
        momentum: share of the old running statistics that a step keeps.
        scale: learn a scale a channel.
        unbiased: let the running variance take m / (m - 1) times the variance of m
            values, as Algorithm 2, line 10, and PyTorch do; TensorFlow and Flax don't.
    """

    epsilon: float = 1e-3
    momentum: float = 0.9
    scale: bool = True
    unbiased: bool = False


class BatchNormalization(nn.Module):
    """Normalise each channel, then scale and shift it.

    Parameters ``scale`` and ``bias``, running statistics ``mean`` and ``var``, all of
    shape [channels]. Statistics and the normalisation itself are computed in float32 at
    least; the result has the input's type. Where a batch is normalised in several parts,
    the running statistics take the mean over the parts.

    Attributes:
        how: the network's numbers.
    """

    how: BatchNorm

    @nn.compact
    def __call__(self, x: Features, *, train: bool) -> Features:
        """Return an array of the same shape and type.

        Args:
            x: [N, ..., C].
            train: normalise by the batch and update the running statistics; otherwise,
                and where the recipe freezes this layer, by the running statistics.

        Raises:
            ValueError: the rows are not a multiple of those normalised together.
        """
        shape, layout = (x.shape[-1],), current_layout()
        mean = self.variable("batch_stats", "mean", jnp.zeros, shape, jnp.float32)
        var = self.variable("batch_stats", "var", jnp.ones, shape, jnp.float32)
        ones: Any = nn.initializers.ones
        scale = self.param("scale", ones, shape, jnp.float32) if self.how.scale else None
        bias = self.param("bias", nn.initializers.zeros, shape, jnp.float32)
        running = Moments(mean.value, var.value)
        if not train or "/".join(self.path) in layout.frozen:
            return _normalised(x[None], running, scale, bias, self.how.epsilon)[0]
        y, new = _normalised_batch(
            x,
            running,
            scale,
            bias,
            self.how.momentum,
            epsilon=self.how.epsilon,
            unbiased=self.how.unbiased,
            parts=_parts(x.shape[0], layout.statistics_rows),
            # Parts of a stated size never cross from one device to another.
            crosses=layout.statistics_rows is None,
            axis_name=layout.axis_name,
        )
        if not self.is_initializing():
            mean.value, var.value = new
        return y


class Moments(NamedTuple):
    """Mean and variance of each channel, float [C], or [parts, C]."""

    mean: Array
    var: Array


def _parts(rows: int, together: int | None) -> int:
    """Return in how many parts ``rows`` are normalised; None: all together."""
    if together is None:
        return 1
    if together < 1 or rows % together:
        raise ValueError(f"{rows} rows cannot be normalised in parts of {together} rows")
    return rows // together


# Compiled functions are traced once for each shape: a network has many alike.


@partial(jax.jit, static_argnames=("epsilon", "unbiased", "parts", "crosses", "axis_name"))
def _normalised_batch(
    x: Features,
    running: Moments,
    scale: Array | None,
    bias: Array,
    momentum: Any,
    *,
    epsilon: float,
    unbiased: bool,
    parts: int,
    crosses: bool,
    axis_name: str | None,
) -> tuple[Features, Moments]:
    """Return the normalised batch, and the new running moments."""
    x = checkpoint_name(x, "batch_norm_input")  # training/steps.py may keep these alone
    cut = x.reshape(parts, x.shape[0] // parts, *x.shape[1:])
    wide = cut.astype(jnp.promote_types(x.dtype, jnp.float32))
    over = tuple(range(1, wide.ndim - 1))
    values = math.prod(wide.shape[i] for i in over)
    sums = jnp.stack([wide.mean(over), jnp.square(wide).mean(over)])
    if crosses and axis_name is not None:
        sums = lax.pmean(sums, axis_name)
        values *= lax.axis_size(axis_name)
    # Kept with the input, lest the devices sum it again for the backward pass.
    sums = checkpoint_name(sums, "batch_norm_moments")
    # Rounding must not make a variance negative.
    moments = Moments(sums[0], jnp.maximum(sums[1] - jnp.square(sums[0]), 0.0))

    correction = values / max(values - 1, 1) if unbiased else 1.0
    new = Moments(moments.mean.mean(0), correction * moments.var.mean(0))
    if not crosses and axis_name is not None:
        new = lax.pmean(new, axis_name)
    moved = Moments(
        *(momentum * a + (1.0 - momentum) * b for a, b in zip(running, new, strict=True))
    )
    y = _normalised(cut, moments, scale, bias, epsilon)
    return y.reshape(x.shape), moved


@partial(jax.jit, static_argnames=("epsilon",))
def _normalised(
    parts: Array, moments: Moments, scale: Array | None, bias: Array, epsilon: float
) -> Array:
    """Return (x - mean) / sqrt(var + epsilon) * scale + bias, of the type of x.

    Args:
        parts: x, [parts, N, ..., C].
        moments: of each part, [parts, C], or of all, [C].
        scale: None for none.
        bias: [C].
        epsilon: added to the variance.
    """

    def wide(a: Array) -> Array:  # [parts or 1, C] as [parts or 1, 1, ..., 1, C]
        rows = 1 if a.ndim == 1 else a.shape[0]
        return a.reshape(rows, *(1,) * (parts.ndim - 2), a.shape[-1])

    factor = lax.rsqrt(wide(moments.var) + epsilon)
    if scale is not None:
        factor = factor * wide(scale)
    x = parts.astype(jnp.promote_types(parts.dtype, jnp.float32))
    y = (x - wide(moments.mean)) * factor + wide(bias)
    return y.astype(parts.dtype)
