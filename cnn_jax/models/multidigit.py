"""The network that reads whole street numbers.

Source:
    Goodfellow, Bulatov, Ibarz, Arnoud and Shet. Multi-digit Number Recognition from Street
    View Imagery using Deep Convolutional Neural Networks. ICLR 2014. Section 5.1, the
    architecture for the public SVHN data: eight convolutional layers, one locally connected
    and two densely connected ones; 5 x 5 kernels, zeros around their input keep the size;
    the first layer is maxout with three filters a unit, the others are rectifiers; maxima
    over 2 x 2 pixels with strides 2, 1, 2, 1, ...; subtractive normalisation over 3 x 3
    pixels; dropout in all hidden layers but not in the input. Section 4: the heads.

Departures:
    The paper does not print the window of the locally connected layer, so no source allows
    a count of the parameters: here 3 x 3 on the last 4 x 4 map, with zeros around it, so
    that there are 16 places of 192 units each. Nor does it print the rate of dropout (here
    0.5), the place of the normalisation (here behind each pool), its weights (here a plain
    mean of the window and of all maps, its part outside the image left out) or the
    initial weights (here He et al. 2015). Pools of stride 1 keep the size: windows at the
    right and at the bottom hang over the border.
    ``num_classes`` is the number of values of a digit.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp

from cnn_jax.kernels.pooling import max_pool
from cnn_jax.layers.activations import Maxout, relu
from cnn_jax.layers.checks import check_row
from cnn_jax.layers.dropout import Dropout
from cnn_jax.layers.initializers import he
from cnn_jax.layers.locally_connected import LocallyConnected
from cnn_jax.layers.number_heads import outputs_of
from cnn_jax.layers.rows import (
    Classifier,
    Conv,
    Dense,
    Initializer,
    convolve,
)
from cnn_jax.layers.subtractive_norm import subtractive_norm
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.types import Features, ImageShape, ModelSpec, Task


@dataclass(frozen=True)
class DigitConv:
    """Convolution, maxima, subtractive normalisation, dropout.

    Attributes:
        name: of the row.
        features: output channels.
        pool_stride: of the maxima over 2 x 2 pixels.
        pieces: filters a maxout unit; 1 for a rectifier.
        kernel: edge of the square window in pixels, odd; zeros keep the size.
        dropout: probability of zeroing an output in training.
    """

    name: str
    features: int
    pool_stride: int
    pieces: int = 1
    kernel: int = 5
    dropout: float = 0.5


@dataclass(frozen=True)
class LocalDense:
    """Locally connected layer, rectifier, dropout; zeros around its input keep the size."""

    name: str
    features: int
    kernel: int = 3
    dropout: float = 0.5


# fmt: off
#             name  features pool_stride pieces
TABLE: tuple[Any, ...] = (
    DigitConv("conv1",  48,    2,         3),        # 54 -> 27
    DigitConv("conv2",  64,    1),
    DigitConv("conv3", 128,    2),                   # 27 -> 14
    DigitConv("conv4", 160,    1),
    DigitConv("conv5", 192,    2),                   # 14 ->  7
    DigitConv("conv6", 192,    1),
    DigitConv("conv7", 192,    2),                   #  7 ->  4
    DigitConv("conv8", 192,    1),
    LocalDense("local", 192),
    Dense("fc1", 3072, dropout=0.5),
    Dense("fc2", 3072, dropout=0.5),
    Classifier("heads"),
)
# fmt: on


class MultiDigit(TableNetwork):
    """One output for the length and five digits; ``split_heads`` takes it apart.

    Attributes:
        num_classes: values of a digit.
        input_shape: height, width, channels of the images it is built for.
        table: the rows, all the heads as one classifier last.
        initializer: of every kernel.
    """

    num_classes: int = 10
    input_shape: ImageShape = (54, 54, 3)
    table: tuple[Any, ...] = TABLE
    initializer: Initializer = he

    task: ClassVar[Task] = "multi_head"

    @property
    def outputs(self) -> int:
        """Outputs of all heads together."""
        return outputs_of(self.num_classes)

    def apply_row(self, row: Any, x: Features, *, train: bool) -> Features:
        """Apply a layer of digits, or a common row."""
        if not isinstance(row, DigitConv | LocalDense):
            return super().apply_row(row, x, train=train)
        check_row(row)
        if x.ndim != 4:
            raise ValueError(
                f"{row.name}: it slides over images [N, H, W, C]; its input has shape "
                f"{x.shape[1:]} for each image"
            )
        if isinstance(row, DigitConv):
            conv = Conv(row.name, row.features, row.kernel, padding=row.kernel // 2)
            x = convolve(conv, x, initializer=self.initializer, pieces=row.pieces)
            x = Maxout(row.pieces)(x) if row.pieces > 1 else relu(x)
            x = subtractive_norm(_maxima(x, row.pool_stride), size=3)
        else:
            layer = LocallyConnected(
                row.features,
                row.kernel,
                padding=row.kernel // 2,
                kernel_init=self.initializer,
                name=row.name,
            )
            x = relu(layer(x))
        return Dropout(row.dropout, name=f"{row.name}_dropout")(x, train=train)


def _maxima(x: Features, stride: int) -> Features:
    """Return maxima over 2 x 2 pixels, the last of which may hang over the border."""
    below_and_right = ((0, 0), (0, 1), (0, 1), (0, 0))
    return max_pool(jnp.pad(x, below_and_right, constant_values=-jnp.inf), 2, stride)


MODELS = {
    "multidigit": ModelSpec(
        build=MultiDigit,
        input_shape=(54, 54, 3),
        num_classes=10,
        output_shape=(57,),
        task="multi_head",
        parameters=None,
        macs=None,
        paper="Goodfellow et al.",
        year=2014,
        source="Multi-digit Number Recognition from Street View Imagery, ICLR 2014",
    ),
}
