"""The nonlinearities of the lectures.

An activation is a function of the features, a ``Maxout``, or a Linen module class with
parameters (``PReLU``); ``activate`` applies any of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from cnn_jax.types import Features


def identity(x: Features) -> Features:
    """Return ``x``."""
    return x


def relu(x: Features) -> Features:
    """Return max(0, x); the derivative at 0 is 0."""
    return nn.relu(x)


def sigmoid(x: Features) -> Features:
    """Return 1 / (1 + exp(-x)); its slope is at most 1/4."""
    return nn.sigmoid(x)


def tanh(x: Features) -> Features:
    """Return the hyperbolic tangent."""
    return jnp.tanh(x)


def scaled_tanh(x: Features) -> Features:
    """Return 1.7159 tanh(2 x / 3): LeCun et al. 1998, appendix A."""
    return 1.7159 * jnp.tanh(x * (2.0 / 3.0))


def hard_tanh(x: Features) -> Features:
    """Return x cut off at -1 and 1; the slope is 1 between them, 0 outside."""
    return jnp.clip(x, -1.0, 1.0)


def softplus(x: Features) -> Features:
    """Return log(1 + exp(x)), a ReLU without its corner; no x overflows."""
    return nn.softplus(x)


def softmax(x: Features) -> Features:
    """Return exp(x_j) / sum over k of exp(x_k), over the last axis; no x overflows."""
    return nn.softmax(x, axis=-1)


def leaky_relu(x: Features) -> Features:
    """Return x where positive, 0.01 x elsewhere."""
    return nn.leaky_relu(x, 0.01)


def elu(x: Features) -> Features:
    """Return x where positive, exp(x) - 1 elsewhere: Clevert et al. 2016, alpha 1."""
    return nn.elu(x)


class PReLU(nn.Module):
    """x where positive, a x elsewhere, with a learned a: He et al. 2015, Section 2.1.

    Attributes:
        shared: one slope for the layer instead of one a channel.
        initial_slope: 0.25 in the paper.
    """

    shared: bool = False
    initial_slope: float = 0.25

    @nn.compact
    def __call__(self, x: Features) -> Features:
        """Return an array of the same shape; channels are the last axis."""
        shape = (1,) if self.shared else (x.shape[-1],)
        slope = self.param("slope", nn.initializers.constant(self.initial_slope), shape)
        # where, not max(x, a x): the two differ once a slope has grown above 1.
        return jnp.where(x > 0, x, slope.reshape((1,) * (x.ndim - 1) + shape) * x)


@dataclass(frozen=True)
class Maxout:
    """The largest of ``pieces`` affine maps: Goodfellow et al. 2013, Section 3.

    The layer below must have ``pieces`` times the features; the pieces of one output
    are neighbours.
    """

    pieces: int = 2

    def __call__(self, x: Features) -> Features:
        """Return the maximum over each group of ``pieces`` channels."""
        return x.reshape(*x.shape[:-1], -1, self.pieces).max(-1)


Activation = Callable[[Features], Features] | type[nn.Module]


def pieces_of(activation: Activation) -> int:
    """Return how many features of the layer below make one output; 1 but for maxout."""
    return activation.pieces if isinstance(activation, Maxout) else 1


def activate(activation: Activation, x: Features, *, name: str) -> Features:
    """Apply an activation inside a compact module.

    Args:
        activation: a function, or a module class to be made under ``name``.
        x: pre-activations.
        name: the scope of the activation's parameters, if it has any.
    """
    if isinstance(activation, type):
        module: Any = activation(name=name)
        return module(x)
    return activation(x)
