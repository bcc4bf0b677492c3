"""OverFeat, the fast and the accurate network.

Source:
    Sermanet, Eigen, Zhang, Mathieu, Fergus and LeCun. OverFeat: Integrated Recognition,
    Localization and Detection using Convolutional Networks. ICLR 2014 (arXiv 1312.6229).
    Table 1 (fast), Table 3 (accurate), Section 3.1 (training, initial weights). No
    contrast normalisation, and pools that do not overlap.

Departures:
    None in the layers. The names of the rows are ours: the paper numbers its stages, and a
    pool belongs to the stage before it.
    Table 1 prints 24 x 24 as the input of stage 2. That is the size after its 5 x 5
    convolution: 231 pixels give 56, pooled 28, convolved 24, pooled 12 as stage 3 prints.
    The paper counts 2,810 and 5,369 million connections; its own tables give 2,801 and
    5,355 million multiply-adds. Its 145 and 144 million parameters agree.
    Dropout "on the fully connected layers (6th and 7th)" is said of the fast network; the
    accurate one has its two hidden fully connected layers as 7th and 8th.
    Biases start from 0; the paper names the weights only.
"""

from functools import partial

from cnn_jax.layers.initializers import gaussian
from cnn_jax.layers.rows import (
    Classifier,
    Conv,
    Dense,
    Initializer,
    MaxPool,
    Table,
)
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.types import ImageShape, ModelSpec, Printed, Published

# fmt: off
#              name  features kernel stride padding
FAST_TABLE: Table = (
    Conv(      "conv1",   96,   11,   4,     0),     # 231 ->  56
    MaxPool(   "pool1",          2,   2),            #  56 ->  28
    Conv(      "conv2",  256,    5,   1,     0),     #  28 ->  24
    MaxPool(   "pool2",          2,   2),            #  24 ->  12
    Conv(      "conv3",  512,    3,   1,     1),
    Conv(      "conv4", 1024,    3,   1,     1),
    Conv(      "conv5", 1024,    3,   1,     1),
    MaxPool(   "pool5",          2,   2),            #  12 ->   6
    Dense(     "fc6",   3072, dropout=0.5),          # 36864 -> 3072
    Dense(     "fc7",   4096, dropout=0.5),
    Classifier("fc8"),
)

ACCURATE_TABLE: Table = (
    Conv(      "conv1",   96,    7,   2,     0),     # 221 -> 108
    MaxPool(   "pool1",          3,   3),            # 108 ->  36
    Conv(      "conv2",  256,    7,   1,     0),     #  36 ->  30
    MaxPool(   "pool2",          2,   2),            #  30 ->  15
    Conv(      "conv3",  512,    3,   1,     1),
    Conv(      "conv4",  512,    3,   1,     1),
    Conv(      "conv5", 1024,    3,   1,     1),
    Conv(      "conv6", 1024,    3,   1,     1),
    MaxPool(   "pool6",          3,   3),            #  15 ->   5
    Dense(     "fc7",   4096, dropout=0.5),          # 25600 -> 4096
    Dense(     "fc8",   4096, dropout=0.5),
    Classifier("fc9"),
)
# fmt: on


class OverFeat(TableNetwork):
    """Five or six convolutions and three fully connected layers."""

    num_classes: int = 1000
    input_shape: ImageShape = (231, 231, 3)
    table: Table = FAST_TABLE
    initializer: Initializer = partial(gaussian, deviation=0.01)


_paper = partial(
    ModelSpec,
    paper="Sermanet et al.",
    year=2014,
    source="OverFeat: Integrated Recognition, Localization and Detection using "
    "Convolutional Networks, ICLR 2014",
    num_classes=1000,
)


def _published(top1: float, top5: float, how: str) -> Published:
    return Published(
        top1=top1,
        top5=top5,
        protocol=f"ILSVRC-2012 val, {how}",
        source="Sermanet et al. 2014, Table 2",
    )


def _printed(parameters: str, connections: str) -> tuple[Printed, ...]:
    printed = partial(Printed, source="Sermanet et al. 2014")
    return (
        printed(quantity="parameters", figure=f"{parameters} million"),
        printed(quantity="multiply-adds", figure=f"{connections} million connections"),
    )


MODELS = {
    "overfeat_fast": _paper(
        build=OverFeat,
        input_shape=(231, 231, 3),
        parameters=145_920_872,
        macs=2_801_403_904,
        printed=_printed("145", "2,810"),
        published=(
            _published(39.28, 17.12, "1 network, dense, 1 scale, coarse stride"),
            _published(39.01, 16.97, "1 network, dense, 1 scale, fine stride"),
            _published(38.57, 16.39, "1 network, dense, 4 scales, fine stride"),
            _published(38.12, 16.27, "1 network, dense, 6 scales, fine stride"),
            _published(35.10, 13.86, "7 networks, dense, 4 scales, fine stride"),
        ),
    ),
    "overfeat_accurate": _paper(
        build=partial(OverFeat, input_shape=(221, 221, 3), table=ACCURATE_TABLE),
        input_shape=(221, 221, 3),
        parameters=144_656_488,
        macs=5_355_446_784,
        printed=_printed("144", "5,369"),
        published=(
            _published(35.60, 14.71, "1 network, corners, centre and flips"),
            _published(35.74, 14.18, "1 network, dense, 4 scales, fine stride"),
            _published(33.96, 13.24, "7 networks, dense, 4 scales, fine stride"),
        ),
    ),
}
