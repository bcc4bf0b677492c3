"""Scattering networks: wavelets instead of learned filters, and a small classifier.

Source:
    Mallat. Group Invariant Scattering. Communications on Pure and Applied Mathematics
    65(10), 2012 (the transform). Bruna and Mallat. Invariant Scattering Convolution
    Networks. IEEE PAMI 35(8), 2013 (Morlet wavelets, L angles, order 2, MNIST).
    Sizes by arithmetic: 1 + J L + L^2 J (J - 1) / 2 channels of H / 2^J x W / 2^J values,
    81 of 8 x 8 for J = 2 and L = 8. The transform has no trainable parameters.

Departures:
    The papers classify with the nearest affine space of principal components, or with a
    support vector machine; here the coefficients are batch-normalised and a linear layer
    reads them (``scattering``), or a small convolutional network (``scattering_cnn``), of
    the shape of the examples of Kymatio (from memory: 64 maps of 3 x 3, 512 units).
    Pixels are 32 x 32, so that 2^J divides them; for MNIST, 28 x 28 and 2 of zeros on each
    side. Images that 2^J does not divide are refused. Weights start from He et al. 2015
    and biases from 0. Counted are the multiply-adds of the classifier: those of the
    transform depend on how it is computed. See ``layers/scattering.py``.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

from cnn_jax.layers.activations import Activation, relu
from cnn_jax.layers.batch_norm import BatchNorm, BatchNormalization
from cnn_jax.layers.initializers import he
from cnn_jax.layers.rows import (
    Classifier,
    Conv,
    Dense,
    Initializer,
    Row,
)
from cnn_jax.layers.scattering import Scattering
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.types import Features, ImageShape, ModelSpec, Published


@dataclass(frozen=True)
class Transform:
    """Row: the scattering transform, with the J, L and order of the network."""

    name: str


@dataclass(frozen=True)
class Normalization:
    """Row: batch normalisation of each channel."""

    name: str


ScatteringTable = tuple[Transform | Normalization | Row, ...]

# fmt: off
LINEAR: ScatteringTable = (   # features    J = 2, L = 8
    Transform(    "scattering"),            # 32 x 32 x 1 -> 8 x 8 x 81
    Normalization("norm"),
    Classifier(   "linear"),                # 5184 -> 10
)
CNN: ScatteringTable = (
    Transform(    "scattering"),
    Normalization("norm"),
    Conv(         "conv1", 64, 3, padding=1),
    Dense(        "fc1",  512),
    Classifier(   "fc2"),
)
# fmt: on


class ScatteringNetwork(TableNetwork):
    """Scattering coefficients, and a classifier that reads them.

    Attributes:
        num_classes: outputs of the classifier row.
        input_shape: height, width, channels of the images it is built for.
        table: the rows, the classifier last.
        J: octaves; the maps have 1 / 2^J of the image's height and width.
        L: angles of the wavelets.
        order: wavelets one after the other: 0, 1 or 2.
        batch_norm: of the coefficients; the epsilon is small, because those of order 2
            have variances down to 1e-5.
        activation: after every ``Conv`` and ``Dense`` row.
        initializer: of every kernel.
    """

    num_classes: int = 10
    input_shape: ImageShape = (32, 32, 1)
    table: ScatteringTable = LINEAR
    J: int = 2
    L: int = 8
    order: int = 2
    batch_norm: BatchNorm = BatchNorm(epsilon=1e-8)
    activation: Activation = relu
    initializer: Initializer = he

    def apply_row(self, row: Any, x: Features, *, train: bool) -> Features:
        """Apply the transform, its normalisation, or a common row.

        Raises:
            ValueError: J, L or order out of range, or 2^J does not divide the image.
        """
        match row:
            case Transform():
                return Scattering(self.J, self.L, self.order)(x)
            case Normalization():
                norm = BatchNormalization(self.batch_norm, name=row.name)
                return norm(x, train=train)
        return super().apply_row(row, x, train=train)


def _spec(
    table: ScatteringTable,
    parameters: int,
    macs: int,
    published: tuple[Published, ...] = (),
) -> ModelSpec:
    return ModelSpec(
        build=partial(ScatteringNetwork, table=table),
        input_shape=(32, 32, 1),
        num_classes=10,
        parameters=parameters,
        macs=macs,
        paper="Mallat",
        year=2012,
        source="Group Invariant Scattering, CPAM 65(10); Bruna and Mallat 2013, PAMI 35(8)",
        published=published,
    )


MODELS = {
    "scattering": _spec(
        LINEAR,
        parameters=52_012,
        macs=51_840,
        published=(
            Published(
                top1=0.43,
                protocol="MNIST test, order 2, affine spaces of principal components",
                source="Bruna and Mallat 2013 (from memory)",
            ),
        ),
    ),
    "scattering_cnn": _spec(CNN, parameters=2_149_676, macs=5_088_256),
}
"""Multiply-adds of the transform are not counted; see above."""
