"""C-cells: they respond wherever a detector near their place does, and do not learn.

Source: Fukushima. Neocognitron. Biological Cybernetics 36, 1980, equations 4 to 6.
"""

from dataclasses import dataclass
from math import prod

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax.layers.s_cells import by_distance, sums_over_windows
from cnn_jax.maths.geometry import WindowError
from cnn_jax.types import Features


@dataclass(frozen=True)
class CCells:
    """A layer of C-cells; each sees one plane of S-cells.

    Attributes:
        name: the paper's.
        size: edge of the square window in pixels.
        padding: zeros on each side; a negative number cuts pixels off.
        whole: the window must be the whole map, so that a plane has a single cell.
        decay: of the fixed connections d with each pixel of distance; 1 in the middle.
        alpha: how much input makes half of the largest output.
    """

    name: str
    size: int
    padding: int = 0
    whole: bool = False
    decay: float = 0.9
    alpha: float = 0.5


class CLayer(nn.Module):
    """The C-cells of a row, as a module so that their multiply-adds are counted."""

    row: CCells

    @nn.compact
    def __call__(self, u_s: Features) -> Features:
        """Return their outputs; see ``c_cells``."""
        return c_cells(self.row, u_s)

    def multiply_adds(self, output_shape: tuple[int, ...]) -> int:
        """Return those of the sums over d."""
        return prod(output_shape) * self.row.size**2


def c_cells(row: CCells, u_s: Features) -> Features:
    """Return u_C = psi((1 + sum d u_S) / (1 + v_S) - 1), psi(x) = x / (alpha + x), x > 0.

    v_S is the mean over all planes of the same sums: a plane that does no more than the
    others at its place stays silent.

    Args:
        row: sizes and constants.
        u_s: S-cells, [N, H, W, planes], not negative.

    Returns:
        [N, rows, columns, planes], each from 0 to below 1.

    Raises:
        WindowError: the window does not fit its input, or is not all of it where it must
            be.
    """
    count, height, width, planes = u_s.shape
    if row.whole and (height + 2 * row.padding, width + 2 * row.padding) != (row.size,) * 2:
        raise WindowError(
            f"a single cell a plane has a window of {row.size} x {row.size}; the map has "
            f"{height} x {width}"
        )
    weights = by_distance(row.size, row.decay)[:, :, None, None]
    # Planes as images of their own: a CPU is slow at convolutions of many groups.
    alone = jnp.moveaxis(u_s, -1, 1).reshape(count * planes, height, width, 1)
    sums = sums_over_windows(alone, weights, row.padding)
    sums = jnp.moveaxis(sums.reshape(count, planes, *sums.shape[1:3]), 1, -1)
    excess = jax.nn.relu((1 + sums) / (1 + sums.mean(-1, keepdims=True)) - 1)
    return excess / (row.alpha + excess)
