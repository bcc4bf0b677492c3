"""VGG, configurations A, A-LRN, B, C, D and E.

Source:
    Simonyan and Zisserman. Very Deep Convolutional Networks for Large-Scale Image
    Recognition. ICLR 2015 (arXiv 1409.1556). Table 1 (layers), Table 2 (parameters),
    Section 3.1 (training, initial weights). Names as in the authors' Caffe release
    (conv1_1 ... conv5_4, pool1 ... pool5, fc6, fc7, fc8).

Departures:
    None in the layers. 3 x 3 windows have 1 pixel of zeros on each side, the 1 x 1 windows
    of C none. ``lrn`` of A-LRN follows conv1_1 and its ReLU, with the constants of
    Krizhevsky et al. 2012.
    Initial weights. Section 3.1 prints a normal distribution of "10^-2 variance", a
    deviation of 0.1. By arithmetic A's scores at the first step would then have a root
    mean square of 6e5 times that of the pixels (each layer multiplies the mean square by
    variance x inputs, each ReLU halves it). With a deviation of 0.01, which is perhaps
    what was meant, they are 6e-6 times the pixels, and He et al. 2015, Section 2.2, show
    that deeper ones stall. B to E take their first four convolutions and the fully
    connected layers from a trained A. The paper adds that the weights of Glorot and Bengio
    2010 need no such start: they are the default here, with biases of 0;
    ``initializer=partial(gaussian, deviation=0.1)`` is the printed start of A.
"""

from functools import partial

from cnn_jax.layers.initializers import glorot
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

WIDTHS = (64, 128, 256, 512, 512)
"""Feature maps of the five blocks; each ends with a 2 x 2 maximum."""

# fmt: off
# Table 1: the windows of the convolutions, block by block. 3 is conv3, 1 is conv1.
#          224     112     56            28            14 pixels
CONVOLUTIONS = {
    "a": ((3,),   (3,),   (3, 3),       (3, 3),       (3, 3)),        # 11 weight layers
    "b": ((3, 3), (3, 3), (3, 3),       (3, 3),       (3, 3)),        # 13
    "c": ((3, 3), (3, 3), (3, 3, 1),    (3, 3, 1),    (3, 3, 1)),     # 16
    "d": ((3, 3), (3, 3), (3, 3, 3),    (3, 3, 3),    (3, 3, 3)),     # 16
    "e": ((3, 3), (3, 3), (3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3)),  # 19
}
# fmt: on


def _table(blocks: tuple[tuple[int, ...], ...]) -> Table:
    """Return the rows of one configuration of ``CONVOLUTIONS``."""
    rows: list[Conv | MaxPool] = []
    for block, (windows, width) in enumerate(zip(blocks, WIDTHS, strict=True), 1):
        rows += [
            Conv(f"conv{block}_{i}", width, window, padding=window // 2)
            for i, window in enumerate(windows, 1)
        ]
        rows.append(MaxPool(f"pool{block}", 2, 2))
    return (
        *rows,
        Dense("fc6", 4096, dropout=0.5),  # 7 x 7 x 512 = 25088 -> 4096
        Dense("fc7", 4096, dropout=0.5),
        Classifier("fc8"),
    )


TABLES = {name: _table(blocks) for name, blocks in CONVOLUTIONS.items()}
TABLES["a_lrn"] = (TABLES["a"][0], LocalResponseNorm("lrn"), *TABLES["a"][1:])


class VGG(TableNetwork):
    """8 to 16 convolutions of 3 x 3 in five blocks, and three fully connected layers."""

    num_classes: int = 1000
    input_shape: ImageShape = (224, 224, 3)
    table: Table = TABLES["d"]
    initializer: Initializer = glorot


def _spec(
    name: str, printed: int, *, parameters: int, macs: int, published: tuple[Published, ...]
) -> ModelSpec:
    return ModelSpec(
        build=partial(VGG, table=TABLES[name]),
        input_shape=(224, 224, 3),
        num_classes=1000,
        parameters=parameters,
        macs=macs,
        paper="Simonyan & Zisserman",
        year=2015,
        source="Very Deep Convolutional Networks for Large-Scale Image Recognition, "
        f"ICLR 2015, Table 1, {name.upper().replace('_', '-')}",
        published=published,
        printed=(
            Printed(
                quantity="parameters",
                figure=f"{printed} million",
                source="Simonyan & Zisserman 2015, Table 2",
            ),
        ),
    )


def _published(table: int, top1: float, top5: float, how: str) -> Published:
    return Published(
        top1=top1,
        top5=top5,
        protocol=f"ILSVRC-2012 val, 1 network, {how}",
        source=f"Simonyan & Zisserman 2015, Table {table}",
    )


# S, Q: short sides of the training and of the test images. "dense": over whole images.
_S256 = "dense, S = Q = 256"
_S384 = "dense, S = Q = 384"
_JITTER = "dense, S in [256, 512], Q = 384"
_SCALES = "dense, S in [256, 512], Q = 256, 384, 512"
_CROPS = "150 crops, S in [256, 512], Q = 256, 384, 512"
_BOTH = "150 crops and dense, S in [256, 512], Q = 256, 384, 512"

MODELS = {
    "vgg_a": _spec(
        "a",
        133,
        parameters=132_863_336,
        macs=7_609_090_048,
        published=(_published(3, 29.6, 10.4, _S256),),
    ),
    "vgg_a_lrn": _spec(
        "a_lrn",
        133,
        parameters=132_863_336,
        macs=7_609_090_048,
        published=(_published(3, 29.7, 10.5, _S256),),
    ),
    "vgg_b": _spec(
        "b",
        133,
        parameters=133_047_848,
        macs=11_308_466_176,
        published=(
            _published(3, 28.7, 9.9, _S256),
            _published(4, 28.2, 9.6, "dense, S = 256, Q = 224, 256, 288"),
        ),
    ),
    "vgg_c": _spec(
        "c",
        134,
        parameters=133_638_952,
        macs=11_770_888_192,
        published=(
            _published(3, 28.1, 9.4, _S256),
            _published(3, 28.1, 9.3, _S384),
            _published(3, 27.3, 8.8, _JITTER),
            _published(4, 26.3, 8.2, _SCALES),
        ),
    ),
    "vgg_d": _spec(
        "d",
        138,
        parameters=138_357_544,
        macs=15_470_264_320,
        published=(
            _published(3, 27.0, 8.8, _S256),
            _published(3, 26.8, 8.7, _S384),
            _published(3, 25.6, 8.1, _JITTER),
            _published(4, 24.8, 7.5, _SCALES),
            _published(5, 24.6, 7.5, _CROPS),
            _published(5, 24.4, 7.2, _BOTH),
        ),
    ),
    "vgg_e": _spec(
        "e",
        144,
        parameters=143_667_240,
        macs=19_632_062_464,
        published=(
            _published(3, 27.3, 9.0, _S256),
            _published(3, 26.9, 8.7, _S384),
            _published(3, 25.5, 8.0, _JITTER),
            _published(4, 24.8, 7.5, _SCALES),
            _published(5, 24.6, 7.4, _CROPS),
            _published(5, 24.4, 7.1, _BOTH),
            Published(
                top5=8.43,
                protocol="ILSVRC-2014 test, 1 network, configuration not stated",
                source="He et al. 2016, Table 4",
            ),
        ),
    ),
}
