"""S-cells: detectors that learn, inhibited by the strength of what they see.

Source: Fukushima. Neocognitron. Biological Cybernetics 36, 1980, equations 1 to 3. How
    they learn is in ``layers/s_cell_learning.py``.
"""

from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float

from cnn_jax.maths.geometry import WindowError
from cnn_jax.types import Features, Key


@dataclass(frozen=True)
class SCells:
    """A layer of S-cells.

    Attributes:
        name: the paper's.
        planes: cell-planes; None for the network's ``num_classes``.
        size: edge of the square window over the cells before, in pixels.
        padding: zeros on each side.
        r: strength of the inhibition, more than 0.
        q: how much one presentation reinforces.
        decay: of the fixed connections c with each pixel of distance.
        initial_sum: what the excitatory synapses of a plane sum to at the start.
    """

    name: str
    planes: int | None
    size: int
    padding: int
    r: float
    q: float
    decay: float = 0.9
    initial_sum: float = 0.01


class Synapses(NamedTuple):
    """The modifiable connections of a layer of S-cells; one set a cell-plane.

    Attributes:
        excitatory: the paper's a, [size, size, planes before, planes], not negative.
        inhibitory: the paper's b, [planes], not negative.
    """

    excitatory: Array
    inhibitory: Array


class SLayer(nn.Module):
    """The S-cells of a row; its parameters are those of ``Synapses``, b is 0 at first."""

    row: SCells
    planes: int

    @nn.compact
    def __call__(self, u_c: Features) -> Features:
        """Return their outputs, [N, rows, columns, planes], not negative.

        Args:
            u_c: the cells before, [N, H, W, C], not negative.

        Raises:
            WindowError: the window is larger than the padded input.
        """
        size, before = self.row.size, u_c.shape[-1]

        def small(key: Key, shape: tuple[int, ...]) -> Array:
            largest = 2 * self.row.initial_sum / prod(shape[:-1])
            return jax.random.uniform(key, shape, maxval=largest)

        synapses = Synapses(
            self.param("excitatory", small, (size, size, before, self.planes)),
            self.param("inhibitory", nn.initializers.zeros, (self.planes,)),
        )
        return s_cells(self.row, synapses, u_c, inhibiting_cells(self.row, u_c))

    def multiply_adds(self, output_shape: tuple[int, ...]) -> int:
        """Return those of the sums over a and c, and one with b for each cell."""
        *places, planes = output_shape
        inputs = prod(self.variables["params"]["excitatory"].shape[:-1])
        return prod(places) * (planes * inputs + inputs + planes)


def inhibiting_cells(row: SCells, u_c: Features) -> Features:
    """Return v_C = sqrt(sum c u_C^2) under each window, [N, rows, columns, 1]."""
    weights = inhibiting_weights(row, u_c.shape[-1])
    return jnp.sqrt(sums_over_windows(u_c * u_c, weights[..., None], row.padding))


def inhibiting_weights(row: SCells, before: int) -> Float[np.ndarray, "size size before"]:
    """Return the paper's c: it falls with the distance, its sum over all inputs is 1."""
    weights = by_distance(row.size, row.decay)
    return np.repeat((weights / (before * weights.sum()))[:, :, None], before, axis=2)


def s_cells(row: SCells, synapses: Synapses, u_c: Features, v_c: Features) -> Features:
    """Return u_S = r max(0, (1 + sum a u_C) / (1 + 2 r / (1 + r) b v_C) - 1).

    A plane that was reinforced by one pattern responds where what it sees has a cosine
    (weighted by c) of more than about r / (1 + r) with that pattern; its response to the
    pattern itself approaches 1 as a and b grow.

    Args:
        row: sizes, padding and r.
        synapses: of the layer.
        u_c: the cells before, [N, H, W, C], not negative.
        v_c: of ``inhibiting_cells``, [N, rows, columns, 1].

    Returns:
        [N, rows, columns, planes].
    """
    excitation = sums_over_windows(u_c, synapses.excitatory, row.padding)
    share = 2 * row.r / (1 + row.r)
    inhibition = share * v_c * synapses.inhibitory.reshape(1, 1, 1, -1)
    return row.r * jax.nn.relu((1 + excitation) / (1 + inhibition) - 1)


def by_distance(size: int, decay: float) -> Float[np.ndarray, "size size"]:
    """Return ``decay`` to the power of the distance in pixels from the window's middle."""
    along = np.arange(size) - (size - 1) / 2
    return np.asarray(decay ** np.hypot(along[:, None], along[None]), np.float32)


def sums_over_windows(x: Features, weights: Array | np.ndarray, padding: int) -> Features:
    """Return the weighted sum under each window, [N, rows, columns, outputs].

    Args:
        x: [N, H, W, C].
        weights: [size, size, C, outputs].
        padding: zeros on each side; a negative number cuts pixels off.

    Raises:
        WindowError: the window is larger than the padded input.
    """
    size = weights.shape[0]
    if min(x.shape[1:3]) + 2 * padding < size:
        raise WindowError(f"a window of {size} does not fit with padding {padding}")
    return lax.conv_general_dilated(
        x,
        jnp.asarray(weights, x.dtype),
        (1, 1),
        ((padding, padding),) * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
