"""AlexNet.

Source:
    Krizhevsky, Sutskever and Hinton. ImageNet Classification with Deep Convolutional
    Neural Networks. NIPS 2012. Section 3.5 and Figure 2 (layers), Section 3.3 (local
    response normalisation), Section 5 (initial weights and biases).

Departures:
    The input is 227 x 227: the paper prints 224, which an 11 x 11 window with stride 4
    does not divide, and 227 gives the 55 x 55 of Figure 2.
    ``alexnet_ungrouped`` is one column: every kernel sees all channels.
    ``alexnet_small`` is for 32 x 32 images. It keeps the eight learned layers, their
    names, order, groups, normalisation, overlapping 3 x 3 / 2 pools and dropout. Scaled:
    feature maps to 3/16 (96, 256, 384, 384, 256 -> 18, 48, 72, 72, 48), fully connected
    layers to 3/32 (4096 -> 384), conv1 from 11 x 11 / 4 to 5 x 5 / 2 with padding 2, and
    the pools get padding 1, so that the maps are 16, 8, 4 and 2 pixels wide. Its weights
    start from He et al. 2015 and its biases from 0, because deviations of 0.01 and biases
    of 1 are made for fan-ins sixteen times as large.
"""

from functools import partial

from cnn_jax.layers.initializers import gaussian
from cnn_jax.layers.rows import (
    Classifier,
    Conv,
    Dense,
    Initializer,
    LocalResponseNorm,
    MaxPool,
    Table,
)
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.types import ImageShape, ModelSpec, Printed, Published

# fmt: off
#                      name  features kernel stride padding groups bias   Section 5: biases
TABLE: Table = (
    Conv(             "conv1",   96,   11,   4,     0,     1,   0.0),    # 227 ->  55
    LocalResponseNorm("norm1"),
    MaxPool(          "pool1",          3,   2),                         #  55 ->  27
    Conv(             "conv2",  256,    5,   1,     2,     2,   1.0),
    LocalResponseNorm("norm2"),
    MaxPool(          "pool2",          3,   2),                         #  27 ->  13
    Conv(             "conv3",  384,    3,   1,     1,     1,   0.0),
    Conv(             "conv4",  384,    3,   1,     1,     2,   1.0),
    Conv(             "conv5",  256,    3,   1,     1,     2,   1.0),
    MaxPool(          "pool5",          3,   2),                         #  13 ->   6
    Dense(            "fc6",   4096, dropout=0.5, bias=1.0),             # 9216 -> 4096
    Dense(            "fc7",   4096, dropout=0.5, bias=1.0),
    Classifier(       "fc8"),
)

SMALL_TABLE: Table = (
    Conv(             "conv1",   18,    5,   2,     2,     1),           #  32 ->  16
    LocalResponseNorm("norm1"),
    MaxPool(          "pool1",          3,   2,     1),                  #  16 ->   8
    Conv(             "conv2",   48,    5,   1,     2,     2),
    LocalResponseNorm("norm2"),
    MaxPool(          "pool2",          3,   2,     1),                  #   8 ->   4
    Conv(             "conv3",   72,    3,   1,     1,     1),
    Conv(             "conv4",   72,    3,   1,     1,     2),
    Conv(             "conv5",   48,    3,   1,     1,     2),
    MaxPool(          "pool5",          3,   2,     1),                  #   4 ->   2
    Dense(            "fc6",    384, dropout=0.5),                       # 192 -> 384
    Dense(            "fc7",    384, dropout=0.5),
    Classifier(       "fc8"),
)
# fmt: on

UNGROUPED_TABLE: Table = tuple(
    Conv(r.name, r.features, r.kernel, r.stride, r.padding, groups=1, bias=r.bias)
    if isinstance(r, Conv)
    else r
    for r in TABLE
)


class AlexNet(TableNetwork):
    """Five convolutions in two groups, three fully connected layers."""

    num_classes: int = 1000
    input_shape: ImageShape = (227, 227, 3)
    table: Table = TABLE
    initializer: Initializer = partial(gaussian, deviation=0.01)


class AlexNetSmall(TableNetwork):
    """The same eight learned layers for 32 x 32 images; see Departures."""

    num_classes: int = 10
    input_shape: ImageShape = (32, 32, 3)
    table: Table = SMALL_TABLE


_paper = partial(
    ModelSpec,
    paper="Krizhevsky et al.",
    year=2012,
    source="ImageNet Classification with Deep Convolutional Neural Networks, NIPS 2012",
)

MODELS = {
    "alexnet": _paper(
        build=AlexNet,
        input_shape=(227, 227, 3),
        num_classes=1000,
        parameters=60_965_224,
        macs=724_406_816,
        published=(
            Published(
                top1=40.7,
                top5=18.2,
                protocol="ILSVRC-2012 val, 1 network, 10 crops",
                source="Krizhevsky et al. 2012, Table 2",
            ),
        ),
        printed=(
            Printed(
                quantity="parameters",
                figure="60 million",
                source="Krizhevsky et al. 2012, abstract",
            ),
        ),
    ),
    "alexnet_ungrouped": _paper(
        build=partial(AlexNet, table=UNGROUPED_TABLE),
        input_shape=(227, 227, 3),
        num_classes=1000,
        parameters=62_378_344,
        macs=1_135_256_096,
    ),
    "alexnet_small": _paper(
        build=AlexNetSmall,
        input_shape=(32, 32, 3),
        num_classes=10,
        parameters=308_194,
        macs=2_381_568,
    ),
}
