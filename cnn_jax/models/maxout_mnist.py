"""The maxout networks for MNIST.

Source:
    Goodfellow, Warde-Farley, Mirza, Courville and Bengio. Maxout Networks. ICML 2013.
    Section 5.1: three convolutional maxout layers, each with spatial maxima on top, then
    a densely connected softmax (0.45 % errors); without knowledge of the image's plane,
    two densely connected maxout layers, then the softmax (0.94 %). Both with dropout and
    a bound on the norm of each weight vector. The paper prints no sizes; those here are
    the authors' own configurations, lisa-lab/pylearn2,
    pylearn2/scripts/papers/maxout/{mnist,mnist_pi}.yaml.

Departures:
    As in those configurations every place of a map has its own biases, pools may hang over
    the border, and 0.8 of the pixels and 0.5 of the hidden values are kept; but there the
    kept pixels are not scaled by 1 / 0.8, and here they are.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import flax.linen as nn

from cnn_jax.layers.activations import Maxout, relu
from cnn_jax.layers.checks import check_row
from cnn_jax.layers.dropout import Dropout
from cnn_jax.layers.inception import DropoutRow
from cnn_jax.layers.initializers import uniform
from cnn_jax.layers.rows import (
    Classifier,
    Initializer,
    MaxPool,
    Table,
    flatten,
)
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.maths.geometry import output_size
from cnn_jax.types import Features, ImageShape, ModelSpec, Published


@dataclass(frozen=True)
class MaxoutConv:
    """Convolution whose units are the largest of ``pieces`` maps.

    Attributes:
        name: of the authors' configuration.
        features: units a place.
        kernel: edge of the square window in pixels.
        padding: zeros on each side in pixels.
        pieces: affine maps a unit; 1 for a rectifier, the larger of one map and 0.
    """

    name: str
    features: int
    kernel: int
    padding: int = 0
    pieces: int = 2


@dataclass(frozen=True)
class MaxoutDense:
    """Fully connected layer on the flattened input; ``pieces`` as in ``MaxoutConv``."""

    name: str
    features: int
    pieces: int = 5


# fmt: off
#               name  features kernel padding pieces
TABLE: tuple[Any, ...] = (
    DropoutRow("input_dropout", 0.2),
    MaxoutConv(    "h0",  48,    8,     0,      2),          # 28 -> 21
    MaxPool(       "pool0",      4,     2, ceil=True),       # 21 -> 10
    DropoutRow(    "h0_dropout", 0.5),
    MaxoutConv(    "h1",  48,    8,     3,      2),          # 10 ->  9
    MaxPool(       "pool1",      4,     2, ceil=True),       #  9 ->  4
    DropoutRow(    "h1_dropout", 0.5),
    MaxoutConv(    "h2",  24,    5,     3,      4),          #  4 ->  6
    MaxPool(       "pool2",      2,     2, ceil=True),       #  6 ->  3
    DropoutRow(    "h2_dropout", 0.5),
    Classifier(    "y"),
)

MLP_TABLE: tuple[Any, ...] = (
    DropoutRow("input_dropout", 0.2),
    MaxoutDense(   "h0", 240,                   5),          # 784 -> 240
    DropoutRow(    "h0_dropout", 0.5),
    MaxoutDense(   "h1", 240,                   5),
    DropoutRow(    "h1_dropout", 0.5),
    Classifier(    "y"),
)
# fmt: on


def rectified(table: Table, *, same_filters: bool) -> Table:
    """Return the table with rectifiers for maxout units.

    Args:
        table: of maxout rows.
        same_filters: as many affine maps as before, each of them a unit; otherwise as
            many units as before, each of one map.
    """
    return tuple(
        dataclasses.replace(
            row, features=row.features * (row.pieces if same_filters else 1), pieces=1
        )
        if isinstance(row, MaxoutConv | MaxoutDense)
        else row
        for row in table
    )


def _activation(pieces: int) -> Callable[[Features], Features]:
    return Maxout(pieces) if pieces > 1 else relu


class MaxoutConvolution(nn.Module):
    """The layer of a ``MaxoutConv`` row; every place of the map has its own biases."""

    row: MaxoutConv
    kernel_init: Initializer

    @nn.compact
    def __call__(self, x: Features) -> Features:
        """Return the units, [N, rows, columns, features].

        Raises:
            ValueError: not an image, or one of another size than the biases are for.
            WindowError: the kernel is larger than the padded input.
        """
        row = self.row
        if x.ndim != 4:
            raise ValueError(
                f"{row.name}: it slides over images [N, H, W, C]; its input has shape "
                f"{x.shape[1:]} for each image"
            )
        for size in x.shape[1:3]:
            output_size(size, row.kernel, 1, row.padding)
        z = nn.Conv(
            row.features * row.pieces,
            (row.kernel, row.kernel),
            padding=row.padding,
            use_bias=False,
            kernel_init=self.kernel_init,
            name="conv",
        )(x)
        if self.has_variable("params", "bias"):
            places: tuple[int, ...] = self.get_variable("params", "bias").shape
            if places != z.shape[1:]:
                raise ValueError(
                    f"{row.name}: its biases are for the places of a map {places}, not of "
                    f"{z.shape[1:]}: the image has another size"
                )
        z = z + self.param("bias", nn.initializers.zeros, z.shape[1:])[None]
        return _activation(row.pieces)(z)


class MaxoutNetwork(TableNetwork):
    """Maxout layers one after the other.

    Attributes:
        num_classes: outputs of the classifier row.
        input_shape: height, width, channels of the images it is built for.
        table: the rows, the classifier last.
        initializer: of every kernel.
    """

    num_classes: int = 10
    input_shape: ImageShape = (28, 28, 1)
    table: tuple[Any, ...] = TABLE
    initializer: Initializer = partial(uniform, limit=0.005)

    def apply_row(self, row: Any, x: Features, *, train: bool) -> Features:
        """Apply dropout, a maxout layer, or a common row."""
        match row:
            case DropoutRow():
                return Dropout(row.rate, name=row.name)(x, train=train)
            case MaxoutConv():
                check_row(row)
                return MaxoutConvolution(row, self.initializer, name=row.name)(x)
            case MaxoutDense():
                check_row(row)
                units = row.features * row.pieces
                dense = nn.Dense(units, kernel_init=self.initializer, name=row.name)
                return _activation(row.pieces)(dense(flatten(x)))
        return super().apply_row(row, x, train=train)


def _spec(
    table: tuple[Any, ...], parameters: int, macs: int, error: float, protocol: str
) -> ModelSpec:
    return ModelSpec(
        build=partial(MaxoutNetwork, table=table),
        input_shape=(28, 28, 1),
        num_classes=10,
        parameters=parameters,
        macs=macs,
        paper="Goodfellow et al.",
        year=2013,
        source="Maxout Networks, ICML 2013; sizes of the authors' configurations",
        published=(
            Published(
                top1=error, protocol=protocol, source="Goodfellow et al. 2013, Section 5.1"
            ),
        ),
    )


MODELS = {
    "maxout_mnist": _spec(TABLE, 471_994, 30_746_736, 0.45, "MNIST test, 1 network"),
    "maxout_mnist_mlp": _spec(
        MLP_TABLE, 1_233_610, 1_231_200, 0.94, "MNIST test, 1 network, pixels permuted"
    ),
}
