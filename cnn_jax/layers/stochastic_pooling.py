"""Stochastic pooling: training hands on one value of each window, drawn by its size.

Source:
    Zeiler and Fergus. Stochastic Pooling for Regularization of Deep Convolutional Neural
    Networks. ICLR 2013 (arXiv 1301.3557), Section 3. With the activations a_i of a window,
    at least 0 behind a ReLU::

        p_i = a_i / sum over k of a_k
        s = a_l,  l drawn with the probabilities p          training
        s = sum over i of p_i a_i                           evaluation

    A window of zeros gives 0.

A row's draws depend on the step's key and the row's position in the global batch, as in
``layers/dropout.py``: one device or many draw the same.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax

from cnn_jax.kernels.pooling import window_views
from cnn_jax.layers.dropout import row_keys
from cnn_jax.types import Features


class StochasticPool(nn.Module):
    """Draw, or in evaluation average, over windows of ``size`` x ``size`` pixels.

    No parameters. Needs the ``dropout`` random stream when ``train``.

    Attributes:
        size: window edge in pixels.
        stride: step in pixels.
        padding: zeros on each side in pixels; they are never drawn.
        ceil: the last window may hang over the end (``maths.geometry.output_size``).
    """

    size: int
    stride: int
    padding: int = 0
    ceil: bool = False

    @nn.compact
    def __call__(self, x: Features, *, train: bool) -> Features:
        """Return the pooled features, [N, rows, columns, C].

        Args:
            x: activations, [N, H, W, C]; a negative one counts as 0.
            train: draw; the gradient goes to what was drawn.

        Raises:
            WindowError: the window is larger than the padded input, or padding alone.
        """
        views = window_views(
            nn.relu(x), self.size, self.stride, self.padding, ceil=self.ceil, fill=0.0
        )
        activations = jnp.stack(views)  # [pixels of a window, N, rows, columns, C]
        if train:
            keys = row_keys(self.make_rng("dropout"), x.shape[0])
            return _drawn(activations, keys)
        total = activations.sum(0)
        positive = total > 0.0
        mean = jnp.square(activations).sum(0) / jnp.where(positive, total, 1.0)
        return jnp.where(positive, mean, 0.0)


def _drawn(activations: Array, keys: Array) -> Array:
    """Return one activation of each window, drawn in proportion to its size."""
    ends = jnp.cumsum(lax.stop_gradient(activations), axis=0)
    starts = jnp.concatenate([jnp.zeros_like(ends[:1]), ends[:-1]])
    shape = activations.shape[2:]
    at = jax.vmap(lambda key: jax.random.uniform(key, shape, activations.dtype))(keys)
    # In (0, total]: it always lies in one interval, never in that of a 0.
    mark = (1.0 - at) * ends[-1]
    drawn = (starts < mark[None]) & (mark[None] <= ends)
    return jnp.where(drawn, activations, 0.0).sum(0)
