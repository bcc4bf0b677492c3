"""The table language: rows of plain numbers, and what each does.

A row's ``name`` is the paper's layer name and the scope of its parameters. The last row
of a table is its classifier.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import flax.linen as nn

from cnn_jax.kernels.convolution import grouped_convolution
from cnn_jax.kernels.pooling import average_pool, max_pool
from cnn_jax.layers.activations import Activation, activate, pieces_of
from cnn_jax.layers.checks import check_images as check_images
from cnn_jax.layers.checks import check_names as check_names
from cnn_jax.layers.checks import check_row as check_row
from cnn_jax.layers.checks import named as named
from cnn_jax.layers.drop_connect import DropConnect
from cnn_jax.layers.dropout import Dropout
from cnn_jax.layers.initializers import gaussian
from cnn_jax.layers.local_contrast_norm import local_contrast_norm
from cnn_jax.layers.local_response_norm import local_response_norm
from cnn_jax.layers.spatial_pyramid_pooling import spatial_pyramid_pool
from cnn_jax.maths.geometry import output_size
from cnn_jax.types import Features

Initializer = Callable[..., Any]


@dataclass(frozen=True)
class Conv:
    """Convolution, bias, activation.

    Attributes:
        name: the paper's.
        features: output channels.
        kernel: edge of the square window in pixels.
        stride: step in pixels.
        padding: zeros on each side in pixels.
        groups: channel groups that do not see one another.
        bias: initial value of the biases.
    """

    name: str
    features: int
    kernel: int
    stride: int = 1
    padding: int = 0
    groups: int = 1
    bias: float = 0.0


@dataclass(frozen=True)
class LocalResponseNorm:
    """Normalisation across channels; see ``layers/local_response_norm.py``."""

    name: str
    k: float = 2.0
    n: int = 5
    alpha: float = 1e-4
    beta: float = 0.75


@dataclass(frozen=True)
class LocalContrastNorm:
    """Normalisation over space and channels; see ``layers/local_contrast_norm.py``."""

    name: str
    size: int = 9
    deviation: float = 2.25


@dataclass(frozen=True)
class MaxPool:
    """Maximum over windows of ``size`` x ``size`` pixels, ``stride`` apart."""

    name: str
    size: int
    stride: int
    padding: int = 0
    ceil: bool = False


@dataclass(frozen=True)
class AveragePool:
    """Mean over windows of ``size`` x ``size`` pixels, ``stride`` apart."""

    name: str
    size: int
    stride: int
    padding: int = 0


@dataclass(frozen=True)
class SpatialPyramidPool:
    """Maxima over grids of bins; see ``layers/spatial_pyramid_pooling.py``."""

    name: str
    bins: tuple[int, ...]


@dataclass(frozen=True)
class Dense:
    """Fully connected layer on the flattened input, activation, dropout.

    Attributes:
        name: the paper's.
        features: output units.
        dropout: probability of zeroing an output in training.
        bias: initial value of the biases.
        deviation: of its Gaussian initial kernel; None for the network's initializer.
    """

    name: str
    features: int
    dropout: float = 0.0
    bias: float = 0.0
    deviation: float | None = None


@dataclass(frozen=True)
class DropConnectDense:
    """Fully connected layer with dropped weights; see ``layers/drop_connect.py``."""

    name: str
    features: int
    keep: float = 0.5
    bias: float = 0.0
    deviation: float | None = None


@dataclass(frozen=True)
class Classifier:
    """Fully connected layer from the flattened input to the class scores."""

    name: str
    bias: float = 0.0
    deviation: float | None = None


Sliding = Conv | LocalContrastNorm | MaxPool | AveragePool | SpatialPyramidPool
Row = Sliding | LocalResponseNorm | Dense | DropConnectDense | Classifier
Table = tuple[Row, ...]


def convolve(
    row: Conv, x: Features, *, initializer: Initializer, pieces: int = 1
) -> Features:
    """Apply the convolution of a row inside a compact module, without its activation.

    Raises:
        ValueError: the groups divide neither the input channels nor the features.
        WindowError: the kernel is larger than the padded input.
    """
    if x.shape[-1] % row.groups or row.features % row.groups:
        raise ValueError(
            f"{row.name}: {row.groups} groups must divide its {x.shape[-1]} input "
            f"channels and its {row.features} features"
        )
    for size in x.shape[1:3]:
        output_size(size, row.kernel, row.stride, row.padding)
    layer = nn.Conv(
        row.features * pieces,
        (row.kernel, row.kernel),
        strides=row.stride,
        padding=row.padding,
        feature_group_count=row.groups,
        kernel_init=initializer,
        bias_init=nn.initializers.constant(row.bias),
        conv_general_dilated=grouped_convolution,
        name=row.name,
    )
    return layer(x)


def apply_row(
    row: Row,
    x: Features,
    *,
    num_classes: int,
    activation: Activation,
    initializer: Initializer,
    train: bool,
) -> Features:
    """Apply one row inside a compact module.

    Raises:
        TypeError: not a row of this file.
        ValueError: the row cannot take an input of this shape.
    """
    check_row(row)
    if isinstance(row, Sliding) and x.ndim != 4:
        raise ValueError(
            f"{row.name}: it slides over images [N, H, W, C]; its input has shape "
            f"{x.shape[1:]} for each image"
        )
    match row:
        case Conv():
            x = convolve(row, x, initializer=initializer, pieces=pieces_of(activation))
            return activate(activation, x, name=f"{row.name}_activation")
        case LocalResponseNorm():
            return local_response_norm(x, k=row.k, n=row.n, alpha=row.alpha, beta=row.beta)
        case LocalContrastNorm():
            return local_contrast_norm(x, size=row.size, deviation=row.deviation)
        case MaxPool():
            return max_pool(x, row.size, row.stride, row.padding, ceil=row.ceil)
        case AveragePool():
            return average_pool(x, row.size, row.stride, row.padding)
        case SpatialPyramidPool():
            return spatial_pyramid_pool(x, row.bins)
        case Dense() | DropConnectDense():
            return _hidden(row, flatten(x), activation, initializer, train)
        case Classifier():
            return _dense(row, num_classes, initializer)(flatten(x))
    raise TypeError(f"{row!r} is not a row of cnn_jax.layers.rows")


def _hidden(
    row: Dense | DropConnectDense,
    x: Features,
    activation: Activation,
    initializer: Initializer,
    train: bool,
) -> Features:
    features = row.features * pieces_of(activation)
    if isinstance(row, DropConnectDense):
        layer = partial(DropConnect, keep=row.keep, activation=activation)
        return _dense(row, features, initializer, layer)(x, train=train)
    x = _dense(row, features, initializer)(x)
    x = activate(activation, x, name=f"{row.name}_activation")
    return Dropout(row.dropout, name=f"{row.name}_dropout")(x, train=train)


def _dense(
    row: Dense | DropConnectDense | Classifier,
    features: int,
    initializer: Initializer,
    layer: Callable[..., Any] = nn.Dense,
) -> Any:
    if row.deviation is not None:
        initializer = partial(gaussian, deviation=row.deviation)
    bias = nn.initializers.constant(row.bias)
    return layer(features, kernel_init=initializer, bias_init=bias, name=row.name)


def flatten(x: Features) -> Features:
    """Return [N, everything else], in the order height, width, channels."""
    return x.reshape(x.shape[0], -1)
