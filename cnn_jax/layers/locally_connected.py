"""A convolution without shared weights: every place has a kernel and a bias of its own.

Source:
    LeCun. Generalization and Network Design Strategies. Connectionism in Perspective, 1989
    (local connections without and with weight sharing). Goodfellow et al., Multi-digit
    Number Recognition from Street View Imagery, ICLR 2014, Section 5 ("one locally
    connected hidden layer").
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from cnn_jax.layers.initializers import he
from cnn_jax.maths.geometry import output_size
from cnn_jax.types import Features, Key


class LocallyConnected(nn.Module):
    """Windows like those of a convolution, each with its own kernel and bias.

    Parameters: ``kernel`` [rows, columns, kernel, kernel, C, features] and ``bias`` [rows,
    columns, features], where rows and columns count the places of the window.

    Attributes:
        features: output channels.
        kernel: edge of the square window in pixels.
        stride: step in pixels.
        padding: zeros on each side in pixels.
        kernel_init: of the kernel of one place, [kernel, kernel, C, features]: its fan-in
            is that of the window.
        bias_init: initial biases.
    """

    features: int
    kernel: int
    stride: int = 1
    padding: int = 0
    kernel_init: nn.initializers.Initializer = he
    bias_init: nn.initializers.Initializer = nn.initializers.zeros

    @nn.compact
    def __call__(self, x: Features) -> Features:
        """Return [N, rows, columns, features].

        Args:
            x: features, [N, H, W, C].

        Raises:
            ValueError: an input of another rank.
            WindowError: the window is larger than the padded input.
        """
        if x.ndim != 4:
            raise ValueError(f"input of shape {x.shape}; [N, H, W, C] is needed")
        size, channels = self.kernel, x.shape[3]
        rows, columns = (
            output_size(edge, size, self.stride, self.padding) for edge in x.shape[1:3]
        )

        def kernels(key: Key) -> Array:
            keys = jax.random.split(key, (rows, columns))
            window = (size, size, channels, self.features)
            one = jax.vmap(lambda k: jnp.asarray(self.kernel_init(k, window, jnp.float32)))
            return jax.vmap(one)(keys)

        kernel = self.param("kernel", kernels)
        bias = self.param("bias", self.bias_init, (rows, columns, self.features))
        patches = _patches(x, size, self.stride, self.padding, (rows, columns))
        # A matrix product a place; its sum runs over the window and the channels.
        return jnp.einsum("nrchwi,rchwio->nrco", patches, kernel) + bias[None]

    def multiply_adds(self, output_shape: tuple[int, ...]) -> int:
        """Return the multiply-adds behind an output [N, rows, columns, features]."""
        batch: int = output_shape[0]
        return batch * int(self.variables["params"]["kernel"].size)


def _patches(
    x: Array, size: int, stride: int, padding: int, places: tuple[int, int]
) -> Array:
    """Return every window, [N, rows, columns, size, size, C]."""
    sides = (padding, padding)
    x = jnp.pad(x, ((0, 0), sides, sides, (0, 0)))
    down, right = (stride * (count - 1) + 1 for count in places)
    return jnp.stack(
        [
            jnp.stack(
                [x[:, i : i + down : stride, j : j + right : stride] for j in range(size)],
                axis=3,
            )
            for i in range(size)
        ],
        axis=3,
    )
