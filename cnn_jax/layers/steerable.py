"""Steerable convolution: filters from a basis of intertwiners.

Source:
    Cohen and Welling. Steerable CNNs. ICLR 2017 (arXiv 1612.08498). Section 2.4 (a filter
    bank is a combination of basis filters, with learned coefficients), 2.6 (capsules), 2.8
    (nonlinearities: ReLU where the group exchanges coordinates, CReLU where it also changes
    signs).

Features are [N, H, W, channels]. Their type, a tuple of ``Capsules``, says what the
channels are: one block a kind, within it the coordinates of the kind, and within these the
copies ([d, copies], as [orientations, maps] of a group convolution).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from cnn_jax.layers.batch_norm import BatchNorm, BatchNormalization
from cnn_jax.maths.geometry import output_size
from cnn_jax.maths.intertwiners import RECTIFIED, dimension, intertwiners, is_permutation
from cnn_jax.maths.plane_groups import plane_group
from cnn_jax.types import Features, Key


@dataclass(frozen=True)
class Capsules:
    """Some copies of one kind of fibre.

    Attributes:
        kind: of ``maths.intertwiners.KINDS``, or a rectified one.
        copies: how many, at least 1.
    """

    kind: str
    copies: int

    def __post_init__(self) -> None:
        dimension(self.kind)  # refuses an unknown kind
        if self.copies < 1:
            raise ValueError(f"{self.kind}: {self.copies} copies; at least 1 is needed")

    @property
    def channels(self) -> int:
        """Coordinates of all copies."""
        return self.copies * dimension(self.kind)


Type = tuple[Capsules, ...]


def channels_of(kinds: Type) -> int:
    """Return the number of channels of a type."""
    return sum(capsules.channels for capsules in kinds)


def check_type(x: Features, kinds: Type) -> None:
    """Raise ``ValueError`` unless ``x`` has as many channels as its type."""
    if x.shape[-1] != channels_of(kinds):
        words = ", ".join(f"{c.copies} {c.kind}" for c in kinds)
        raise ValueError(
            f"its input has {x.shape[-1]} channels; {channels_of(kinds)} are needed, of the"
            f" type {words}"
        )


def blocks(x: Features, kinds: Type) -> Iterator[tuple[Capsules, Features]]:
    """Yield each kind with its channels as [N, H, W, d, copies].

    Raises:
        ValueError: the features do not have the channels of the type.
    """
    check_type(x, kinds)
    start = 0
    for capsules in kinds:
        part = x[..., start : start + capsules.channels]
        yield capsules, part.reshape(*x.shape[:-1], -1, capsules.copies)
        start += capsules.channels


def rectified_type(kinds: Type) -> Type:
    """Return the type of what ``rectify`` returns."""
    return tuple(
        c if is_permutation(c.kind) else Capsules(RECTIFIED + c.kind, c.copies)
        for c in kinds
    )


def rectify(x: Features, kinds: Type) -> Features:
    """Return ReLU of the kinds whose coordinates are exchanged, CReLU of the signed ones.

    Args:
        x: [N, H, W, channels].
        kinds: the type of ``x``; that of the result is ``rectified_type(kinds)``.
    """
    parts = []
    for capsules, block in blocks(x, kinds):
        both = block
        if not is_permutation(capsules.kind):
            both = jnp.concatenate([block, -block], axis=-2)
        parts.append(nn.relu(both).reshape(*x.shape[:-1], -1))
    return jnp.concatenate(parts, axis=-1)


def capsule_mean(x: Features, kinds: Type) -> Features:
    """Return the mean coordinate of each capsule: it does not change with the group.

    Args:
        x: [N, H, W, channels], of kinds whose coordinates are only exchanged.
        kinds: the type of ``x``.

    Returns:
        [N, H, W, copies of all kinds].
    """
    return jnp.concatenate([block.mean(-2) for _, block in blocks(x, kinds)], axis=-1)


class CapsuleNorm(nn.Module):
    """Batch normalisation with one mean and variance a capsule, not a coordinate.

    Equivariant for kinds whose coordinates are only exchanged.

    Attributes:
        kinds: the type of the input.
        batch_norm: epsilon and momentum.
    """

    kinds: Type
    batch_norm: BatchNorm

    @nn.compact
    def __call__(self, x: Features, *, train: bool) -> Features:
        """Return an array of the same shape.

        Raises:
            ValueError: a kind with changes of sign.
        """
        parts = []
        for capsules, block in blocks(x, self.kinds):
            if not is_permutation(capsules.kind):
                raise ValueError(f"{capsules.kind} changes signs: it has no mean to take")
            norm = BatchNormalization(self.batch_norm, name=capsules.kind)
            parts.append(norm(block, train=train).reshape(*x.shape[:-1], -1))
        return jnp.concatenate(parts, axis=-1)


class FilterBank(NamedTuple):
    """All steerable filters between two types, as one gather.

    Basis filters do not overlap, so each entry of a kernel is one coefficient times a
    number.

    Attributes:
        places: which coefficient, int32 [k, k, in, out].
        factors: times what, float32 [k, k, in, out]; 0 where no filter reaches.
        deviations: of the initial coefficients, float32 [coefficients]: with them an output
            has the variance of He et al. 2015.
    """

    places: np.ndarray
    factors: np.ndarray
    deviations: np.ndarray


@lru_cache(maxsize=128)
def filter_bank(group: str, inputs: Type, outputs: Type, size: int) -> FilterBank:
    """Return the filters between two types.

    Coefficients are [basis filters, copies in, copies out] for each pair of kinds.

    Args:
        group: ``p4`` or ``p4m``.
        inputs: type of the input.
        outputs: type of the output.
        size: edge of the window in pixels.

    Raises:
        ValueError: no filter leads to some output.
    """
    shape = (size, size, channels_of(inputs), channels_of(outputs))
    places, factors = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
    deviations: list[np.ndarray] = []
    start = column = 0
    for after in outputs:
        bases = [
            intertwiners(plane_group(group), before.kind, after.kind, size)
            for before in inputs
        ]
        # How many coefficients reach one capsule; each basis filter has norm 1, shared by
        # the coordinates of the output.
        counts = [len(b) * c.copies for b, c in zip(bases, inputs, strict=True)]
        if not sum(counts):
            raise ValueError(f"no filter of {size} x {size} pixels leads to {after.kind}")
        deviation = math.sqrt(2.0 * dimension(after.kind) / sum(counts))
        here = (..., slice(column, column + after.channels))
        row = 0
        for before, basis, count in zip(inputs, bases, counts, strict=True):
            there = (slice(None), slice(None), slice(row, row + before.channels))
            if count:
                copies = np.arange(count * after.copies).reshape(
                    -1, before.copies, after.copies
                )
                # [k, k, d in, copies in, d out, copies out]
                which = copies[np.abs(basis).argmax(0)].transpose(0, 1, 2, 4, 3, 5)
                factor = np.broadcast_to(basis.sum(0)[:, :, :, None, :, None], which.shape)
                block = (size, size, before.channels, after.channels)
                places[there][here] = start + which.reshape(block)
                factors[there][here] = factor.reshape(block)
            row += before.channels
            start += count * after.copies
            deviations.append(np.full(count * after.copies, deviation, np.float32))
        column += after.channels
    return FilterBank(places, factors, np.concatenate(deviations))


class SteerableConvolution(nn.Module):
    """Correlate with learned combinations of intertwiners.

    Parameter: ``coefficients`` of the basis filters, in the order of ``filter_bank``. No
    biases: a normalisation follows.

    Attributes:
        inputs: type of the input.
        outputs: type of the output.
        kernel_size: edge of the square window in pixels.
        group: ``p4`` or ``p4m``.
        stride: in pixels.
        padding: zeros on each side in pixels.
    """

    inputs: Type
    outputs: Type
    kernel_size: int
    group: str
    stride: int = 1
    padding: int = 0

    @nn.compact
    def __call__(self, x: Features) -> Features:
        """Return [N, H', W', channels of the output's type].

        Raises:
            ValueError: the input is not of its type, or no filter leads to some output;
                the message begins with the layer's name.
            WindowError: the kernel is larger than the padded input.
        """
        for edge in x.shape[1:3]:
            output_size(edge, self.kernel_size, self.stride, self.padding)
        try:
            check_type(x, self.inputs)
            bank = filter_bank(self.group, self.inputs, self.outputs, self.kernel_size)
        except ValueError as error:
            raise ValueError(f"{'/'.join(self.path)}: {error}") from None

        def drawn(key: Key, deviations: np.ndarray) -> Array:
            return jax.random.normal(key, deviations.shape, jnp.float32) * deviations

        coefficients = self.param("coefficients", drawn, bank.deviations)
        sides = (self.padding, self.padding)
        return lax.conv_general_dilated(
            x,
            planar_kernel(coefficients, bank).astype(x.dtype),
            (self.stride, self.stride),
            (sides, sides),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )

    def multiply_adds(self, output_shape: tuple[int, ...]) -> int:
        """Return the multiply-adds of the planar convolution."""
        return math.prod(output_shape) * self.kernel_size**2 * channels_of(self.inputs)


def planar_kernel(coefficients: Array, bank: FilterBank) -> Array:
    """Return the kernel that coefficients make of the basis filters, [k, k, in, out]."""
    chosen: Array = jnp.asarray(coefficients).at[bank.places].get(mode="promise_in_bounds")
    return jnp.multiply(chosen, bank.factors)
