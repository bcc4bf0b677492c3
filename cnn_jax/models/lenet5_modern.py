"""LeNet-5 as textbooks draw it: 61,706 parameters.

Source:
    LeCun, Bottou, Bengio and Haffner. Gradient-Based Learning Applied to Document
    Recognition. Proceedings of the IEEE 86(11), 1998. Section II.B and Figure 2 (layer
    sizes). The simplification is the one of two of the lectures: Vilaplana, Convolutional
    Neural Networks, "Example: LeNet-5" (tanh, average pooling), and Kondor, Deep Learning,
    "LeNet-5" ("How many parameters?").

Departures:
    This is not the network of 1998, which has 60,000 parameters. Every map of conv2 sees
    all six maps of pool1 (the paper's Table I connects 60 of 96 pairs); pooling is a plain
    mean without the paper's trainable coefficient, bias and squashing; the activation is
    tanh (the paper: 1.7159 tanh(2 x / 3)); the paper's C5 is ``fc1``, fully connected, and
    its F6 is ``fc2``; the output is one linear score a class (the paper: the distance to a
    fixed code of 84 values); weights start from Glorot and Bengio 2010 and biases from 0.
    ``MAX_POOL_TABLE`` has 2 x 2 maxima instead of means, as the recipe ``lenet5_mnist``
    uses it, together with ReLU; its parameters are the same 61,706.
"""

from cnn_jax.layers.activations import Activation, tanh
from cnn_jax.layers.initializers import glorot
from cnn_jax.layers.rows import (
    AveragePool,
    Classifier,
    Conv,
    Dense,
    Initializer,
    MaxPool,
    Table,
)
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.types import ImageShape, ModelSpec

# fmt: off
#                name  features kernel
TABLE: Table = (
    Conv(       "conv1",     6,    5),      # 32 -> 28   C1
    AveragePool("pool1",           2, 2),   # 28 -> 14   S2
    Conv(       "conv2",    16,    5),      # 14 -> 10   C3
    AveragePool("pool2",           2, 2),   # 10 ->  5   S4
    Dense(      "fc1",     120),            # 400 -> 120 C5
    Dense(      "fc2",      84),            #            F6
    Classifier( "out"),
)
# fmt: on

MAX_POOL_TABLE: Table = tuple(
    MaxPool(row.name, row.size, row.stride) if isinstance(row, AveragePool) else row
    for row in TABLE
)


class LeNet5Modern(TableNetwork):
    """Two convolutions with pooling, three fully connected layers."""

    num_classes: int = 10
    input_shape: ImageShape = (32, 32, 1)
    table: Table = TABLE
    activation: Activation = tanh
    initializer: Initializer = glorot


MODELS = {
    "lenet5_modern": ModelSpec(
        build=LeNet5Modern,
        input_shape=(32, 32, 1),
        num_classes=10,
        parameters=61_706,
        macs=416_520,
        paper="LeCun et al.",
        year=1998,
        source=(
            "Gradient-Based Learning Applied to Document Recognition, Proc. IEEE 86(11), "
            "Figure 2, in the textbooks' simplification"
        ),
    ),
}
