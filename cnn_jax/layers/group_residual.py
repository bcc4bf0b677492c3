"""Residual networks of group convolutions.

Cohen and Welling. Group Equivariant Convolutional Networks. ICML 2016, Section 8.2, with
the blocks of He, Zhang, Ren and Sun. Identity Mappings in Deep Residual Networks. ECCV
2016, Figure 1b: normalisation and ReLU before each convolution, nothing after the addition.
Sums of maps on a group turn as the maps do, so the blocks keep the symmetry.
"""

from dataclasses import dataclass
from typing import Any

import flax.linen as nn

from cnn_jax.layers.batch_norm import BatchNorm, BatchNormalization
from cnn_jax.layers.group_convolution import GroupConvolution
from cnn_jax.layers.group_network import GroupNetwork
from cnn_jax.layers.rows import Initializer
from cnn_jax.types import Features


@dataclass(frozen=True)
class GroupStem:
    """Row: one 3 x 3 group convolution with biases and padding 1, and nothing after it."""

    name: str
    features: int


@dataclass(frozen=True)
class GroupBlock:
    """Row: two 3 x 3 group convolutions and a shortcut.

    The shortcut is the identity, or, where the shape changes, a 1 x 1 group convolution of
    what enters the block.

    Attributes:
        name: the block's.
        features: output maps, each of all orientations.
        stride: of the first convolution, in pixels.
    """

    name: str
    features: int
    stride: int = 1


@dataclass(frozen=True)
class OrientedClassifier:
    """Row: normalisation, ReLU, spatial mean, then a dense layer on all orientations.

    It may weigh orientations differently: its scores are not the same for a turned image.
    """

    name: str


class PreActivationBlock(nn.Module):
    """One block; its parameters stand under ``norm1``, ``conv1``, ..., ``shortcut``.

    Attributes:
        block: what to apply.
        group: ``z2``, ``p4`` or ``p4m``.
        initializer: of every kernel.
        batch_norm: epsilon and momentum.
    """

    block: GroupBlock
    group: str
    initializer: Initializer
    batch_norm: BatchNorm

    @nn.compact
    def __call__(self, x: Features, *, train: bool) -> Features:
        """Return [N, H', W', G, features].

        Args:
            x: [N, H, W, G, C].
            train: normalise by the batch and update the running statistics.
        """
        block = self.block

        def convolved(
            y: Features, name: str, kernel: int, stride: int, padding: int
        ) -> Features:
            return GroupConvolution(
                block.features,
                kernel,
                self.group,
                stride,
                padding,
                kernel_init=self.initializer,
                name=name,
            )(y)

        def activated(y: Features, name: str) -> Features:
            return nn.relu(BatchNormalization(self.batch_norm, name=name)(y, train=train))

        y = convolved(activated(x, "norm1"), "conv1", 3, block.stride, 1)
        y = convolved(activated(y, "norm2"), "conv2", 3, 1, 1)
        if x.shape != y.shape:
            x = convolved(x, "shortcut", 1, block.stride, 0)
        return x + y


class GroupResidualNetwork(GroupNetwork):
    """A table of pre-activation blocks between a ``GroupStem`` and a classifier."""

    table: tuple[Any, ...] = ()  # the rows of this file and those of GroupNetwork

    def _row(self, row: Any, x: Features, *, train: bool) -> Features:
        match row:
            case GroupStem():
                return GroupConvolution(
                    row.features,
                    3,
                    self.group,
                    padding=1,
                    kernel_init=self.initializer,
                    name=row.name,
                )(x)
            case GroupBlock():
                block = PreActivationBlock(
                    row, self.group, self.initializer, self.batch_norm, name=row.name
                )
                return block(x, train=train)
            case OrientedClassifier():
                norm = BatchNormalization(self.batch_norm, name=f"{row.name}_norm")
                y = nn.relu(norm(x, train=train)).mean((1, 2))
                return nn.Dense(
                    self.num_classes, kernel_init=self.initializer, name=row.name
                )(y.reshape(y.shape[0], -1))
        return super()._row(row, x, train=train)
