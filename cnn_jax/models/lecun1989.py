"""The zip-code network: shared kernels, but a bias for every unit; 9,760 parameters.

Source:
    LeCun, Boser, Denker, Henderson, Howard, Hubbard and Jackel. Backpropagation Applied to
    Handwritten Zip Code Recognition. Neural Computation 1, 1989. Section 3.3 (layers,
    connections, 9,760 parameters), Section 3 (images of 16 x 16 in [-1, 1]; outside them a
    constant background of -1), Section 4 (squashing, initial weights from +-2.4 / F, with F
    the inputs of a unit).

Departures:
    The paper does not describe which 8 of the 12 maps of H1 a map of H2 sees. Here H1 is
    three groups of four maps, and each third of H2 leaves one group out, so that every map
    of H1 is seen by 8 maps of H2. The paper states the background of -1 for the image; we
    take it for the maps of H1 too. Biases start from 0. From memory: the test error.
"""

from cnn_jax.layers.activations import Activation, activate, scaled_tanh
from cnn_jax.layers.checks import check_row
from cnn_jax.layers.connection_table import ConnectionTableConv, TableConv
from cnn_jax.layers.initializers import lecun_uniform
from cnn_jax.layers.rows import Classifier, Dense, Initializer, Row
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.types import Features, ImageShape, ModelSpec, Published

ONE_OF_TWELVE = "X" * 12
TWO_OF_THREE = (  # map of H2: 0 ... 11
    *("XXXX    XXXX",) * 4,  # maps 0 ... 3 of H1
    *("XXXXXXXX    ",) * 4,  # maps 4 ... 7
    *("    XXXXXXXX",) * 4,  # maps 8 ... 11
)

AnyRow = Row | TableConv
Table = tuple[AnyRow, ...]


def _layer(name: str, connections: tuple[str, ...]) -> TableConv:
    return TableConv(
        name,
        connections,
        kernel=5,
        stride=2,
        padding=2,
        background=-1.0,
        bias_per_unit=True,
    )


# fmt: off
TABLE: Table = (
    _layer(     "h1", (ONE_OF_TWELVE,)),  # 16 x 16 -> 12 @ 8 x 8    300 +   768
    _layer(     "h2", TWO_OF_THREE),      #         -> 12 @ 4 x 4  2,400 +   192
    Dense(      "h3", 30),                #         -> 30          5,760 +    30
    Classifier( "output"),                #         -> 10            300 +    10
)
# fmt: on


class LeCun1989(TableNetwork):
    """Two convolutions with a bias for every unit, two fully connected layers.

    Attributes:
        num_classes: outputs.
        input_shape: height, width, channels of the images it is built for.
        table: the rows, the output last.
        activation: after every row, the output too.
        initializer: of every kernel.
    """

    num_classes: int = 10
    input_shape: ImageShape = (16, 16, 1)
    table: Table = TABLE
    activation: Activation = scaled_tanh
    initializer: Initializer = lecun_uniform

    def apply_row(self, row: AnyRow, x: Features, *, train: bool) -> Features:
        """Apply a row; the output units are squashed like all others."""
        match row:
            case TableConv():
                check_row(row)
                x = ConnectionTableConv(row, self.initializer, name=row.name)(x)
            case Classifier():
                x = super().apply_row(row, x, train=train)
            case _:
                return super().apply_row(row, x, train=train)
        return activate(self.activation, x, name=f"{row.name}_activation")


MODELS = {
    "lecun1989": ModelSpec(
        build=LeCun1989,
        input_shape=(16, 16, 1),
        num_classes=10,
        parameters=9_760,
        macs=63_660,
        paper="LeCun et al.",
        year=1989,
        source=(
            "Backpropagation Applied to Handwritten Zip Code Recognition, Neural "
            "Computation 1, Section 3.3"
        ),
        published=(
            Published(
                top1=5.0,
                protocol="2,007 zip-code digits, 1 network, nothing rejected",
                source="LeCun et al. 1989, Section 5",
            ),
        ),
    ),
}
