"""Euclidean radial basis function units with fixed codes.

Source:
    LeCun, Bottou, Bengio and Haffner. Gradient-Based Learning Applied to Document
    Recognition. Proceedings of the IEEE 86(11), 1998. Section II.B, equation 7:
    y_i = sum over j of (x_j - w_ij)^2, with w_ij = +-1, "chosen by hand and kept fixed (at
    least initially)". The smallest y is the answer; here the output is -y, so that larger
    is better.
"""

from dataclasses import dataclass

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from cnn_jax.layers.digit_bitmaps import digit_bitmaps
from cnn_jax.types import Features, Logits


@dataclass(frozen=True)
class DigitDistances:
    """Minus the squared distances to the drawings of ``layers/digit_bitmaps.py``."""

    name: str


class EuclideanUnits(nn.Module):
    """Minus the squared distances between the input and fixed codes; no parameters.

    Attributes:
        codes: one row of numbers a class.
    """

    codes: tuple[tuple[float, ...], ...]

    @nn.compact
    def __call__(self, x: Features) -> Logits:
        """Return [N, classes], at most 0.

        Args:
            x: values to compare with the codes, [N, as many].

        Raises:
            ValueError: an input that is not as long as the codes.
        """
        codes = np.array(self.codes, np.float32)
        if x.ndim != 2 or x.shape[1] != codes.shape[1]:
            raise ValueError(
                f"{self.name}: its codes have {codes.shape[1]} values; its input has shape "
                f"{x.shape[1:]}"
            )
        # Differences first: expanding the square would cancel digits near a code.
        differences = x[:, None] - jnp.asarray(codes, x.dtype)[None]
        return -jnp.square(differences).sum(-1)

    def multiply_adds(self, output_shape: tuple[int, ...]) -> int:
        """Return the squares behind an output [N, classes]."""
        batch, classes = output_shape
        return batch * classes * len(self.codes[0])


def digit_units(row: DigitDistances, num_classes: int) -> EuclideanUnits:
    """Return the units of the first ``num_classes`` digits.

    Raises:
        ValueError: more classes than digits, or none.
    """
    bitmaps = digit_bitmaps()
    if not 1 <= num_classes <= len(bitmaps):
        raise ValueError(
            f"{row.name}: {num_classes} classes; there are bitmaps of the ten digits only, "
            f"so 1 to {len(bitmaps)} are possible"
        )
    flat = bitmaps[:num_classes].reshape(num_classes, -1)
    return EuclideanUnits(tuple(map(tuple, flat.tolist())), name=row.name)
