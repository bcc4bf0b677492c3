"""ZFNet.

Source:
    Zeiler and Fergus. Visualizing and Understanding Convolutional Networks. ECCV 2014
    (arXiv 1311.2901). Figure 3 (layers), Section 2 (the operations of a layer), Section 3
    (training, initial weights), Table 3 (``zfnet_wide``: layers 3, 4, 5 with 512, 1024,
    512 maps).

Departures:
    None in the shapes. What the paper leaves open, and how it is read here:
    Figure 3 needs 224 -> 110 in conv1, which takes one row and one column of zeros. They
    stand at the top and on the left: padding 1 on all sides, of which a 7 x 7 window with
    stride 2 never reaches the far side.
    110 -> 55 and 26 -> 13 need pools whose last window hangs over the end (``ceil``).
    "Contrast normalized across feature maps", after the pool: Krizhevsky et al. 2012,
    Section 3.3, with the constants printed there, since this paper prints none. It cites
    Jarrett et al. 2009 too; ``replace(model, norm1=LocalContrastNorm("norm1"))`` is theirs.
    "All weights are initialized to 1e-2": read as the standard deviation of a Gaussian,
    since equal weights would stay equal. Biases start from 0.
    ``zfnet_small`` is for 32 x 32 images. It keeps the eight learned layers, their names,
    order, normalisation after overlapping pools and dropout. Scaled: every width to 1/8
    (maps 12, 32, 48, 48, 32, fully connected 512), conv1 from 7 x 7 / 2 to 5 x 5 / 1 with
    padding 2, and conv2 gets padding 2, so that the maps are 32, 16, 8, 4 and 2 pixels
    wide. Its weights start from He et al. 2015.
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
from cnn_jax.types import ImageShape, ModelSpec, Published

# fmt: off
#                      name  features kernel stride padding
TABLE: Table = (
    Conv(             "conv1",   96,    7,   2,     1),              # 224 -> 110
    MaxPool(          "pool1",          3,   2,     ceil=True),      # 110 ->  55
    LocalResponseNorm("norm1"),
    Conv(             "conv2",  256,    5,   2,     0),              #  55 ->  26
    MaxPool(          "pool2",          3,   2,     ceil=True),      #  26 ->  13
    LocalResponseNorm("norm2"),
    Conv(             "conv3",  384,    3,   1,     1),
    Conv(             "conv4",  384,    3,   1,     1),
    Conv(             "conv5",  256,    3,   1,     1),
    MaxPool(          "pool5",          3,   2,     ceil=True),      #  13 ->   6
    Dense(            "fc6",   4096, dropout=0.5),                   # 9216 -> 4096
    Dense(            "fc7",   4096, dropout=0.5),
    Classifier(       "fc8"),
)

WIDE_TABLE: Table = (
    *TABLE[:6],
    Conv(             "conv3",  512,    3,   1,     1),
    Conv(             "conv4", 1024,    3,   1,     1),
    Conv(             "conv5",  512,    3,   1,     1),
    *TABLE[9:],                                                      # 18432 -> 4096
)

SMALL_TABLE: Table = (
    Conv(             "conv1",   12,    5,   1,     2),
    MaxPool(          "pool1",          3,   2,     ceil=True),      #  32 ->  16
    LocalResponseNorm("norm1"),
    Conv(             "conv2",   32,    5,   2,     2),              #  16 ->   8
    MaxPool(          "pool2",          3,   2,     ceil=True),      #   8 ->   4
    LocalResponseNorm("norm2"),
    Conv(             "conv3",   48,    3,   1,     1),
    Conv(             "conv4",   48,    3,   1,     1),
    Conv(             "conv5",   32,    3,   1,     1),
    MaxPool(          "pool5",          3,   2,     ceil=True),      #   4 ->   2
    Dense(            "fc6",    512, dropout=0.5),                   # 128 -> 512
    Dense(            "fc7",    512, dropout=0.5),
    Classifier(       "fc8"),
)
# fmt: on


class ZFNet(TableNetwork):
    """Five convolutions, small windows first, and three fully connected layers."""

    num_classes: int = 1000
    input_shape: ImageShape = (224, 224, 3)
    table: Table = TABLE
    initializer: Initializer = partial(gaussian, deviation=0.01)


class ZFNetSmall(TableNetwork):
    """The same eight learned layers for 32 x 32 images; see Departures."""

    num_classes: int = 10
    input_shape: ImageShape = (32, 32, 3)
    table: Table = SMALL_TABLE


_paper = partial(
    ModelSpec,
    paper="Zeiler & Fergus",
    year=2014,
    source="Visualizing and Understanding Convolutional Networks, ECCV 2014, Figure 3",
)
_published = partial(Published, source="Zeiler & Fergus 2014, Table 2")

MODELS = {
    "zfnet": _paper(
        build=ZFNet,
        input_shape=(224, 224, 3),
        num_classes=1000,
        parameters=62_357_608,
        macs=1_168_032_896,
        published=(
            _published(top1=38.4, top5=16.5, protocol="ILSVRC-2012 val, 1 network"),
            _published(top1=36.7, top5=15.3, protocol="ILSVRC-2012 val, 5 networks"),
        ),
    ),
    "zfnet_wide": _paper(
        build=partial(ZFNet, table=WIDE_TABLE),
        input_shape=(224, 224, 3),
        num_classes=1000,
        parameters=107_627_624,
        macs=2_476_704_896,
        published=(
            _published(top1=37.5, top5=16.0, protocol="ILSVRC-2012 val, 1 network"),
        ),
    ),
    "zfnet_small": _paper(
        build=ZFNetSmall,
        input_shape=(32, 32, 3),
        num_classes=10,
        parameters=392_890,
        macs=2_642_944,
    ),
}
