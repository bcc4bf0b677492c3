"""Correlation over p4 and p4m, and pooling over orientations.

Source:
    Cohen and Welling. Group Equivariant Convolutional Networks. ICML 2016. Section 6.1
    (Equation 10, from the plane to the group; Equation 11, on the group; one bias a map,
    Section 6.2), 6.3 (coset pooling), 7 (as one planar convolution).

Features are [N, H, W, G, C]: G orientations (4 on p4, 8 on p4m, 1 on the plane) of C maps.
Turning the input by g turns every map by g and exchanges its orientations: orientation u
of the new features is orientation g^-1 u of the old ones
(``maths.plane_groups.transformed``). Exactly so where the windows lie symmetrically:
(size + 2 padding - kernel) must be a multiple of the stride.
"""

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax

from cnn_jax.layers.initializers import he
from cnn_jax.maths.geometry import output_size
from cnn_jax.maths.plane_groups import filter_table, plane_group
from cnn_jax.types import Features


def planar_kernel(kernel: Array, group: str) -> Array:
    """Return the planar kernel that does a group correlation: one gather, one transpose.

    Args:
        kernel: [k, k, G or 1, in, out]; the third axis counts the input's orientations.
        group: ``z2``, ``p4`` or ``p4m``.

    Returns:
        [k, k, (G or 1) * in, G * out], orientations before maps.
    """
    size, _, orientations, inputs, outputs = kernel.shape
    table = filter_table(plane_group(group), size, orientations)
    flat = jnp.asarray(kernel).reshape(-1, inputs, outputs)
    # [k k, orientations, G, in, out]; each place is used once for each element of G.
    turned = flat.at[table].get(mode="promise_in_bounds")
    return turned.transpose(0, 1, 3, 2, 4).reshape(size, size, orientations * inputs, -1)


class GroupConvolution(nn.Module):
    """Correlate with every turned copy of each filter.

    Parameters: ``kernel`` [k, k, G or 1, in, out], ``bias`` [out] shared by the
    orientations.

    Attributes:
        features: output maps, each of all orientations.
        kernel_size: edge of the square window in pixels, even or odd.
        group: ``z2`` (an ordinary convolution), ``p4`` or ``p4m``.
        stride: in pixels.
        padding: zeros on each side in pixels.
        use_bias: add one number a map.
        kernel_init: of the kernel; its fan-in is that of one output.
    """

    features: int
    kernel_size: int
    group: str
    stride: int = 1
    padding: int = 0
    use_bias: bool = True
    kernel_init: Any = he

    @nn.compact
    def __call__(self, x: Features) -> Features:
        """Return [N, H', W', G, features].

        Args:
            x: [N, H, W, G, C] on the group, or [N, H, W, 1, C] on the plane.

        Raises:
            ValueError: an unknown group, or a number of orientations that is not its own.
            WindowError: the kernel is larger than the padded input.
        """
        *_, orientations, inputs = x.shape
        size = self.kernel_size
        for edge in x.shape[1:3]:
            output_size(edge, size, self.stride, self.padding)
        shape = (size, size, orientations, inputs, self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        sides = (self.padding, self.padding)
        y = lax.conv_general_dilated(
            x.reshape(*x.shape[:3], -1),
            planar_kernel(kernel, self.group).astype(x.dtype),
            (self.stride, self.stride),
            (sides, sides),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        y = y.reshape(*y.shape[:3], -1, self.features)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
            y = y + bias.astype(y.dtype).reshape(1, 1, 1, 1, -1)
        return y

    def multiply_adds(self, output_shape: tuple[int, ...]) -> int:
        """Return the multiply-adds of an output [N, H', W', G, features]."""
        kernel = self.variables["params"]["kernel"]
        return math.prod(output_shape) * math.prod(kernel.shape[:-1])


def orientation_max(x: Features) -> Features:
    """Return the maximum over orientations, [N, H, W, 1, C]: coset pooling, Section 6.3.

    The orientations of one place are a coset of the point group: what is left are maps on
    the plane, which turn with the input.
    """
    return x.max(-2, keepdims=True)


def over_orientations(planar: Callable[[Features], Features], x: Features) -> Features:
    """Apply a function of planar maps to each orientation by itself.

    Args:
        planar: takes [N, H, W, C] to [N, H', W', C], map by map: spatial pooling.
        x: [N, H, W, G, C].

    Returns:
        [N, H', W', G, C].
    """
    y = planar(x.reshape(*x.shape[:3], -1))
    return y.reshape(*y.shape[:3], *x.shape[3:])
