"""Residual networks and their plain counterparts, on ImageNet and on CIFAR-10.

Source:
    He, Zhang, Ren and Sun. Deep Residual Learning for Image Recognition. CVPR 2016.
    Table 1 (ImageNet), Section 3.3 (plain networks, shortcuts), Section 4.1 (options A, B,
    C), Section 4.2 (CIFAR-10: 6 n + 2 layers).
    Huang, Sun, Liu, Sedra and Weinberger. Deep Networks with Stochastic Depth. ECCV 2016.
    Equations 2, 4 and 5 (``survival`` is p_L; 1 is the network of He et al.).

Departures:
    Batch normalisation has epsilon 1e-5, as the released Caffe models and torch have it;
    the paper prints none. Running statistics are moving averages that keep 0.9 a step
    (torch's momentum of 0.1) of biased variances; the released networks averaged them over
    many images after training, and torch's variances are unbiased.
    Zeros of option A come after the channels that there are; subsampling takes the first
    of every two pixels. The 7 x 7 / 2 convolution is padded by 3 and the 3 x 3 / 2 pool by
    1 on each side, rounding down: 112 and 56 pixels, as Table 1 prints.
    ``stride_in="3x3"`` moves the stride of a bottleneck from its first 1 x 1, as printed,
    to its 3 x 3 (torch's "v1.5"). Options B and C normalise their projections, as the
    released networks do. The classifier's weights start from He et al. 2015 as well.
    Blocks are named conv2_1, conv2_2, ... on CIFAR-10 too, where the paper names none.
    Stochastic depth draws once a block and step for the whole batch, as its paper does: no
    row is drawn for, so the draw is the same on every device. A block that is left out
    keeps its running statistics; its branch is computed and multiplied by 0, so the paper's
    25 % of training time is not saved. Where l counts the blocks that a table has, an edit
    of the table moves the probabilities.
"""

from functools import partial
from typing import Any

import flax.linen as nn

from cnn_jax.layers.batch_norm_conv import BatchNorm
from cnn_jax.layers.checks import check_images, check_names, check_row, named
from cnn_jax.layers.activations import relu
from cnn_jax.layers.initializers import he
from cnn_jax.layers.residual import (
    BasicBlock,
    Block,
    Bottleneck,
    GlobalAveragePool,
    ResidualBlock,
    Shortcut,
    StrideIn,
    check_options,
    normalised_conv,
    stack,
)
from cnn_jax.layers.rows import Classifier, Conv, Initializer, MaxPool, apply_row
from cnn_jax.layers.stochastic_depth import survival_probability
from cnn_jax.types import Features, Images, ImageShape, Logits, ModelSpec, Published

Table = tuple[Any, ...]

# fmt: off
#               name  features kernel stride padding   Table 1
STEM: Table = (
    Conv(      "conv1",   64,   7,     2,    3),       # 224 -> 112
    MaxPool(   "pool1",         3,     2,    1),       # 112 ->  56
)
#               stage   width features stride          of its first block, else 1
BASIC = (
    BasicBlock("conv2",         64,    1),             #  56
    BasicBlock("conv3",        128,    2),             #  28
    BasicBlock("conv4",        256,    2),             #  14
    BasicBlock("conv5",        512,    2),             #   7
)
BOTTLENECK = (
    Bottleneck("conv2",   64,  256,    1),
    Bottleneck("conv3",  128,  512,    2),
    Bottleneck("conv4",  256, 1024,    2),
    Bottleneck("conv5",  512, 2048,    2),
)
#                                                      Section 4.2
CIFAR_STEM: Table = (
    Conv(      "conv1",   16,   3,     1,    1),       #  32
)
CIFAR = (
    BasicBlock("conv2",         16,    1),             #  32
    BasicBlock("conv3",         32,    2),             #  16
    BasicBlock("conv4",         64,    2),             #   8
)
END: Table = (
    GlobalAveragePool("gap"),                          #   1
    Classifier("fc"),
)

#                     conv2_x conv3_x conv4_x conv5_x  Table 1
TABLE_18 = (*STEM, *stack(BASIC,      (2, 2,  2, 2)), *END)
TABLE_34 = (*STEM, *stack(BASIC,      (3, 4,  6, 3)), *END)
TABLE_50 = (*STEM, *stack(BOTTLENECK, (3, 4,  6, 3)), *END)
TABLE_101 = (*STEM, *stack(BOTTLENECK, (3, 4, 23, 3)), *END)
TABLE_152 = (*STEM, *stack(BOTTLENECK, (3, 8, 36, 3)), *END)
# fmt: on


def cifar_table(n: int) -> Table:
    """Return the rows of the CIFAR-10 network of 6 ``n`` + 2 layers."""
    return (*CIFAR_STEM, *stack(CIFAR, (n, n, n)), *END)


class ResNet(nn.Module):
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

    Raises:
        ValueError: an unknown option, or a survival out of its range or without shortcuts.
    """

    num_classes: int = 1000
    input_shape: ImageShape = (224, 224, 3)
    table: Table = TABLE_50
    shortcut: Shortcut = "B"
    stride_in: StrideIn = "1x1"
    survival: float = 1.0
    initializer: Initializer = he
    batch_norm: BatchNorm = BatchNorm(epsilon=1e-5, momentum=0.9)

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


_imagenet = partial(
    ModelSpec,
    input_shape=(224, 224, 3),
    num_classes=1000,
    paper="He et al.",
    year=2016,
    source="Deep Residual Learning for Image Recognition, CVPR 2016, Table 1",
)
_cifar = partial(
    _imagenet,
    input_shape=(32, 32, 3),
    num_classes=10,
    source="Deep Residual Learning for Image Recognition, CVPR 2016, Section 4.2",
)


def _errors(protocol: str, source: str, top1: float, top5: float | None = None) -> Published:
    return Published(top1=top1, top5=top5, protocol=protocol, source=source)


_ONE = ("ILSVRC-2012 val, 1 network, 1 crop", "KaimingHe/deep-residual-networks, README")
_TEN = "ILSVRC-2012 val, 1 network, 10 crops"
_TABLE_2 = (_TEN, "He et al. 2016, Table 2")
_TABLE_3 = (_TEN, "He et al. 2016, Table 3")
_TABLE_4 = ("ILSVRC-2012 val, 1 network, dense at 5 scales", "He et al. 2016, Table 4")

