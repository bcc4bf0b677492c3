"""MNIST with every digit as wide as every other: the inputs of an MCDNN's columns.

Source:
    Ciresan, Meier and Schmidhuber. Multi-column Deep Neural Networks for Image
    Classification. CVPR 2012, Section 3.1: digits whose bounding boxes are 10, 12, 14, 16,
    18 or 20 pixels wide "remove variations in the data caused by the slant" of a writer's
    hand, and add six kinds of columns to that of the digits as they are.

The paper does not say how. Here the pixels of a digit's bounding box are resized across,
bilinearly, rows stay rows, and the box is put into the middle of the image's width.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cnn_jax.data.dataset import Dataset, Split, Splits
from cnn_jax.data.idx import SIDE, open_mnist
from cnn_jax.data.pixels import (
    MAX_PADDING,
    check_shape,
    pad_grey,
    resize_grey,
    with_channels,
)
from cnn_jax.types import ImageShape

WIDTHS = (10, 12, 14, 16, 18, 20)
"""Of the paper's columns, in pixels."""


def normalize_width(images: np.ndarray, width: int) -> np.ndarray:
    """Return grey images with digits of one width, in the middle of their columns.

    Args:
        images: uint8 [N, H, W], black (0) around the digits. An image that is all black
            stays so.
        width: of the digits in pixels.

    Raises:
        ValueError: the width is not 1 to W.
    """
    if not 1 <= width <= images.shape[2]:
        raise ValueError(f"width {width} is not in 1 ... {images.shape[2]} pixels")
    left = (images.shape[2] - width) // 2
    normalized = np.zeros_like(images)
    for before, after in zip(images, normalized, strict=True):
        columns = np.flatnonzero(before.any(axis=0))
        if len(columns):
            digit = before[None, :, columns[0] : columns[-1] + 1]
            after[:, left : left + width] = resize_grey(digit, len(before), width)[0]
    return normalized


def opener(width: int) -> Callable[[Path | None], Dataset]:
    """Return the function that opens MNIST with digits ``width`` pixels wide.

    The dataset has the fingerprint of MNIST, whose images it is made of one by one: so
    columns of different widths can vote. Its name is another, and so are its runs.
    """

    def open_normalized(data_dir: Path | None) -> Dataset:
        mnist = open_mnist(data_dir)

        def read(shape: ImageShape) -> Splits:
            check_shape(shape)
            return Splits(
                *(_read(split, shape, width) for split in mnist.read((SIDE, SIDE, 1)))
            )

        return dataclasses.replace(
            mnist,
            name=f"mnist_width{width}",
            label=f"MNIST, digits {width} pixels wide",
            read=read,
            pictures=None,
        )

    return open_normalized


def _read(split: Split, shape: ImageShape, width: int) -> Split:
    height, across, channels = shape
    images = normalize_width(split.images[..., 0], width)
    padded = range(SIDE, SIDE + 2 * MAX_PADDING + 1)  # as ``mnist`` does
    fit = pad_grey if height in padded and across in padded else resize_grey
    return split._replace(images=with_channels(fit(images, height, across), channels))
