"""Dropout whose mask does not depend on the device.

Every row of the batch has a key of its own: the layer's key folded with the row's
position in the global batch. So the same step draws the same mask however the batch is
split over devices, and any step can be replayed alone.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from cnn_jax.layers.batch_layout import current_layout
from cnn_jax.types import Features, Key


def row_keys(key: Key, rows: int) -> Array:
    """Return one key for each row at hand, by its position in the global batch."""
    positions = current_layout().first_row + jnp.arange(rows, dtype=jnp.int32)
    return jax.vmap(jax.random.fold_in, (None, 0))(key, positions)


class Dropout(nn.Module):
    """Zero each value with probability ``rate`` and scale the rest by 1 / (1 - rate).

    Srivastava et al. 2014, Section 10, the scaling moved to training ("inverted"), so
    evaluation is the identity. Needs the ``dropout`` random stream when ``train``.

    Attributes:
        rate: probability of a zero, in [0, 1).
    """

    rate: float

    @nn.compact
    def __call__(self, x: Features, *, train: bool) -> Features:
        """Return an array of the same shape."""
        if not 0.0 <= self.rate < 1.0:
            raise ValueError(f"dropout rate {self.rate} is not in [0, 1)")
        if not train or self.rate == 0.0:
            return x
        keys = row_keys(self.make_rng("dropout"), x.shape[0])
        keep = 1.0 - self.rate
        kept = jax.vmap(lambda key: jax.random.bernoulli(key, keep, x.shape[1:]))(keys)
        return jnp.where(kept, x / keep, 0.0)
