"""A network of residual blocks, or of their plain counterparts: a loop over its table.

He, Zhang, Ren and Sun. Deep Residual Learning for Image Recognition. CVPR 2016.
"""

from dataclasses import dataclass
from typing import Any, get_args

import flax.linen as nn

from cnn_jax.layers.activations import relu
from cnn_jax.layers.batch_norm import BatchNorm
from cnn_jax.layers.checks import check_images, check_names, check_row, named
from cnn_jax.layers.initializers import he
from cnn_jax.layers.residual import (
    Block,
    ResidualBlock,
    Shortcut,
    StrideIn,
    normalised_conv,
)
from cnn_jax.layers.rows import Conv, Initializer, apply_row
from cnn_jax.layers.stochastic_depth import check_survival, survival_probability
from cnn_jax.registry import unknown
from cnn_jax.types import Features, Images, ImageShape, Logits

Table = tuple[Any, ...]


@dataclass(frozen=True)
class GlobalAveragePool:
    """Row: mean of each channel over all pixels, [N, 1, 1, C]."""

    name: str


def check_options(shortcut: str, stride_in: str, survival: float) -> None:
    """Check the options of a residual network.

    Raises:
        ValueError: an unknown one (``UserError``, with the known ones), or a survival that
            is out of its range or has no shortcut to rely on.
    """
    if shortcut not in get_args(Shortcut):
        raise unknown(shortcut, get_args(Shortcut), what="shortcut")
    if stride_in not in get_args(StrideIn):
        raise unknown(stride_in, get_args(StrideIn), what="stride_in")
    check_survival(survival)
    if shortcut == "none" and survival < 1.0:
        raise ValueError(
            f"survival {survival} with shortcut 'none': a plain network without one of its "
            f"blocks has no path from input to output; 1.0 is needed"
        )


class ResidualNetwork(nn.Module):
    """A table with residual blocks; every convolution is batch-normalised.

    Attributes:
        num_classes: outputs of the classifier row.
        input_shape: height, width, channels of the images it is built for.
        table: the rows, the classifier last.
        shortcut: of every block: ``A``, ``B``, ``C``, or ``none`` for a plain network.
        stride_in: convolution of a bottleneck that has its stride: ``1x1`` or ``3x3``.
        survival: p_L of stochastic depth, in (0, 1]; 1 keeps every block.
        initializer: of every kernel.
        batch_norm: epsilon and momentum.
        conv_bias: give the convolutions biases as well, as Keras does; the batch's mean
            takes them away again.

    Raises:
        ValueError: an unknown option, or a survival out of its range or without shortcuts.
    """

    num_classes: int = 10
    input_shape: ImageShape = (32, 32, 3)
    table: Table = ()
    shortcut: Shortcut = "B"
    stride_in: StrideIn = "1x1"
    survival: float = 1.0
    initializer: Initializer = he
    batch_norm: BatchNorm = BatchNorm(epsilon=1e-5, momentum=0.9)
    conv_bias: bool = False

    def __post_init__(self) -> None:
        """Check the options when the network is described, not when it is traced."""
        check_options(self.shortcut, self.stride_in, self.survival)
        super().__post_init__()

    @nn.compact
    def __call__(self, images: Images, *, train: bool) -> Logits:
        """Return class scores, [N, num_classes].

        Args:
            images: preprocessed images, [N, H, W, C].
            train: normalise by the batch; with ``survival`` below 1, draw the blocks that
                take part (random stream ``dropout``).

        Raises:
            ValueError: the images, or what a layer makes of them, do not fit; the
                message names the layer.
        """
        check_images(images, self.input_shape)
        check_names(self.table)
        blocks = [row.name for row in self.table if isinstance(row, Block)]
        place = {name: number for number, name in enumerate(blocks, 1)}
        x = images
        for row in self.table:
            if isinstance(row, Block | Conv | GlobalAveragePool) and x.ndim != 4:
                raise ValueError(
                    f"{row.name}: it slides over images [N, H, W, C]; its input has shape "
                    f"{x.shape[1:]} for each image"
                )
            with named(row, x.shape):
                if isinstance(row, Block):
                    survival = survival_probability(
                        place[row.name], len(blocks), self.survival
                    )
                    x = self._block(row, survival)(x, train=train)
                else:
                    x = self._row(row, x, train=train)
        return x

    def _block(self, row: Block, survival: float) -> ResidualBlock:
        return ResidualBlock(
            row,
            shortcut=self.shortcut,
            stride_in=self.stride_in,
            survival=survival,
            initializer=self.initializer,
            batch_norm=self.batch_norm,
            conv_bias=self.conv_bias,
            name=row.name,
        )

    def _row(self, row: Any, x: Features, *, train: bool) -> Features:
        match row:
            case Conv():
                check_row(row)
                return nn.relu(
                    normalised_conv(
                        row,
                        x,
                        initializer=self.initializer,
                        batch_norm=self.batch_norm,
                        conv_bias=self.conv_bias,
                        train=train,
                    )
                )
            case GlobalAveragePool():
                return x.mean((1, 2), keepdims=True)
        return apply_row(
            row,
            x,
            num_classes=self.num_classes,
            activation=relu,
            initializer=self.initializer,
            train=train,
        )
