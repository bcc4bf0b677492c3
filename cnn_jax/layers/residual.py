"""Residual blocks: He, Zhang, Ren and Sun, CVPR 2016, Sections 3.2 and 3.3.

A block is one row of a table. Each convolution is followed by batch normalisation, which
makes biases of its own useless; the last ReLU stands after the addition.
"""

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp

from cnn_jax.kernels.convolution import grouped_convolution
from cnn_jax.layers.batch_norm import BatchNorm, BatchNormalization
from cnn_jax.layers.checks import check_row
from cnn_jax.layers.rows import Conv, Initializer
from cnn_jax.layers.stochastic_depth import branch_weight
from cnn_jax.maths.geometry import output_size
from cnn_jax.types import Features

Shortcut = Literal["A", "B", "C", "none"]
"""Section 4.1: A, identity with zeros for new channels; B, a projection where the shape
changes, identity elsewhere; C, projections everywhere. ``none``: the plain network."""

StrideIn = Literal["1x1", "3x3"]
"""Which convolution of a bottleneck takes the stride: the first 1 x 1, or the 3 x 3."""


@dataclass(frozen=True)
class BasicBlock:
    """Row: two 3 x 3 convolutions and a shortcut (Figure 5, left).

    Attributes:
        name: the paper's.
        features: output channels of both.
        stride: of the first, in pixels.
    """

    name: str
    features: int
    stride: int = 1


@dataclass(frozen=True)
class Bottleneck:
    """Row: 1 x 1, 3 x 3 and 1 x 1 convolutions and a shortcut (Figure 5, right).

    Attributes:
        name: the paper's.
        width: output channels of the first two.
        features: output channels of the last.
        stride: of the first or the second (``StrideIn``), in pixels.
    """

    name: str
    width: int
    features: int
    stride: int = 1


Block = BasicBlock | Bottleneck


def stack(stages: tuple[Block, ...], blocks: tuple[int, ...]) -> tuple[Block, ...]:
    """Return ``blocks`` blocks of each stage, ``conv2_1``, ``conv2_2``, ...

    Args:
        stages: the first block of each, under the stage's name; the others of a stage are
            the same with stride 1.
        blocks: how many blocks each stage has.
    """
    return tuple(
        dataclasses.replace(
            first, name=f"{first.name}_{number}", stride=first.stride if number == 1 else 1
        )
        for first, count in zip(stages, blocks, strict=True)
        for number in range(1, count + 1)
    )


def convolutions(block: Block, stride_in: StrideIn = "1x1") -> tuple[Conv, ...]:
    """Return the convolutions of a block in order; their padding keeps the size.

    Raises:
        ValueError: a width, a number of features or a stride that is no whole number from
            1 on.
    """
    check_row(block)
    if isinstance(block, BasicBlock):
        return (
            Conv("conv1", block.features, 3, block.stride, padding=1),
            Conv("conv2", block.features, 3, padding=1),
        )
    if not isinstance(block.width, int) or block.width < 1:
        raise ValueError(
            f"{block.name}: width = {block.width}; a whole number of at least 1 is needed"
        )
    first, second = (block.stride, 1) if stride_in == "1x1" else (1, block.stride)
    return (
        Conv("conv1", block.width, 1, first),
        Conv("conv2", block.width, 3, second, padding=1),
        Conv("conv3", block.features, 1),
    )


def normalised_conv(
    row: Conv,
    x: Features,
    *,
    initializer: Initializer,
    batch_norm: BatchNorm,
    conv_bias: bool = False,
    train: bool,
) -> Features:
    """Apply a convolution and its batch normalisation inside a compact module; no ReLU.

    Args:
        row: its name is the convolution's scope, ``name_norm`` that of the normalisation.
        x: features, [N, H, W, C].
        initializer: of the kernel.
        batch_norm: the network's numbers.
        conv_bias: add biases, which the batch's mean takes away again.
        train: normalise by the batch and update the running statistics.

    Raises:
        ValueError: an initial bias, or groups that do not divide.
        WindowError: the kernel is larger than the padded input.
    """
    if row.bias:
        raise ValueError(
            f"{row.name}: bias = {row.bias}; a batch-normalised convolution has none (0.0)"
        )
    if x.shape[-1] % row.groups or row.features % row.groups:
        raise ValueError(
            f"{row.name}: {row.groups} groups must divide its {x.shape[-1]} input "
            f"channels and its {row.features} features"
        )
    for size in x.shape[1:3]:
        output_size(size, row.kernel, row.stride, row.padding)
    x = nn.Conv(
        row.features,
        (row.kernel, row.kernel),
        strides=row.stride,
        padding=row.padding,
        feature_group_count=row.groups,
        use_bias=conv_bias,
        kernel_init=initializer,
        conv_general_dilated=grouped_convolution,
        name=row.name,
    )(x)
    return BatchNormalization(batch_norm, name=f"{row.name}_norm")(x, train=train)


def pad_channels(x: Features, block: Block) -> Features:
    """Return every ``stride``-th pixel, with channels of zeros up to the block's features.

    Option A: no parameters. The zeros come after the channels that there are.

    Raises:
        ValueError: there are more channels than the block has features.
    """
    missing = block.features - x.shape[-1]
    if missing < 0:
        raise ValueError(
            f"{block.name}: a shortcut of option A can add channels of zeros but drop "
            f"none; the block's input has {x.shape[-1]} channels, its output "
            f"{block.features}"
        )
    pixels = x[:, :: block.stride, :: block.stride]
    return jnp.pad(pixels, ((0, 0), (0, 0), (0, 0), (0, missing)))


class ResidualBlock(nn.Module):
    """One block of a residual network, or of its plain counterpart.

    Parameters stand under ``conv1``, ``conv1_norm``, ``conv2``, ...; those of a projection
    under ``shortcut`` and ``shortcut_norm``.

    Attributes:
        block: what to apply.
        shortcut: what is added to it.
        stride_in: where a bottleneck takes its stride.
        survival: probability that the branch takes part in a training step.
        initializer: of every kernel.
        batch_norm: epsilon and momentum.
        conv_bias: biases of the convolutions, as well.
    """

    block: Block
    shortcut: Shortcut
    stride_in: StrideIn
    survival: float
    initializer: Initializer
    batch_norm: BatchNorm
    conv_bias: bool = False

    @nn.compact
    def __call__(self, x: Features, *, train: bool) -> Features:
        """Return [N, H', W', features].

        Args:
            x: features, [N, H, W, C].
            train: normalise by the batch; draw whether the branch takes part (random
                stream ``dropout``, used only where ``survival`` is below 1).

        Raises:
            ValueError: option A would have to drop channels, or a count of the row is none.
        """
        block = self.block
        apply = partial(
            normalised_conv,
            initializer=self.initializer,
            conv_bias=self.conv_bias,
            train=train,
        )
        weight: Any = self.survival
        statistics = self.batch_norm
        if train and self.survival < 1.0:
            weight = branch_weight(self.make_rng("dropout"), self.survival)
            # A branch that is left out sees no batch: its running statistics stay.
            momentum: Any = jnp.where(weight > 0.0, statistics.momentum, 1.0)
            statistics = dataclasses.replace(statistics, momentum=momentum)

        rows = convolutions(block, self.stride_in)
        branch = x
        for row in rows[:-1]:
            branch = nn.relu(apply(row, branch, batch_norm=statistics))
        branch = apply(rows[-1], branch, batch_norm=statistics)
        if self.shortcut == "none":
            return nn.relu(branch)
        if self.survival < 1.0:
            branch = jnp.asarray(weight, branch.dtype) * branch

        if self.shortcut == "C" or block.stride > 1 or x.shape[-1] != block.features:
            if self.shortcut == "A":
                x = pad_channels(x, block)
            else:
                projection = Conv("shortcut", block.features, 1, block.stride)
                x = apply(projection, x, batch_norm=self.batch_norm)
        return nn.relu(branch + x)
