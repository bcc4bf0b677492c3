"""The time-delay network: three sounds told apart wherever they occur; 521 parameters.

Source:
    Waibel, Hanazawa, Hinton, Shikano and Lang. Phoneme Recognition Using Time-Delay Neural
    Networks. IEEE Transactions on Acoustics, Speech, and Signal Processing 37(3), 1989.
    Section II, Figure 2: 15 frames of 16 mel-scale coefficients; 8 units that see 3 frames;
    3 units, one a class, that see 5 frames of those; each output adds up its row of units
    over 9 frames. All units are sigmoids, trained by squared error.

Departures:
    Layer sizes are from memory. An output adds squares, as in the earlier report of the
    same network, and has one weight for all times and one bias; these 6 of the 521
    parameters are our assumption. Weights start from Glorot and Bengio 2010, those of the
    output from 1; biases from 0, those of the output from -3, so that outputs begin near
    1/3: from 0 they begin near 0.9, and coming down from there turns the weights to 0. With
    another number of classes there are as many units in ``hidden2``.
"""

from typing import Any

import flax.linen as nn

from cnn_jax.layers.activations import Activation, activate, sigmoid
from cnn_jax.layers.initializers import glorot
from cnn_jax.layers.rows import Initializer
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.layers.time_delay import (
    Integration,
    SquareIntegrator,
    TimeDelay,
    check_sequence,
    time_delay_conv,
)
from cnn_jax.types import Features, ImageShape, ModelSpec, Published

OUTPUT_BIAS = -3.0

Table = tuple[TimeDelay | Integration, ...]

# fmt: off
#               name       features window      frames x units, parameters
TABLE: Table = (
    TimeDelay(  "hidden1",    8,    3),       # 15 x 16 -> 13 x 8      392
    TimeDelay(  "hidden2", None,    5),       #         ->  9 x 3      123
    Integration("output"),                    #         ->      3        6
)
# fmt: on


class TimeDelayNetwork(TableNetwork):
    """Convolutions over time, and outputs that add up over time.

    Attributes:
        num_classes: outputs.
        input_shape: frames, 1, coefficients; ``__call__`` takes longer sequences too.
        table: the rows, the output last.
        activation: after every row, the output too.
        initializer: of every kernel.
    """

    num_classes: int = 3
    input_shape: ImageShape = (15, 1, 16)
    table: Table = TABLE
    activation: Activation = sigmoid
    initializer: Initializer = glorot

    def apply_row(self, row: Any, x: Features, *, train: bool) -> Features:  # noqa: ARG002
        """Apply a row and squash it; nothing is different in training.

        Raises:
            TypeError: not a row of this network.
            ValueError: not a sequence, or one that is too short.
        """
        return activate(self.activation, self._row(row, x), name=f"{row.name}_activation")

    def _row(self, row: TimeDelay | Integration, x: Features) -> Features:
        match row:
            case TimeDelay():
                features = self.num_classes if row.features is None else row.features
                check_sequence(row.name, x, row.window)
                return time_delay_conv(row, features, self.initializer)(x)
            case Integration():
                check_sequence(row.name, x)
                if x.shape[3] != self.num_classes:
                    raise ValueError(
                        f"{row.name}: it adds up one unit a class; {self.num_classes} "
                        f"classes need as many units, its input has {x.shape[3]}"
                    )
                bias = nn.initializers.constant(OUTPUT_BIAS)
                return SquareIntegrator(x.shape[1], bias_init=bias, name=row.name)(x)
        raise TypeError(f"{row!r} is not a row of this network")


MODELS = {
    "tdnn": ModelSpec(
        build=TimeDelayNetwork,
        input_shape=(15, 1, 16),
        num_classes=3,
        parameters=521,
        macs=6_099,
        paper="Waibel et al.",
        year=1989,
        source=(
            "Phoneme Recognition Using Time-Delay Neural Networks, IEEE Transactions on "
            "Acoustics, Speech, and Signal Processing 37(3), Section II"
        ),
        published=(
            Published(
                top1=1.5,
                protocol="/b, d, g/ of 3 Japanese speakers, 1,946 test tokens",
                source="Waibel et al. 1989, abstract: 98.5 % right",
            ),
        ),
    ),
}
