import gzip
import struct

import numpy as np
import pytest

from cnn_jax.data.datasets import open_dataset
from cnn_jax.data.width_normalized import WIDTHS, normalize_width


def box(image):
    """First and last column that is not black."""
    columns = np.flatnonzero(image.any(axis=0))
    return columns[0], columns[-1]


def test_every_digit_gets_the_width_and_the_middle(draw):
    images = np.zeros((30, 28, 28), np.uint8)
    for i, image in enumerate(images):
        left, width = draw.integers(0, 12), draw.integers(1, 17)
        image[4 : 5 + i % 20, left : left + width] = draw.integers(
            100, 256, (1 + i % 20, width)
        )
    for width in WIDTHS:
        found = normalize_width(images, width)
        left = (28 - width) // 2
        assert [box(image) for image in found] == [(left, left + width - 1)] * len(found)
        # Rows stay rows.
        np.testing.assert_array_equal(found.any(2), images.any(2))


def test_a_digit_of_the_width_is_only_moved(draw):
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 3:20, 1:13] = draw.integers(1, 256, (17, 12))
    found = normalize_width(image, 12)
    np.testing.assert_array_equal(found[0, :, 8:20], image[0, :, 1:13])


def test_a_bar_of_twice_the_width_is_averaged():
    image = np.zeros((1, 2, 28), np.uint8)
    image[0, 0, 4:24] = np.repeat([0, 100], 10)[::-1]  # 20 pixels: a step
    image[0, 1, 4:24] = 50
    found = normalize_width(image, 10)
    np.testing.assert_array_equal(found[0, 1, 9:19], 50)
    # A falling step, the same on both sides of its middle.
    row = found[0, 0, 9:19].astype(int)
    assert (np.diff(row) <= 0).all()
    np.testing.assert_allclose(row + row[::-1], 100, atol=1)  # rounded to whole levels


def test_a_black_image_stays_black_and_an_impossible_width_is_refused():
    black = np.zeros((1, 28, 28), np.uint8)
    np.testing.assert_array_equal(normalize_width(black, 10), black)
    for width in (0, 29):
        with pytest.raises(ValueError, match=rf"width {width} is not in 1 \.\.\. 28"):
            normalize_width(black, width)


def test_the_dataset_is_mnist_digit_by_digit(tmp_path, draw):
    for part, count in (("train", 5_001), ("t10k", 3)):
        images = np.zeros((count, 28, 28), np.uint8)
        images[:, 5:20, 7:22] = draw.integers(1, 256, (count, 15, 15))
        labels = draw.integers(0, 10, count).astype(np.uint8)
        for kind, magic, array in (
            ("images-idx3", 2051, images),
            ("labels-idx1", 2049, labels),
        ):
            head = struct.pack(f">{1 + array.ndim}I", magic, *array.shape)
            content = gzip.compress(head + array.tobytes(), compresslevel=1)
            (tmp_path / f"{part}-{kind}-ubyte.gz").write_bytes(content)
    mnist, narrow = (open_dataset(n, tmp_path) for n in ("mnist", "mnist_width10"))
    assert narrow.name == "mnist_width10"
    assert narrow.fingerprint == mnist.fingerprint  # so that columns can vote
    before, after = mnist.read((29, 29, 1)), narrow.read((29, 29, 1))
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old.labels, new.labels)
        assert new.images.shape == old.images.shape
    digit = after.test.images[1, ..., 0]
    assert box(digit) == (9, 18)
    np.testing.assert_array_equal(digit.any(1), before.test.images[1, ..., 0].any(1))
