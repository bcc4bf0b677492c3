"""A steerable residual network.

Source:
    Cohen and Welling. Steerable CNNs. ICLR 2017 (arXiv 1612.08498). Section 2 (filters,
    capsules, nonlinearities), Section 4 (residual networks on CIFAR-10 and CIFAR-100 whose
    capsules are regular, of quotients, and irreducible). Sections and errors from memory.

Departures:
    No source at hand prints the numbers of capsules, so there is no count of parameters to
    hold ours against: they are ours, and so is the depth of 8 layers; ``steerable_table(4,
    ...)`` has the paper's 26.
    Each convolution takes capsules that have been rectified and then batch-normalised, in
    this order: after CReLU the group only exchanges coordinates, and their common mean can
    be taken. The shortcuts are the identity, or a 1 x 1 steerable convolution where the
    type or the size changes. Before the classifier every capsule gives its mean.
    The strides of 2 on 32 and 16 pixels take the first of every two rows and columns: the
    symmetry is exact on sizes of 4 n + 1 pixels (33), and there no score changes when the
    image is turned or mirrored.
"""

from dataclasses import dataclass
from typing import Any

import flax.linen as nn

from cnn_jax.layers.batch_norm import BatchNorm
from cnn_jax.layers.checks import check_images, check_names, named
from cnn_jax.layers.initializers import he
from cnn_jax.layers.steerable import (
    CapsuleNorm,
    Capsules,
    SteerableConvolution,
    Type,
    capsule_mean,
    check_type,
    rectified_type,
    rectify,
)
from cnn_jax.types import Features, Images, ImageShape, Logits, ModelSpec, Published


@dataclass(frozen=True)
class SteerableStem:
    """Row: one 3 x 3 steerable convolution of the image, padding 1.

    Attributes:
        name: the layer's.
        outputs: type of what it makes.
    """

    name: str
    outputs: Type


@dataclass(frozen=True)
class SteerableBlock:
    """Row: rectify, normalise, convolve 3 x 3, twice; and a shortcut.

    Attributes:
        name: the block's.
        inputs: type of what it takes.
        outputs: type of what it makes.
        stride: of the first convolution, in pixels.
    """

    name: str
    inputs: Type
    outputs: Type
    stride: int = 1


@dataclass(frozen=True)
class SteerableClassifier:
    """Row: rectify, normalise, mean over pixels and capsules, dense layer.

    Attributes:
        name: the layer's.
        inputs: type of what it takes.
    """

    name: str
    inputs: Type


def mixed(copies: int) -> Type:
    """Return regular, quotient and irreducible capsules, 18 channels for each copy."""
    return (
        Capsules("regular", copies),
        Capsules("quotient_mirror", copies),
        Capsules("a1", copies),
        Capsules("a2", copies),
        Capsules("b1", copies),
        Capsules("b2", copies),
        Capsules("e", copies),
    )


def steerable_table(n: int, widths: tuple[int, int, int]) -> tuple[Any, ...]:
    """Return 6 ``n`` + 2 layers: ``n`` blocks of each width, in copies of ``mixed``."""
    # No filter of 3 x 3 pixels takes an image to a2, which a mirror alone negates.
    kinds: Type = tuple(c for c in mixed(widths[0]) if c.kind != "a2")
    rows: list[Any] = [SteerableStem("conv1", kinds)]
    for stage, width in enumerate(widths, 2):  # 32, 16 and 8 pixels
        for number in range(1, n + 1):
            stride = 2 if stage > 2 and number == 1 else 1
            name = f"conv{stage}_{number}"
            rows.append(SteerableBlock(name, kinds, mixed(width), stride))
            kinds = mixed(width)
    return (*rows, SteerableClassifier("fc", kinds))


class ResidualBlock(nn.Module):
    """One block; its parameters stand under ``norm1``, ``conv1``, ..., ``shortcut``.

    Attributes:
        block: what to apply.
        group: ``p4`` or ``p4m``.
        batch_norm: epsilon and momentum.
    """

    block: SteerableBlock
    group: str
    batch_norm: BatchNorm

    @nn.compact
    def __call__(self, x: Features, *, train: bool) -> Features:
        """Return [N, H', W', channels of the block's outputs]."""
        block = self.block
        branch, kinds = x, block.inputs
        for number, stride in ((1, block.stride), (2, 1)):
            branch, kinds = rectify(branch, kinds), rectified_type(kinds)
            norm = CapsuleNorm(kinds, self.batch_norm, name=f"norm{number}")
            branch = SteerableConvolution(
                kinds, block.outputs, 3, self.group, stride, 1, name=f"conv{number}"
            )(norm(branch, train=train))
            kinds = block.outputs
        if block.stride > 1 or block.inputs != block.outputs:
            x = SteerableConvolution(
                block.inputs, block.outputs, 1, self.group, block.stride, name="shortcut"
            )(x)
        return x + branch


class SteerableCNN(nn.Module):
    """A stem, blocks, and a classifier that sees invariant features only.

    Attributes:
        num_classes: outputs of the classifier row.
        input_shape: height, width, channels of the images it is built for.
        table: the rows, the classifier last.
        group: ``p4`` or ``p4m``.
        batch_norm: epsilon and momentum; one mean and variance a capsule.
    """

    num_classes: int = 10
    input_shape: ImageShape = (32, 32, 3)
    table: tuple[Any, ...] = steerable_table(1, (1, 2, 4))
    group: str = "p4m"
    batch_norm: BatchNorm = BatchNorm(epsilon=1e-5, momentum=0.9)

    @nn.compact
    def __call__(self, images: Images, *, train: bool) -> Logits:
        """Return class scores, [N, num_classes].

        Args:
            images: preprocessed images, [N, H, W, C].
            train: normalise by the batch and update the running statistics.

        Raises:
            ValueError: the images, or what a layer makes of them, do not fit; the
                message names the layer.
        """
        check_images(images, self.input_shape)
        check_names(self.table)
        x = images
        for row in self.table:
            if x.ndim != 4:
                raise ValueError(
                    f"{row.name}: it takes features [N, H, W, channels]; its input has "
                    f"shape {x.shape[1:]} for each image"
                )
            with named(row, x.shape):
                x = self._row(row, x, train=train)
        return x

    def _row(self, row: Any, x: Features, *, train: bool) -> Features:
        match row:
            case SteerableStem():
                image = (Capsules("a1", x.shape[-1]),)
                return SteerableConvolution(
                    image, row.outputs, 3, self.group, padding=1, name=row.name
                )(x)
            case SteerableBlock() | SteerableClassifier():
                try:
                    check_type(x, row.inputs)
                except ValueError as error:
                    raise ValueError(f"{row.name}: {error}") from None
        if isinstance(row, SteerableBlock):
            block = ResidualBlock(row, self.group, self.batch_norm, name=row.name)
            return block(x, train=train)
        if isinstance(row, SteerableClassifier):
            x, kinds = rectify(x, row.inputs), rectified_type(row.inputs)
            norm = CapsuleNorm(kinds, self.batch_norm, name=f"{row.name}_norm")
            features = capsule_mean(norm(x, train=train), kinds).mean((1, 2))
            return nn.Dense(self.num_classes, kernel_init=he, name=row.name)(features)
        raise TypeError(f"{row!r} is not a row of SteerableCNN")


_protocol = "26 layers, flips and crops in training"
MODELS = {
    "steerable_cnn": ModelSpec(
        build=SteerableCNN,
        input_shape=(32, 32, 3),
        num_classes=10,
        parameters=None,
        macs=None,
        paper="Cohen & Welling",
        year=2017,
        source="Steerable CNNs, ICLR 2017; the numbers of capsules are ours",
        published=(
            Published(
                top1=3.65, protocol=f"CIFAR-10 test, {_protocol}", source="arXiv 1612.08498"
            ),
            Published(
                top1=18.82,
                protocol=f"CIFAR-100 test, {_protocol}",
                source="arXiv 1612.08498",
            ),
        ),
    ),
}
