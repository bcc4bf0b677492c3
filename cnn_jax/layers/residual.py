"""Residual blocks: He, Zhang, Ren and Sun, CVPR 2016, Sections 3.2 and 3.3.

A block is one row of a table. Its convolutions have no biases, each is followed by batch
normalisation, and the last ReLU stands after the addition.
"""

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp

from cnn_jax.layers.rows import Initializer, check_row
from cnn_jax.layers.stochastic_depth import branch_weight
from cnn_jax.maths.geometry import output_size
from cnn_jax.types import Features

Shortcut = Literal["A", "B", "C", "none"]
"""Section 4.1: A, identity with zeros for new channels; B, a projection where the shape
changes, identity elsewhere; C, projections everywhere. ``none``: the plain network."""

StrideIn = Literal["1x1", "3x3"]
"""Which convolution of a bottleneck takes the stride: the first 1 x 1, or the 3 x 3."""


@dataclass(frozen=True)
class ConvNorm:
    """Convolution without biases, batch normalisation, ReLU.

    Attributes:
        name: the paper's.
        features: output channels.
        kernel: edge of the square window in pixels.
        stride: step in pixels.
        padding: zeros on each side in pixels.
    """

    name: str
    features: int
    kernel: int
    stride: int = 1
    padding: int = 0


@dataclass(frozen=True)
class BasicBlock:
    """Two 3 x 3 convolutions: Figure 5, left.

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
    """1 x 1, 3 x 3 and 1 x 1 convolutions: Figure 5, right.

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


def convolutions(block: Block, stride_in: StrideIn = "1x1") -> tuple[ConvNorm, ...]:
    """Return the convolutions of a block in order, with padding that keeps the size.

    Raises:
        ValueError: a width, a number of features or a stride below 1.
    """
    check_row(block)
    if isinstance(block, BasicBlock):
        return (
            ConvNorm("conv1", block.features, 3, block.stride, 1),
            ConvNorm("conv2", block.features, 3, 1, 1),
        )
    if not isinstance(block.width, int) or block.width < 1:
        raise ValueError(
            f"{block.name}: width = {block.width}; a whole number of at least 1 is needed"
        )
    first, second = (block.stride, 1) if stride_in == "1x1" else (1, block.stride)
    return (
        ConvNorm("conv1", block.width, 1, first),
        ConvNorm("conv2", block.width, 3, second, 1),
        ConvNorm("conv3", block.features, 1),
    )


def convolve_and_normalise(
    row: ConvNorm,
    x: Features,
    *,
    scope: str,
    initializer: Initializer,
    epsilon: float,
    momentum: Any,
    train: bool,
) -> Features:
    """Apply a convolution and its batch normalisation inside a compact module; no ReLU.

    Args:
        row: its name is the scope of the convolution.
        x: features, [N, H, W, C].
        scope: of the normalisation.
        initializer: of the kernel.
        epsilon: added to the variance.
        momentum: weight of the old running statistics; a number or a scalar array.
        train: normalise by the batch and update the running statistics.

    Raises:
        WindowError: the kernel is larger than the padded input.
    """
    for size in x.shape[1:3]:
        output_size(size, row.kernel, row.stride, row.padding)
    x = nn.Conv(
        row.features,
        (row.kernel, row.kernel),
        strides=row.stride,
        padding=row.padding,
        use_bias=False,
        kernel_init=initializer,
        name=row.name,
    )(x)
    return nn.BatchNorm(
        use_running_average=not train, momentum=momentum, epsilon=epsilon, name=scope
    )(x)


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


class Stem(nn.Module):
    """One ``ConvNorm`` row: convolution (``conv``), normalisation (``norm``), ReLU.

    Attributes:
        row: what to apply.
        initializer: of the kernel.
        epsilon: of the batch normalisation.
        momentum: of the running statistics.
    """

    row: ConvNorm
    initializer: Initializer
    epsilon: float
    momentum: float

    @nn.compact
    def __call__(self, x: Features, *, train: bool) -> Features:
        """Return [N, H', W', features]."""
        check_row(self.row)
        return nn.relu(
            convolve_and_normalise(
                dataclasses.replace(self.row, name="conv"),
                x,
                scope="norm",
                initializer=self.initializer,
                epsilon=self.epsilon,
                momentum=self.momentum,
                train=train,
            )
        )


class ResidualBlock(nn.Module):
    """One block of a residual network, or of its plain counterpart.

    Parameters stand under ``conv1``, ``norm1``, ``conv2``, ...; those of a projection
    under ``shortcut`` and ``shortcut_norm``.

    Attributes:
        block: what to apply.
        shortcut: what is added to it.
        stride_in: where a bottleneck takes its stride.
        survival: probability that the branch takes part in a training step.
        initializer: of every kernel.
        epsilon: of the batch normalisation.
        momentum: of the running statistics.
    """

    block: Block
    shortcut: Shortcut
    stride_in: StrideIn
    survival: float
    initializer: Initializer
    epsilon: float
    momentum: float

    @nn.compact
    def __call__(self, x: Features, *, train: bool) -> Features:
        """Return [N, H', W', features].

        Args:
            x: features, [N, H, W, C].
            train: normalise by the batch; draw whether the branch takes part (random
                stream ``dropout``, used only where ``survival`` is below 1).

        Raises:
            ValueError: option A would have to drop channels.
            WindowError: the block is larger than its padded input.
        """
        apply = partial(
            convolve_and_normalise,
            initializer=self.initializer,
            epsilon=self.epsilon,
            train=train,
        )
        weight: Any = None
        momentum: Any = self.momentum
        if self.survival < 1.0:
            weight = self.survival
            if train:
                weight = branch_weight(self.make_rng("dropout"), self.survival)
                # A branch that is left out sees no batch: its running statistics stay.
                momentum = jnp.where(weight > 0.0, self.momentum, 1.0)

        rows = convolutions(self.block, self.stride_in)
        branch = x
        for number, row in enumerate(rows, 1):
            branch = nn.relu(branch) if number > 1 else branch
            branch = apply(row, branch, scope=f"norm{number}", momentum=momentum)
        if self.shortcut == "none":
            return nn.relu(branch)
        if weight is not None:
            branch = weight * branch

        block = self.block
        if self.shortcut == "C" or block.stride > 1 or x.shape[-1] != block.features:
            if self.shortcut == "A":
                x = pad_channels(x, block)
            else:
                row = ConvNorm("shortcut", block.features, 1, block.stride)
                x = apply(row, x, scope="shortcut_norm", momentum=self.momentum)
        return nn.relu(branch + x)
