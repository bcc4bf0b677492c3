"""Time-delay units: convolution over time, and evidence added up over time.

Source:
    Waibel, Hanazawa, Hinton, Shikano and Lang. Phoneme Recognition Using Time-Delay Neural
    Networks. IEEE Transactions on Acoustics, Speech, and Signal Processing 37(3), 1989.
    Section II.

A sequence is an image one pixel wide: [N, frames, 1, coefficients].
"""

from dataclasses import dataclass

import flax.linen as nn
import jax.numpy as jnp

from cnn_jax.maths.geometry import output_size
from cnn_jax.types import Features, Logits


@dataclass(frozen=True)
class TimeDelay:
    """Units that see ``window`` neighbouring frames, the same at every time; activation.

    Attributes:
        name: ours, the paper numbers its layers.
        features: units at each time; None for one a class.
        window: frames.
    """

    name: str
    features: int | None
    window: int


@dataclass(frozen=True)
class Integration:
    """One output a class: the evidence of its units at all times, added up; activation."""

    name: str


def time_delay_conv(
    row: TimeDelay, features: int, kernel_init: nn.initializers.Initializer
) -> nn.Conv:
    """Return the convolution over time, from [N, T, 1, C] to [N, T - window + 1, 1, F]."""
    return nn.Conv(
        features, (row.window, 1), padding="VALID", kernel_init=kernel_init, name=row.name
    )


def check_sequence(name: str, x: Features, window: int = 1) -> None:
    """Check that a layer's input is a sequence that is long enough.

    Raises:
        ValueError: not [N, frames, 1, C].
        WindowError: fewer frames than the window.
    """
    if x.ndim != 4 or x.shape[2] != 1:
        raise ValueError(
            f"{name}: it takes sequences [N, frames, 1, C]; its input has shape "
            f"{x.shape[1:]} for each"
        )
    output_size(x.shape[1], window)


class SquareIntegrator(nn.Module):
    """weight_c times the sum over time of the squares of unit c, plus bias_c.

    Attributes:
        frames: of the input; each costs a multiplication a class.
        weight_init: of the weights, [C].
        bias_init: of the biases, [C].
    """

    frames: int
    weight_init: nn.initializers.Initializer = nn.initializers.ones
    bias_init: nn.initializers.Initializer = nn.initializers.zeros

    @nn.compact
    def __call__(self, x: Features) -> Logits:
        """Return [N, C].

        Args:
            x: one unit a class at each time, [N, frames, 1, C].

        Raises:
            ValueError: another number of frames.
        """
        if x.shape[1] != self.frames:
            raise ValueError(f"{x.shape[1]} frames; this integrates {self.frames}")
        classes = (x.shape[3],)
        weight = self.param("weight", self.weight_init, classes)
        bias = self.param("bias", self.bias_init, classes)
        return jnp.square(x).sum((1, 2)) * weight[None] + bias[None]

    def multiply_adds(self, output_shape: tuple[int, ...]) -> int:
        """Return the squares behind an output [N, C]."""
        batch, classes = output_shape
        return batch * classes * self.frames
