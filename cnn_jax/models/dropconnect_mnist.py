"""The networks on which DropConnect was held against dropout on MNIST.

Source:
    Wan, Zeiler, Zhang, LeCun and Fergus. Regularization of Neural Networks using
    DropConnect. ICML 2013. Section 6.1: two convolutional layers of 32 and 64 maps, a
    layer of 150 rectified units with DropConnect (or dropout, or neither), softmax; and
    two layers of 800 units each (Table 2). Section 6: weights are kept with probability
    0.5; initial deviations are 0.1 in fully connected and 0.01 in convolutional layers,
    biases start at 0. Read from memory, but for Table 2 and the errors.

Departures:
    The paper prints neither windows nor pools of the two convolutional layers: here 5 x 5
    kernels without padding and maxima over 2 x 2 pixels, on whole 28 x 28 images. So no
    source allows a count of that network's parameters. ``dropconnect_mnist_mlp`` has the
    rectified units of Table 2, of its three kinds.
    Evaluation averages over quantiles, not draws: see ``layers/drop_connect.py``.
"""

from functools import partial

from cnn_jax.layers.initializers import gaussian
from cnn_jax.layers.rows import (
    Classifier,
    Conv,
    Dense,
    DropConnectDense,
    Initializer,
    MaxPool,
    Table,
)
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.types import ImageShape, ModelSpec, Published

# fmt: off
#                     name   features kernel stride
TABLE: Table = (
    Conv(            "conv1",   32,    5),             # 28 -> 24
    MaxPool(         "pool1",          2,    2),       # 24 -> 12
    Conv(            "conv2",   64,    5),             # 12 ->  8
    MaxPool(         "pool2",          2,    2),       #  8 ->  4
    DropConnectDense("fc",     150, keep=0.5, deviation=0.1),
    Classifier(      "out",    deviation=0.1),
)

MLP_TABLE: Table = (
    DropConnectDense("fc1",    800, keep=0.5, deviation=0.1),
    DropConnectDense("fc2",    800, keep=0.5, deviation=0.1),
    Classifier(      "out",    deviation=0.1),
)
# fmt: on


def with_dropout(table: Table, rate: float) -> Table:
    """Return the table with dropped outputs where it has dropped weights.

    Args:
        table: the network's.
        rate: probability of a dropped output; 0 for the paper's "No-Drop" network.
    """
    return tuple(
        Dense(r.name, r.features, dropout=rate, bias=r.bias, deviation=r.deviation)
        if isinstance(r, DropConnectDense)
        else r
        for r in table
    )


class DropConnectNetwork(TableNetwork):
    """Two convolutions, and a fully connected layer with dropped weights."""

    num_classes: int = 10
    input_shape: ImageShape = (28, 28, 1)
    table: Table = TABLE
    initializer: Initializer = partial(gaussian, deviation=0.01)


_paper = partial(
    ModelSpec,
    input_shape=(28, 28, 1),
    num_classes=10,
    paper="Wan et al.",
    year=2013,
    source="Regularization of Neural Networks using DropConnect, ICML 2013",
)

MODELS = {
    "dropconnect_mnist": _paper(
        build=DropConnectNetwork,
        parameters=None,
        macs=None,
        published=(
            Published(
                top1=0.21,
                protocol="MNIST test, 5 networks, augmented (dropout: 0.27)",
                source="Wan et al. 2013, Table 3",
            ),
        ),
    ),
    "dropconnect_mnist_mlp": _paper(
        build=partial(DropConnectNetwork, table=MLP_TABLE),
        parameters=1_276_810,
        macs=1_275_200,
        published=(
            Published(
                top1=1.20,
                protocol="MNIST test, 1 network, not augmented (dropout: 1.28)",
                source="Wan et al. 2013, Table 2",
            ),
        ),
    ),
}
