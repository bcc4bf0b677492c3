"""What a training step takes its examples from: the device, or what is handed to it."""

from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Int, PyTree

from cnn_jax.types import Labels, Pixels


class TrainData(NamedTuple):
    """What every training step gets, whichever examples it takes.

    Attributes:
        images: uint8 pixels of all examples; None where batches are streamed.
        labels: of all examples; None where batches are streamed.
        facts: arrays that ``prepare`` needs (mean image, colour components, ...).
    """

    images: Pixels | None
    labels: Labels | None
    facts: PyTree


class Rows(NamedTuple):
    """The examples of a batch themselves, where the split does not lie on the device.

    Attributes:
        images: uint8 pixels, [pieces, rows, H, W, C].
        labels: [pieces, rows], or more axes where a label is no number.
    """

    images: Any
    labels: Any


Taken = Int[Array, "pieces rows"] | Rows
"""What a step takes: positions in the training split on the device, or examples."""


def examples(data: TrainData, piece: Taken) -> tuple[Pixels, Labels]:
    """Return pixels and labels of one piece: positions [rows], or its ``Rows``.

    Raises:
        ValueError: positions, but the split is not on the device.
    """
    if isinstance(piece, Rows):
        return piece.images, piece.labels
    if data.images is None or data.labels is None:
        raise ValueError("positions were given, but the training split is not there")
    return data.images[piece], data.labels[piece]


def pieces_of(taken: Taken) -> int:
    """Return how many pieces a batch comes in."""
    return len(jax.tree.leaves(taken)[0])  # the length of a tuple is another thing


def first_piece(taken: Taken) -> Taken:
    """Return the first piece of a batch."""
    piece: Taken = jax.tree.map(lambda leaf: leaf[0], taken)
    return piece
