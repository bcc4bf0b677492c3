"""Group-equivariant networks for rotated MNIST, and their planar twin.

Source:
    Cohen and Welling. Group Equivariant Convolutional Networks. ICML 2016. Section 8.1 and
    Table 1: seven layers, 3 x 3 kernels (4 x 4 in the last), ReLU, batch normalisation,
    dropout, max-pooling after layer 2; p4 with 10 maps in place of 20, so that the number
    of parameters stays; rotation pooling, a maximum over orientations after each layer.
    The widths, the places of dropout, epsilon and the biases are those of the authors'
    programs (github.com/tscohen/gconv_experiments, MNIST_ROT/models), as is the rate 0.3
    for Z2CNN and none for the others. Section numbers are from memory.

Departures:
    Weights start from He et al. 2015; the programs leave them to Chainer and GrouPy.
    Running statistics are moving averages that keep 0.9 a step; the programs average them
    over the training images before every test.
    ``p4cnn_rotation_pooling`` has the planar network's 20 maps and its 21,750 parameters,
    since its filters see the plane alone; the paper prints no count. Its pools stand after
    ReLU, as in the program, and its dropout is none.
"""

from functools import partial

from cnn_jax.layers.group_network import (
    GroupClassifier,
    GroupConv,
    GroupNetwork,
    Table,
)
from cnn_jax.layers.rows import MaxPool
from cnn_jax.types import ModelSpec, Published

# fmt: off
#                     name  features kernel
Z2CNN_TABLE: Table = (
    GroupConv(      "conv1",   20,   3, dropout=0.3),    # 28 -> 26
    GroupConv(      "conv2",   20,   3),                 # 26 -> 24
    MaxPool(        "pool2",         2, 2),              # 24 -> 12
    GroupConv(      "conv3",   20,   3, dropout=0.3),    # 12 -> 10
    GroupConv(      "conv4",   20,   3, dropout=0.3),    # 10 ->  8
    GroupConv(      "conv5",   20,   3, dropout=0.3),    #  8 ->  6
    GroupConv(      "conv6",   20,   3, dropout=0.3),    #  6 ->  4
    GroupClassifier("conv7",         4),                 #  4 ->  1
)
P4CNN_TABLE: Table = (                                   # 4 orientations of
    GroupConv(      "conv1",   10,   3),
    GroupConv(      "conv2",   10,   3),
    MaxPool(        "pool2",         2, 2),
    GroupConv(      "conv3",   10,   3),
    GroupConv(      "conv4",   10,   3),
    GroupConv(      "conv5",   10,   3),
    GroupConv(      "conv6",   10,   3),
    GroupClassifier("conv7",         4),
)
ROTATION_POOLING_TABLE: Table = (                        # the largest of 4 orientations of
    GroupConv(      "conv1",   20,   3, rotation_pooling=True),
    GroupConv(      "conv2",   20,   3, rotation_pooling=True),
    MaxPool(        "pool2",         2, 2),
    GroupConv(      "conv3",   20,   3, rotation_pooling=True),
    GroupConv(      "conv4",   20,   3, rotation_pooling=True),
    GroupConv(      "conv5",   20,   3, rotation_pooling=True),
    GroupConv(      "conv6",   20,   3, rotation_pooling=True),
    GroupClassifier("conv7",         4),
)
# fmt: on


class Z2CNN(GroupNetwork):
    """The planar network."""

    table: Table = Z2CNN_TABLE
    group: str = "z2"


class P4CNN(GroupNetwork):
    """The network on p4: turning the image by a quarter changes no score."""

    table: Table = P4CNN_TABLE
    group: str = "p4"


def _spec(*, error: float, parameters: int, macs: int, **build: object) -> ModelSpec:
    return ModelSpec(
        **build,  # type: ignore[arg-type]
        input_shape=(28, 28, 1),
        num_classes=10,
        parameters=parameters,
        macs=macs,
        paper="Cohen & Welling",
        year=2016,
        source="Group Equivariant Convolutional Networks, ICML 2016, Section 8.1",
        published=(
            Published(
                top1=error,
                protocol="rotated MNIST test, 12,000 training images",
                source="Cohen & Welling 2016, Table 1",
            ),
        ),
    )


MODELS = {
    "p4cnn": _spec(build=P4CNN, error=2.28, parameters=24_680, macs=11_673_760),
    "p4cnn_rotation_pooling": _spec(
        build=partial(P4CNN, table=ROTATION_POOLING_TABLE),
        error=3.21,
        parameters=21_750,
        macs=11_904_320,
    ),
    "z2cnn": _spec(build=Z2CNN, error=5.03, parameters=21_750, macs=2_976_080),
}
