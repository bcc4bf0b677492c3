"""Rotated MNIST, made from MNIST.

Source:
    Larochelle, Erhan, Courville, Bergstra and Bengio. An Empirical Evaluation of Deep
    Architectures on Problems with Many Factors of Variation. ICML 2007. Section 4.1:
    digits of MNIST turned by angles drawn uniformly from [0, 2 pi); 10,000 images for
    training, 2,000 for validation and 50,000 for testing, 28 x 28 pixels. (Section and
    rule from memory; the sizes are those that the users of the file take.)

Departures:
    It is not the published file but a set made by the same rule. What the paper does not
    print, we chose: the 62,000 digits are drawn without replacement from MNIST's 60,000
    and 10,000 together; a digit is turned about the middle of its image, bilinearly; what
    comes from outside the image is black. (The file that is used in the literature was
    made anew after the paper, "mnist_rotation_new".)

The set is a function of MNIST and a seed, bitwise the same everywhere: draws are raw bits
of a published generator (``data/order.py``), angles have 53 bits, and after the cosines
and sines have been rounded to multiples of 2^-20 all arithmetic is of whole numbers.
"""

from pathlib import Path

import numpy as np

from cnn_jax.data.dataset import Dataset, Split, Splits
from cnn_jax.data.fingerprint import fingerprint
from cnn_jax.data.idx import MAX_PADDING, SIDE, open_mnist
from cnn_jax.data.order import random_order
from cnn_jax.data.pixels import check_shape, pad_grey, resize_grey, with_channels
from cnn_jax.errors import UserError
from cnn_jax.types import ImageShape

SIZES = (10_000, 2_000, 50_000)  # training, validation, test
SEED = 2007  # of the set behind the name ``rotated_mnist``
ANGLES = 1 << 64  # added to the seed: the key of the angles, beside that of the order

TURN_BITS = 20  # of cosine and sine; then a place has 21 bits, for half pixels
PLACE_BITS = 11  # of a place between two pixels: 2 * 11 + 8 bits of a product fit int32
CHUNK = 2_048  # images turned at a time: bounds the memory, not the result


def open_rotated_mnist(data_dir: Path | None) -> Dataset:
    """Open ``rotated_mnist`` from a directory with the four IDX files of MNIST.

    ``read`` puts the 28x28 images into a black frame where the requested height and width
    are 28 to 36, and resizes them bilinearly to anything else, as ``mnist`` does.

    Raises:
        UserError: no such directory or file, a file that is not what it should be, or
            fewer than 62,000 digits.
    """
    if data_dir is None:
        raise UserError(
            "rotated_mnist needs --data-dir; expected a directory with the four IDX files"
            " of MNIST, from which it is made"
        )
    mnist = open_mnist(data_dir).read((SIDE, SIDE, 1))
    digits = Split(
        np.concatenate([split.images[..., 0] for split in mnist]),
        np.concatenate([split.labels for split in mnist]),
    )
    if len(digits.labels) < sum(SIZES):
        raise UserError(
            f"rotated_mnist draws {sum(SIZES)} digits; {data_dir} holds only"
            f" {len(digits.labels)}"
        )
    turned = turned_splits(digits, SEED, SIZES)

    def read(shape: ImageShape) -> Splits:
        check_shape(shape)
        height, width, channels = shape
        framed = range(SIDE, SIDE + 2 * MAX_PADDING + 1)
        fit = pad_grey if height in framed and width in framed else resize_grey
        return Splits(
            *(
                Split(with_channels(fit(s.images, height, width), channels), s.labels)
                for s in turned
            )
        )

    return Dataset(
        name="rotated_mnist",
        label="rotated MNIST",
        classes=tuple("0123456789"),
        channels=1,
        fingerprint=fingerprint(
            (f"{split} {part}", np.ascontiguousarray(array).tobytes())
            for split, arrays in turned._asdict().items()
            for part, array in zip(
                ("images", "labels"),
                (arrays.images, arrays.labels.astype(np.uint8)),
                strict=True,
            )
        ),
        read=read,
    )


def turned_splits(digits: Split, seed: int, sizes: tuple[int, int, int]) -> Splits:
    """Return digits drawn without replacement, each turned by an angle of its own.

    Args:
        digits: images uint8 [N, size, size], labels int32 [N].
        seed: 0 to 2**64 - 1.
        sizes: examples for training, validation and test; at most N together.

    Returns:
        Splits of images uint8 [n, size, size].
    """
    chosen = random_order(len(digits.labels), seed)[: sum(sizes)]
    images = turn(digits.images[chosen], uniform_angles(len(chosen), seed))
    labels = digits.labels[chosen]
    first, second, end = np.cumsum(sizes)
    return Splits(
        Split(images[:first], labels[:first]),
        Split(images[first:second], labels[first:second]),
        Split(images[second:end], labels[second:end]),
    )


def uniform_angles(count: int, seed: int) -> np.ndarray:
    """Return angles in radians, uniform in [0, 2 pi), float64 [count]."""
    bits = np.random.Philox(key=seed + ANGLES).random_raw(count)
    return 2.0 * np.pi * ((bits >> np.uint64(11)) / 2.0**53)


def turn(images: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Turn each image counter-clockwise about its middle; black comes in from outside.

    A pixel gets the bilinear mean of the four pixels around the place where it was, to
    the nearest grey level. A place is rounded to 2^-11 of a pixel.

    Args:
        images: uint8 [N, size, size], size 2 to 64.
        angles: radians, float64 [N].

    Returns:
        uint8 [N, size, size]; a quarter turn is exactly ``numpy.rot90``.

    Raises:
        ValueError: images that are not square, or larger than 64 x 64.
    """
    _, size, width = images.shape
    if size != width or not 2 <= size <= 64:  # places of 64 pixels still fit into int32
        raise ValueError(f"images are {size} x {width}; squares of 2 to 64 pixels turn")
    chunks = range(0, len(images), CHUNK)
    parts = [_turn(images[i : i + CHUNK], angles[i : i + CHUNK]) for i in chunks]
    return np.concatenate(parts) if parts else images.copy()


def _turn(images: np.ndarray, angles: np.ndarray) -> np.ndarray:
    count, size, _ = images.shape
    cosine, sine = (
        np.rint(f(angles) * 2**TURN_BITS).astype(np.int32)[:, None, None]
        for f in (np.cos, np.sin)
    )
    # Half pixels from the middle; rows count downwards, so a counter-clockwise turn takes
    # (row, column) to (c row - s column, s row + c column). Here its inverse.
    line = 2 * np.arange(size, dtype=np.int32) - (size - 1)
    down, right = line[:, None], line[None, :]
    margin = size // 4 + 2  # the corners of a turned image lie (sqrt(2) - 1) / 2 outside
    middle = (size - 1 + 2 * margin) << TURN_BITS
    rows, row_share = _place(middle + cosine * down + sine * right)
    columns, column_share = _place(middle - sine * down + cosine * right)

    sides = (margin, margin + 1)
    padded = np.pad(images, ((0, 0), sides, sides)).reshape(-1)
    stride = size + sum(sides)
    place = np.arange(count, dtype=np.int32)[:, None, None] * stride**2
    place = place + rows * stride + columns
    one = 1 << PLACE_BITS

    def across(offset: int) -> np.ndarray:
        left, right = padded[place + offset], padded[place + offset + 1]
        return (one - column_share) * left + column_share * right

    sums = (one - row_share) * across(0) + row_share * across(stride)
    half = 1 << (2 * PLACE_BITS - 1)
    return ((sums + half) >> (2 * PLACE_BITS)).astype(np.uint8)


def _place(halves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return pixel and share of the next one, of places in 2^-21 pixels."""
    drop = TURN_BITS + 1 - PLACE_BITS
    rounded = (halves + (1 << (drop - 1))) >> drop
    return rounded >> PLACE_BITS, rounded & ((1 << PLACE_BITS) - 1)
