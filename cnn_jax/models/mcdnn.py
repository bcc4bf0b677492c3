"""The columns of multi-column deep neural networks.

Source:
    Ciresan, Meier and Schmidhuber. Multi-column Deep Neural Networks for Image
    Classification. CVPR 2012, arXiv 1202.2745. Section 2: maxima over windows that do not
    overlap, scaled hyperbolic tangent in convolutions and hidden dense layers, softmax
    output, initial weights from a uniform distribution on [-0.05, 0.05]; the votes of the
    columns are averaged. Section 3: the strings below, in which 20C4 are 20 maps with 4 x
    4 kernels, MP2 maxima over 2 x 2 pixels, and 150N 150 fully connected units.

Departures:
    A multi-column network is an average of columns (``evaluation/ensemble.py``); a network
    of this file is one column. Biases start at 0; of them the paper says nothing. The
    strings of the traffic signs (GTSRB) and of CIFAR-10 are from memory; that of GTSRB
    has the 1,543,443 weights that we remember as printed. That of CIFAR-10 fits its images
    only if windows may hang over the border: its third pool meets a map of 5 x 5.
"""

import re
from functools import partial

from cnn_jax.layers.activations import Activation, scaled_tanh
from cnn_jax.layers.initializers import uniform
from cnn_jax.layers.rows import (
    Classifier,
    Conv,
    Dense,
    Initializer,
    MaxPool,
    Table,
)
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.types import ImageShape, ModelSpec, Published

MNIST = "20C4-MP2-40C5-MP3-150N-10N"  # 29 -> 26 -> 13 -> 9 -> 3
GTSRB = "100C7-MP2-150C4-MP2-250C4-MP2-300N-43N"  # 48 -> 42, 21, 18, 9, 6 -> 3
CIFAR10 = "300C3-MP2-300C2-MP2-300C3-MP2-300C2-MP2-300N-100N-10N"  # 32 -> ... -> 1


def column(layers: str, *, ceil: bool = False) -> Table:
    """Return the table that a string of the paper stands for.

    Args:
        layers: ``"20C4-MP2-..."``, the number of classes last, e.g. ``"10N"``.
        ceil: windows of pools may hang over the border.

    Raises:
        ValueError: a part that is no layer, or a string without classes.
    """
    *hidden, classes = layers.split("-")
    if not re.fullmatch(r"\d+N", classes):
        raise ValueError(f"{layers!r} does not end with its classes, such as 10N")
    rows: list[Conv | MaxPool | Dense] = []
    for part in hidden:
        if found := re.fullmatch(r"(\d+)C(\d+)", part):
            name = f"conv{1 + sum(isinstance(row, Conv) for row in rows)}"
            rows.append(Conv(name, int(found[1]), int(found[2])))
        elif found := re.fullmatch(r"MP(\d+)", part):
            name = f"pool{1 + sum(isinstance(row, MaxPool) for row in rows)}"
            rows.append(MaxPool(name, int(found[1]), int(found[1]), ceil=ceil))
        elif found := re.fullmatch(r"(\d+)N", part):
            name = f"fc{1 + sum(isinstance(row, Dense) for row in rows)}"
            rows.append(Dense(name, int(found[1])))
        else:
            raise ValueError(f"{part!r} in {layers!r} is not 20C4, MP2 or 150N")
    return (*rows, Classifier("out"))


class McdnnColumn(TableNetwork):
    """One column; its fields stand for MNIST."""

    num_classes: int = 10
    input_shape: ImageShape = (29, 29, 1)
    table: Table = column(MNIST)
    activation: Activation = scaled_tanh
    initializer: Initializer = partial(uniform, limit=0.05)


class McdnnGtsrbColumn(McdnnColumn):
    """One column for 48 x 48 pixels of a traffic sign."""

    num_classes: int = 43
    input_shape: ImageShape = (48, 48, 3)
    table: Table = column(GTSRB)


class McdnnCifar10Column(McdnnColumn):
    """One column for the photographs of CIFAR-10."""

    input_shape: ImageShape = (32, 32, 3)
    table: Table = column(CIFAR10, ceil=True)


_paper = partial(
    ModelSpec,
    paper="Ciresan et al.",
    year=2012,
    source="Multi-column Deep Neural Networks for Image Classification, CVPR 2012",
)


def _error(percent: float, protocol: str) -> tuple[Published, ...]:
    source = "Ciresan et al. 2012, Section 3"
    return (Published(top1=percent, protocol=protocol, source=source),)


MODELS = {
    "mcdnn_mnist": _paper(
        build=McdnnColumn,
        input_shape=(29, 29, 1),
        num_classes=10,
        parameters=76_040,
        macs=1_891_820,
        published=_error(0.23, "MNIST test, 35 columns"),
    ),
    "mcdnn_gtsrb": _paper(
        build=McdnnGtsrbColumn,
        input_shape=(48, 48, 3),
        num_classes=43,
        parameters=1_543_443,
        macs=125_978_700,
        published=_error(0.54, "GTSRB test, 25 columns"),
    ),
    "mcdnn_cifar10": _paper(
        build=McdnnCifar10Column,
        input_shape=(32, 32, 3),
        num_classes=10,
        parameters=1_660_710,
        macs=99_661_000,
        published=_error(11.21, "CIFAR-10 test, 8 columns"),
    ),
}
