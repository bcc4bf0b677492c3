"""Radial basis function units, which answer most to one template.

Source:
    Deep Learning Basics (Johns Hopkins University), "Other Options":
    g(z) = exp(-||w - z||^2 / sigma^2), "template matching". The units of LeNet-5, which
    have no exponential, are ``layers/radial_basis.py``.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from cnn_jax.layers.initializers import he
from cnn_jax.types import Features


def radial_basis(z: Features, templates: Array, sigma: float) -> Features:
    """Return exp(-||w - z||^2 / sigma^2) of each template w, [N, units], in (0, 1].

    Args:
        z: inputs, [N, inputs].
        templates: the w, [inputs, units].
        sigma: distance at which the answer has fallen to 1 / e; positive.

    Raises:
        ValueError: a sigma that is not positive, or shapes that do not fit.
    """
    if not sigma > 0.0:
        raise ValueError(f"sigma = {sigma}; a positive number is needed")
    if z.ndim != 2 or templates.ndim != 2 or z.shape[1] != templates.shape[0]:
        raise ValueError(
            f"input of shape {z.shape} and templates of shape {templates.shape}; "
            f"[N, inputs] and [inputs, units] are needed"
        )
    # Differences first: expanding the square would cancel digits near a template.
    distances = jnp.square(z[:, :, None] - templates[None]).sum(1)
    return jnp.exp(-distances / sigma**2)


class GaussianUnits(nn.Module):
    """A layer of such units with learned templates.

    Attributes:
        features: number of units.
        sigma: of all units; a field, not a parameter.
        kernel_init: initial templates, ``kernel`` [inputs, features].
    """

    features: int
    sigma: float = 1.0
    kernel_init: nn.initializers.Initializer = he

    @nn.compact
    def __call__(self, x: Features) -> Features:
        """Return the answers, [N, features].

        Args:
            x: inputs, [N, inputs].

        Raises:
            ValueError: a sigma that is not positive, or an input of another rank.
        """
        shape = (x.shape[-1], self.features)
        return radial_basis(x, self.param("kernel", self.kernel_init, shape), self.sigma)

    def multiply_adds(self, output_shape: tuple[int, ...]) -> int:
        """Return the squares behind an output [N, features]."""
        rows, features = output_shape
        inputs: int = self.variables["params"]["kernel"].shape[0]
        return rows * features * inputs
