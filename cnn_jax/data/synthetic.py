"""Made-up images that are easy to tell apart, for tests."""

import numpy as np

from cnn_jax.data.dataset import Dataset, Split, Splits
from cnn_jax.data.fingerprint import fingerprint
from cnn_jax.data.pixels import check_shape
from cnn_jax.types import ImageShape

TRAIN, VALIDATION, TEST = 512, 128, 128
CLASSES = 10
GRID = 4  # cells a side of a class's pattern
KEY = 19_980  # of the random bits


def random_bytes(count: int, key: int) -> np.ndarray:
    """Return ``count`` random bytes, uint8, fixed by ``key`` (raw Philox bits)."""
    words = np.random.Philox(key=key).random_raw(-(-count // 8))
    # "<u8" so that a big-endian machine cuts the words into the same bytes.
    return words.astype("<u8").view(np.uint8)[:count]


def open_synthetic() -> Dataset:
    """Open ``synthetic``: 512 training, 128 validation, 128 test images of ten classes.

    A class is a fixed 4x4 grid of grey levels (64 or 192 in each cell, another grid for
    each channel), enlarged to the requested shape; an image is its class's grid plus
    uniform noise of -32 to 31. Everything is a function of the shape alone.
    """
    counts = (TRAIN, VALIDATION, TEST)
    total = sum(counts)

    def read(shape: ImageShape) -> Splits:
        check_shape(shape)
        height, width, channels = shape
        cells = random_bytes(CLASSES * GRID * GRID * 3, KEY) // 128
        grids = (64 + 128 * cells.astype(np.int16)).reshape(CLASSES, GRID, GRID, 3)
        rows = np.arange(height) * GRID // height
        columns = np.arange(width) * GRID // width
        patterns = grids[:, rows][:, :, columns, :channels]
        # Each split has its classes in turn: balanced, and in no order by accident.
        labels = np.concatenate([np.arange(count) % CLASSES for count in counts])
        noise = random_bytes(total * height * width * channels, KEY + 1) // 4
        images = patterns[labels].astype(np.int16) + noise.reshape(total, *shape) - 32
        parts = np.split(np.arange(total), np.cumsum(counts)[:-1])
        pixels, labels = images.astype(np.uint8), labels.astype(np.int32)
        return Splits(*(Split(pixels[part], labels[part]) for part in parts))

    return Dataset(
        name="synthetic",
        label="synthetic",
        classes=tuple(str(c) for c in range(CLASSES)),
        channels=1,
        # The images depend on the shape asked for; these numbers are what fixes them.
        fingerprint=fingerprint([("rule", f"{counts} {CLASSES} {GRID} {KEY}".encode())]),
        fingerprint_rule="the numbers that the images are made by",
        read=read,
    )
