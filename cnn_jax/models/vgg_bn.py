"""VGG with batch normalisation, configurations A, B, D and E, as torchvision has them.

Source:
    Simonyan and Zisserman. Very Deep Convolutional Networks for Large-Scale Image
    Recognition. ICLR 2015 (arXiv 1409.1556), Table 1, with the batch normalisation of
    Ioffe and Szegedy 2015 between each convolution and its ReLU. There is no paper of
    these networks; the table is torchvision's ``vgg11_bn``, ``vgg13_bn``, ``vgg16_bn`` and
    ``vgg19_bn`` (0.28).

Departures:
    From Ioffe and Szegedy 2015, Section 3.2: the convolutions keep their biases, which
    batch normalisation makes useless in training; they are there because the weights have
    them. Epsilon is 1e-5, and running statistics keep 0.9 a step; running variances are
    unbiased (``BatchNorm``).
    torchvision resizes the maps to 7 x 7 by adaptive means, so that it takes other images;
    for 224 x 224 that is the identity, and here it is left out.
    Weights start from He et al. 2015; torchvision takes the fan-out of a convolution, and
    a deviation of 0.01 in the fully connected layers.
"""

from functools import partial

from cnn_jax.layers.activations import activate, pieces_of
from cnn_jax.layers.batch_norm import BatchNorm, BatchNormalization
from cnn_jax.layers.checks import check_row
from cnn_jax.layers.rows import (
    Classifier,
    Conv,
    Dense,
    MaxPool,
    Row,
    Table,
    convolve,
)
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.types import Features, ImageShape, ModelSpec, Published

WIDTHS = (64, 128, 256, 512, 512)
"""Feature maps of the five blocks; each ends with a 2 x 2 maximum."""

# Table 1: how many 3 x 3 convolutions each block has.
CONVOLUTIONS = {
    "a": (1, 1, 2, 2, 2),
    "b": (2, 2, 2, 2, 2),
    "d": (2, 2, 3, 3, 3),
    "e": (2, 2, 4, 4, 4),
}


def _table(blocks: tuple[int, ...]) -> Table:
    """Return the rows of one configuration of ``CONVOLUTIONS``."""
    rows: list[Conv | MaxPool] = []
    for block, (count, width) in enumerate(zip(blocks, WIDTHS, strict=True), 1):
        rows += [Conv(f"conv{block}_{i}", width, 3, padding=1) for i in range(1, count + 1)]
        rows.append(MaxPool(f"pool{block}", 2, 2))
    return (
        *rows,
        Dense("fc6", 4096, dropout=0.5),  # 7 x 7 x 512 = 25088 -> 4096
        Dense("fc7", 4096, dropout=0.5),
        Classifier("fc8"),
    )


TABLES = {name: _table(blocks) for name, blocks in CONVOLUTIONS.items()}


class VGGBatchNorm(TableNetwork):
    """VGG with batch normalisation after every convolution.

    Attributes:
        batch_norm: epsilon and momentum.
    """

    num_classes: int = 1000
    input_shape: ImageShape = (224, 224, 3)
    table: Table = TABLES["d"]
    batch_norm: BatchNorm = BatchNorm(epsilon=1e-5, momentum=0.9, unbiased=True)

    def apply_row(self, row: Row, x: Features, *, train: bool) -> Features:
        """Normalise by the batch after every convolution; other rows as ever."""
        if not isinstance(row, Conv):
            return super().apply_row(row, x, train=train)
        check_row(row)
        if x.ndim != 4:
            raise ValueError(
                f"{row.name}: it slides over images [N, H, W, C]; its input has shape "
                f"{x.shape[1:]} for each image"
            )
        pieces = pieces_of(self.activation)
        x = convolve(row, x, initializer=self.initializer, pieces=pieces)
        x = BatchNormalization(self.batch_norm, name=f"{row.name}_norm")(x, train=train)
        return activate(self.activation, x, name=f"{row.name}_activation")


def _spec(
    name: str, layers: int, *, parameters: int, macs: int, top1: float, top5: float
) -> ModelSpec:
    return ModelSpec(
        build=partial(VGGBatchNorm, table=TABLES[name]),
        input_shape=(224, 224, 3),
        num_classes=1000,
        parameters=parameters,
        macs=macs,
        paper="Simonyan & Zisserman",
        year=2015,
        source="Very Deep Convolutional Networks for Large-Scale Image Recognition, "
        f"ICLR 2015, Table 1, {name.upper()}, with batch normalisation (torchvision)",
        published=(
            Published(
                top1=top1,
                top5=top5,
                protocol="ILSVRC-2012 val, 1 network, 1 crop",
                source=f"torchvision, VGG{layers}_BN_Weights.IMAGENET1K_V1",
            ),
        ),
    )


# fmt: off
MODELS = {
    "vgg_a_bn": _spec(
        "a", 11, parameters=132_868_840, macs=7_609_090_048, top1=29.630, top5=10.190,
    ),
    "vgg_b_bn": _spec(
        "b", 13, parameters=133_053_736, macs=11_308_466_176, top1=28.414, top5=9.626,
    ),
    "vgg_d_bn": _spec(
        "d", 16, parameters=138_365_992, macs=15_470_264_320, top1=26.640, top5=8.484,
    ),
    "vgg_e_bn": _spec(
        "e", 19, parameters=143_678_248, macs=19_632_062_464, top1=25.782, top5=8.158,
    ),
}
# fmt: on
