"""How much of a gradient the nonlinearities of a deep network can let through.

Source:
    Deep Learning Basics (Johns Hopkins University), "Vanishing Gradients": the chain rule
    multiplies one slope a layer, and a sigmoid's is at most 1/4.
"""

from typing import Any

import jax
import jax.numpy as jnp

from cnn_jax.layers.activations import Activation


def steepest_slope(activation: Activation, *, reach: float = 8.0) -> float:
    """Return the largest absolute slope of an activation, by differentiation.

    Args:
        activation: a function of each value by itself, without parameters.
        reach: looked at are 2049 values from -reach to reach; 0 is one of them.
    """

    def slope(x: jax.Array) -> jax.Array:
        function: Any = activation
        return jax.grad(lambda value: function(value[None])[0])(x)

    return float(jnp.abs(jax.vmap(slope)(jnp.linspace(-reach, reach, 2049))).max())


def gradient_bound(activation: Activation, layers: int) -> float:
    """Return the most that the slopes of so many layers leave of a gradient.

    The weights between the layers multiply it too: a bound below 1 vanishes with depth
    unless they are large.

    Args:
        activation: as for ``steepest_slope``.
        layers: L, at least 0.

    Raises:
        ValueError: fewer than 0 layers.
    """
    if layers < 0:
        raise ValueError(f"{layers} layers; at least 0 are needed")
    return steepest_slope(activation) ** layers
