"""Inception modules: branches side by side, their channels concatenated.

Source:
    Szegedy et al. Going Deeper with Convolutions. CVPR 2015. Section 4, Figure 2.

A paper's row is a dataclass that names the widths of its table's columns and spells out
its branches with ``Unit``, ``Pool`` and ``Fork``; the network below applies it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from cnn_jax.kernels.pooling import average_pool, max_pool
from cnn_jax.layers.auxiliary_head import AuxiliaryClassifier, AuxiliaryHead
from cnn_jax.layers.batch_norm import BatchNorm
from cnn_jax.layers.batch_norm_conv import (
    Border,
    ConvNorm,
    ConvStyle,
    batch_norm_conv,
    border_padding,
)
from cnn_jax.layers.checks import check_images, check_names, check_row, named
from cnn_jax.layers.dropout import Dropout
from cnn_jax.layers.rows import apply_row
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.maths.geometry import WindowError
from cnn_jax.types import Features, Images, Logits


@dataclass(frozen=True)
class Unit:
    """A convolution of a branch; ``kernel`` is height and width in pixels."""

    name: str
    features: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padding: Border = "same"


PoolKind = Literal["max", "average"]


@dataclass(frozen=True)
class Pool:
    """A pool of a branch, over ``size`` x ``size`` pixels."""

    kind: PoolKind
    size: int = 3
    stride: int = 1
    padding: Border = "same"


@dataclass(frozen=True)
class Fork:
    """Branches within a branch, concatenated."""

    branches: "Branches"


Branch = Sequence[Union[Unit, Pool, Fork]]  # noqa: UP007 - Fork is defined by it
Branches = tuple[Branch, ...]


@dataclass(frozen=True)
class ModuleRow:
    """Base of the papers' rows: one Inception module.

    Attributes:
        name: the paper's.
    """

    name: str

    @property
    def branches(self) -> Branches:
        """The branches, in the order of the concatenation."""
        raise NotImplementedError


@dataclass(frozen=True)
class DropoutRow:
    """Row: zero each value with probability ``rate`` in training."""

    name: str
    rate: float


def pool_branch(x: Features, pool: Pool, *, count_padding: bool) -> Features:
    """Apply a pool with its padding; no maximum is taken from the padding.

    Args:
        x: features, [N, H, W, C].
        pool: what to apply.
        count_padding: a mean divides by the pixels of the window (Caffe, torch); False:
            by those inside the image (TensorFlow).

    Raises:
        ValueError: no such kind of pool.
        WindowError: a ``valid`` window is larger than the image.
    """
    if pool.kind not in ("max", "average"):
        raise ValueError(f"pool {pool.kind!r} is not one of 'max', 'average'")
    sides = border_padding(x, (pool.size, pool.size), pool.stride, pool.padding)
    pads = ((0, 0), *sides, (0, 0))
    if pool.kind == "max":
        padded = jnp.pad(x, pads, constant_values=-jnp.inf)
        return max_pool(padded, pool.size, pool.stride)
    mean = average_pool(jnp.pad(x, pads), pool.size, pool.stride)
    if count_padding or pool.padding == "valid":
        return mean
    inside = jnp.asarray(np.pad(np.ones((1, *x.shape[1:3], 1), np.float32), pads))
    return mean / average_pool(inside, pool.size, pool.stride).astype(mean.dtype)


class InceptionModule(nn.Module):
    """The branches of one row, side by side.

    Attributes:
        branches: in the order of the concatenation.
        style: of the network.
        count_padding: see ``pool_branch``.
    """

    branches: Branches
    style: ConvStyle
    count_padding: bool = False

    @nn.compact
    def __call__(self, x: Features, *, train: bool) -> Features:
        """Return the outputs of the branches, concatenated along the channels.

        Raises:
            ValueError: a width that is none, or an input that does not fit.
        """
        return self._side_by_side(self.branches, x, train=train)

    def _side_by_side(self, branches: Branches, x: Features, *, train: bool) -> Features:
        outputs = []
        for branch in branches:
            y = x
            for step in branch:
                y = self._step(step, y, train=train)
            outputs.append(y)
        return jnp.concatenate(outputs, axis=-1)

    def _step(self, step: Unit | Pool | Fork, x: Features, *, train: bool) -> Features:
        match step:
            case Pool():
                return pool_branch(x, step, count_padding=self.count_padding)
            case Fork():
                return self._side_by_side(step.branches, x, train=train)
            case Unit():
                return batch_norm_conv(self.style, x, **vars(step), train=train)


class InceptionNetwork(TableNetwork):
    """A table with Inception modules, auxiliary heads and batch-normalised rows.

    Attributes:
        batch_norm: of every convolution but those of ``Conv`` rows; None for biases.
        bias: initial value of the biases of modules and heads.
        auxiliary_heads: False leaves every ``AuxiliaryHead`` row out.
        count_padding: see ``pool_branch``.
    """

    table: tuple[Any, ...] = ()
    batch_norm: BatchNorm | None = None
    bias: float = 0.0
    auxiliary_heads: bool = True
    count_padding: bool = False

    @nn.compact
    def __call__(self, images: Images, *, train: bool) -> Logits:
        """Return class scores, [N, num_classes].

        In training, the scores of auxiliary heads are sown into ``aux_logits``.

        Args:
            images: preprocessed images, [N, H, W, C].
            train: draw dropout masks (random stream ``dropout``), normalise by the batch,
                run the auxiliary heads.

        Raises:
            ValueError: the images, or what a layer makes of them, do not fit; the
                message names the layer.
        """
        check_images(images, self.input_shape)
        check_names(self.table)
        style = ConvStyle(self.batch_norm, self.bias, self.activation, self.initializer)
        x = images
        for row in self.table:
            with named(row, x.shape):
                x = self._row(row, x, style, train=train)
        return x

    def _row(self, row: Any, x: Features, style: ConvStyle, *, train: bool) -> Features:
        if isinstance(row, ModuleRow | AuxiliaryHead) and x.ndim != 4:
            raise ValueError(
                f"{row.name}: it slides over images [N, H, W, C]; its input has shape "
                f"{x.shape[1:]} for each image"
            )
        match row:
            case ModuleRow():
                module = InceptionModule(
                    row.branches, style, self.count_padding, name=row.name
                )
                try:
                    return module(x, train=train)
                except WindowError:
                    raise  # `named` puts the name of the row before it
                except ValueError as error:
                    raise ValueError(f"{row.name}: {error}") from None
            case ConvNorm():
                check_row(row)
                fields = {**vars(row), "kernel": (row.kernel, row.kernel)}
                return batch_norm_conv(style, x, **fields, train=train)
            case DropoutRow():
                return Dropout(row.rate, name=row.name)(x, train=train)
            case AuxiliaryHead():
                # Initialisation makes its parameters, whatever `train` is.
                if self.auxiliary_heads and (train or self.is_initializing()):
                    head = AuxiliaryClassifier(row, self.num_classes, style, name=row.name)
                    head(x, train=train)
                return x
        return apply_row(
            row,
            x,
            num_classes=self.num_classes,
            activation=self.activation,
            initializer=self.initializer,
            train=train,
        )
