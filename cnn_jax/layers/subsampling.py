"""Trainable subsampling: the sum of each window, times a coefficient, plus a bias.

Source:
    LeCun, Bottou, Bengio and Haffner. Gradient-Based Learning Applied to Document
    Recognition. Proceedings of the IEEE 86(11), 1998. Section II.B, layers S2 and S4: "the
    four inputs to a unit in S2 are added, then multiplied by a trainable coefficient, and
    then added to a trainable bias"; one coefficient and one bias a map. The squashing
    function that follows is the network's activation.
"""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax.kernels.pooling import average_pool
from cnn_jax.layers.initializers import lecun_uniform
from cnn_jax.types import Features, Key


@dataclass(frozen=True)
class Subsampling:
    """Trainable subsampling of windows that do not overlap, then the activation.

    Attributes:
        name: the paper's.
        size: edge of the window in pixels, and its step.
    """

    name: str
    size: int = 2


class TrainableSubsampling(nn.Module):
    """Window sums, scaled and shifted map by map; ``coefficient`` and ``bias`` are [C].

    Attributes:
        size: edge of the window in pixels, and its step.
        coefficient_init: of the coefficient as the weight of ``size * size`` inputs: it is
            asked for [size * size, C], whose first row is taken.
        bias_init: initial biases.
    """

    size: int = 2
    coefficient_init: nn.initializers.Initializer = lecun_uniform
    bias_init: nn.initializers.Initializer = nn.initializers.zeros

    @nn.compact
    def __call__(self, x: Features) -> Features:
        """Return [N, H / size, W / size, C], rounded down.

        Args:
            x: maps, [N, H, W, C].

        Raises:
            ValueError: an input of another rank.
            WindowError: the window is larger than the maps.
        """
        if x.ndim != 4:
            raise ValueError(f"input of shape {x.shape}; [N, H, W, C] is needed")
        inputs, maps = self.size**2, x.shape[3]

        def coefficients(key: Key) -> jax.Array:
            return jnp.asarray(self.coefficient_init(key, (inputs, maps), jnp.float32)[0])

        coefficient = self.param("coefficient", coefficients)
        bias = self.param("bias", self.bias_init, (maps,))
        sums = inputs * average_pool(x, self.size, self.size)
        by_map = (1, 1, 1, maps)
        return sums * coefficient.reshape(by_map) + bias.reshape(by_map)
