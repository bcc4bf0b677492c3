"""LeNet-5 as printed: 60,000 parameters, 340,908 connections.

Source:
    LeCun, Bottou, Bengio and Haffner. Gradient-Based Learning Applied to Document
    Recognition. Proceedings of the IEEE 86(11), 1998. Section II.B, Figure 2 (layers),
    Table I (which maps of S2 a map of C3 sees), equations 5 to 7; appendix A: the
    squashing function 1.7159 tanh(2 x / 3) and initial weights from +-2.4 / F, with F the
    inputs of a unit.

Departures:
    The output is minus the distance, so that larger is better. The bitmaps of the output
    are drawn by us, in the manner of Figure 3 (``layers/digit_bitmaps.py``). Biases start
    from 0, and the coefficients of S2 and S4 from +-2.4 / 4: the appendix does not single
    them out. With fewer than ten classes, class k has the bitmap of digit k; there are no
    more than ten. The loss that belongs to it is ``training/map_loss.py``.
"""

from cnn_jax.layers.activations import Activation, activate, scaled_tanh
from cnn_jax.layers.checks import check_row
from cnn_jax.layers.connection_table import ConnectionTableConv, TableConv
from cnn_jax.layers.initializers import lecun_uniform
from cnn_jax.layers.radial_basis import DigitDistances, digit_units
from cnn_jax.layers.rows import Conv, Dense, Initializer, Row, flatten
from cnn_jax.layers.subsampling import Subsampling, TrainableSubsampling
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.types import Features, ImageShape, ModelSpec, Published

# fmt: off
TABLE_I = (  # map of C3: 0 ... 15
    "X   XXX  XXXX XX",  # map 0 of S2
    "XX   XXX  XXXX X",
    "XXX   XXX  X XXX",
    " XXX  XXXX  X XX",
    "  XXX  XXXX XX X",
    "   XXX  XXXX XXX",
)

AnyRow = Row | Subsampling | TableConv | DigitDistances
Table = tuple[AnyRow, ...]

#                    name    features kernel    maps, parameters, connections
TABLE: Table = (
    Conv(           "c1",          6,      5),  #   6 @ 28 x 28     156  122,304
    Subsampling(    "s2"),                      #   6 @ 14 x 14      12    5,880
    TableConv(      "c3",    TABLE_I,      5),  #  16 @ 10 x 10   1,516  151,600
    Subsampling(    "s4"),                      #  16 @  5 x 5       32    2,000
    Conv(           "c5",        120,      5),  # 120 @  1 x 1   48,120   48,120
    Dense(          "f6",         84),          #  84            10,164   10,164
    DigitDistances( "output"),                  #  10                 0      840
)
# fmt: on


class LeNet5(TableNetwork):
    """Convolutions and trainable subsampling, compared with ten drawings.

    Attributes:
        num_classes: 1 to 10.
        input_shape: height, width, channels of the images it is built for.
        table: the rows, the output last.
        activation: after every row but the output.
        initializer: of every kernel, and of the coefficients of subsampling.
    """

    num_classes: int = 10
    input_shape: ImageShape = (32, 32, 1)
    table: Table = TABLE
    activation: Activation = scaled_tanh
    initializer: Initializer = lecun_uniform

    def apply_row(self, row: AnyRow, x: Features, *, train: bool) -> Features:
        """Apply subsampling, the table of connections, the output, or a common row."""
        check_row(row)
        match row:
            case DigitDistances():
                return digit_units(row, self.num_classes)(flatten(x))
            case Subsampling():
                x = TrainableSubsampling(
                    row.size, coefficient_init=self.initializer, name=row.name
                )(x)
            case TableConv():
                x = ConnectionTableConv(row, self.initializer, name=row.name)(x)
            case _:
                return super().apply_row(row, x, train=train)
        return activate(self.activation, x, name=f"{row.name}_activation")


MODELS = {
    "lenet5": ModelSpec(
        build=LeNet5,
        input_shape=(32, 32, 1),
        num_classes=10,
        parameters=60_000,
        macs=326_520,
        paper="LeCun et al.",
        year=1998,
        source=(
            "Gradient-Based Learning Applied to Document Recognition, Proc. IEEE 86(11), "
            "Section II.B"
        ),
        published=(
            Published(
                top1=0.95,
                protocol="MNIST test, 1 network, no distortions",
                source="LeCun et al. 1998, Section III.B",
            ),
            Published(
                top1=0.8,
                protocol="MNIST test, 1 network, distorted training set",
                source="LeCun et al. 1998, Section III.B",
            ),
        ),
    ),
}
