"""Networks of group convolutions: their rows, and the loop that applies them.

Cohen and Welling. Group Equivariant Convolutional Networks. ICML 2016. One table serves
the plane and both groups: a network's ``group`` says on which it runs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import flax.linen as nn

from cnn_jax.kernels.pooling import max_pool
from cnn_jax.layers.batch_norm import BatchNorm, BatchNormalization
from cnn_jax.layers.checks import check_images, check_names, check_row, named
from cnn_jax.layers.dropout import Dropout
from cnn_jax.layers.group_convolution import (
    GroupConvolution,
    orientation_max,
    over_orientations,
)
from cnn_jax.layers.initializers import he
from cnn_jax.layers.rows import Initializer, MaxPool
from cnn_jax.maths.plane_groups import plane_group
from cnn_jax.types import Features, Images, ImageShape, Logits


@dataclass(frozen=True)
class GroupConv:
    """Row: group convolution with biases, batch normalisation, ReLU, dropout.

    Attributes:
        name: the layer's.
        features: output maps, each of all orientations.
        kernel: edge of the square window in pixels.
        stride: step in pixels.
        padding: zeros on each side in pixels.
        dropout: probability of zeroing an output in training.
        rotation_pooling: take the maximum over orientations after the ReLU: the next layer
            starts from maps on the plane again.
    """

    name: str
    features: int
    kernel: int
    stride: int = 1
    padding: int = 0
    dropout: float = 0.0
    rotation_pooling: bool = False


@dataclass(frozen=True)
class InputDropout:
    """Row: zero inputs in training, with probability ``rate``."""

    name: str
    rate: float


@dataclass(frozen=True)
class GroupClassifier:
    """Row: group convolution to the classes, then one score a class.

    The scores are the maxima (``pool="max"``) or means over all orientations and pixels,
    so turning the image does not change them.

    Attributes:
        name: the layer's.
        kernel: edge of the square window in pixels.
        pool: ``max`` or ``mean``.
        normalised: batch normalisation and ReLU before pooling.
    """

    name: str
    kernel: int
    pool: Literal["max", "mean"] = "max"
    normalised: bool = False


Row = GroupConv | GroupClassifier | InputDropout | MaxPool
Table = tuple[Row, ...]


class GroupNetwork(nn.Module):
    """A table of group convolutions, applied row after row.

    Attributes:
        num_classes: outputs of the classifier row.
        input_shape: height, width, channels of the images it is built for; height, width,
            orientations, maps where it starts from features, as a row alone does in
            ``analysis/layer_table.py``.
        table: the rows, the classifier last.
        group: ``z2`` (the plane), ``p4`` or ``p4m``.
        initializer: of every kernel.
        batch_norm: epsilon and momentum; one mean and variance a map, over its
            orientations too.

    Raises:
        ValueError: an unknown group.
    """

    num_classes: int = 10
    input_shape: ImageShape = (28, 28, 1)
    table: Table = ()
    group: str = "p4"
    initializer: Initializer = he
    batch_norm: BatchNorm = BatchNorm(epsilon=2e-5, momentum=0.9)

    def __post_init__(self) -> None:
        """Check the group when the network is described, not when it is traced."""
        plane_group(self.group)
        super().__post_init__()

    @nn.compact
    def __call__(self, images: Images, *, train: bool) -> Logits:
        """Return class scores, [N, num_classes].

        Args:
            images: preprocessed images, [N, H, W, C].
            train: normalise by the batch; draw dropout masks (random stream ``dropout``).

        Raises:
            ValueError: the images, or what a layer makes of them, do not fit; the
                message names the layer.
        """
        check_names(self.table)
        x = images
        if images.ndim != len(self.input_shape) + 1 or images.ndim != 5:
            check_images(images, self.input_shape)
            x = images[:, :, :, None]  # [N, H, W, 1, C]: maps on the plane
        for row in self.table:
            if x.ndim != 5:
                raise ValueError(
                    f"{row.name}: it takes maps [N, H, W, orientations, C]; its input has "
                    f"shape {x.shape[1:]} for each image"
                )
            with named(row, x.shape):
                check_row(row)
                x = self._row(row, x, train=train)
        return x

    def _row(self, row: Any, x: Features, *, train: bool) -> Features:
        match row:
            case GroupConv():
                x = self._layer(row, row.features)(name=row.name)(x)
                norm = BatchNormalization(self.batch_norm, name=f"{row.name}_norm")
                x = nn.relu(norm(x, train=train))
                if row.rotation_pooling:
                    x = orientation_max(x)
                return Dropout(row.dropout, name=f"{row.name}_dropout")(x, train=train)
            case GroupClassifier():
                layer = self._layer(row, self.num_classes)
                if row.normalised:
                    maps = _NormalisedMaps(layer, self.batch_norm, name=row.name)
                    x = maps(x, train=train)
                else:
                    x = layer(name=row.name)(x)
                return x.max((1, 2, 3)) if row.pool == "max" else x.mean((1, 2, 3))
            case InputDropout():
                return Dropout(row.rate, name=row.name)(x, train=train)
            case MaxPool():

                def pool(y: Features) -> Features:
                    return max_pool(y, row.size, row.stride, row.padding, ceil=row.ceil)

                return over_orientations(pool, x)
        raise TypeError(f"{row!r} is not a row of cnn_jax.layers.group_network")

    def _layer(
        self, row: GroupConv | GroupClassifier, features: int
    ) -> Callable[..., GroupConvolution]:
        return partial(
            GroupConvolution,
            features,
            row.kernel,
            self.group,
            getattr(row, "stride", 1),
            getattr(row, "padding", 0),
            kernel_init=self.initializer,
        )


class _NormalisedMaps(nn.Module):
    """A convolution ``conv``, its normalisation ``norm`` and ReLU, under one name."""

    layer: Callable[..., GroupConvolution]
    batch_norm: BatchNorm

    @nn.compact
    def __call__(self, x: Features, *, train: bool) -> Features:
        norm = BatchNormalization(self.batch_norm, name="norm")
        return nn.relu(norm(self.layer(name="conv")(x), train=train))
