import hashlib

import numpy as np
import pytest

from cnn_jax.data import rotated_mnist
from cnn_jax.data.dataset import Split
from cnn_jax.data.rotated_mnist import (
    open_rotated_mnist,
    turn,
    turned_splits,
    uniform_angles,
)
from cnn_jax.errors import UserError
from tests.data.test_idx import files as files
from tests.data.test_idx import folder as folder


def turned_by_loops(image, angle):
    """Bilinear in float64: the value at the place from which each pixel came."""
    size, middle = len(image), (len(image) - 1) / 2
    result = np.zeros(image.shape)

    def value(row, column):
        inside = 0 <= row < size and 0 <= column < size
        return float(image[row, column]) if inside else 0.0

    for r, c in np.ndindex(image.shape):
        # x to the right, y upwards; back by the angle.
        place = complex(c - middle, middle - r) * np.exp(-1j * angle)
        row, column = middle - place.imag, middle + place.real
        top, left = int(np.floor(row)), int(np.floor(column))
        down, right = row - top, column - left
        upper = (1 - right) * value(top, left) + right * value(top, left + 1)
        lower = (1 - right) * value(top + 1, left) + right * value(top + 1, left + 1)
        result[r, c] = (1 - down) * upper + down * lower
    return result


@pytest.mark.parametrize("size", [2, 7, 28, 64])
def test_quarter_turns_are_exact(draw, size):
    images = np.repeat(draw.integers(0, 256, (1, size, size), np.uint8), 4, axis=0)
    turned = turn(images, np.arange(4) * np.pi / 2)
    for k in range(4):
        assert (turned[k] == np.rot90(images[k], k)).all()


def test_other_turns_are_bilinear_to_the_nearest_grey_level(draw):
    images = draw.integers(0, 256, (5, 9, 9), np.uint8)
    angles = draw.uniform(0, 2 * np.pi, 5)
    for image, angle, turned in zip(images, angles, turn(images, angles), strict=True):
        # Half a level for rounding; 2^-11 pixels of noise with steps of up to 255.
        expected = turned_by_loops(image, angle)
        np.testing.assert_allclose(turned, expected, rtol=0, atol=0.5 + 2 * 255 / 2**11)


def test_the_chunks_do_not_show(draw, monkeypatch):
    images, angles = draw.integers(0, 256, (7, 5, 5), np.uint8), draw.uniform(0, 6, 7)
    whole = turn(images, angles)
    monkeypatch.setattr(rotated_mnist, "CHUNK", 3)
    assert (turn(images, angles) == whole).all()
    assert turn(images[:0], angles[:0]).shape == (0, 5, 5)


def test_angles_are_uniform():
    angles = uniform_angles(100_000, seed=3)
    assert angles.min() >= 0
    assert angles.max() < 2 * np.pi
    counts = np.histogram(angles, 20, (0, 2 * np.pi))[0]
    # 20 bins of 5,000: chi-square with 19 degrees of freedom exceeds 44 once in 1,000.
    assert ((counts - 5000) ** 2 / 5000).sum() < 44
    assert not (angles[:10] == uniform_angles(10, seed=4)).any()
    assert (angles[:10] == uniform_angles(10, seed=3)).all()


def test_no_digit_is_drawn_twice_and_labels_stay_with_their_digits():
    # Image k is uniformly k, so that its middle says which one it was.
    digits = Split(
        np.broadcast_to(np.arange(50, dtype=np.uint8)[:, None, None], (50, 5, 5)),
        np.arange(50, dtype=np.int32),
    )
    splits = turned_splits(digits, 1, (20, 5, 15))
    assert [len(s.labels) for s in splits] == [20, 5, 15]
    labels = np.concatenate([s.labels for s in splits])
    assert len(set(labels)) == 40
    assert (np.concatenate([s.images for s in splits])[:, 2, 2] == labels).all()
    other = turned_splits(digits, 2, (20, 5, 15))
    assert (other.train.labels != splits.train.labels).any()


def test_the_set_is_the_same_on_every_machine():
    pattern = (np.arange(40 * 28 * 28) * 37 % 251).astype(np.uint8).reshape(40, 28, 28)
    splits = turned_splits(Split(pattern, np.arange(40, dtype=np.int32)), 0, (20, 5, 15))
    digest = hashlib.sha256(b"".join(s.images.tobytes() for s in splits))
    assert digest.hexdigest() == (
        "a4a3d8266419eba153b036df6dfae1ebb4d59da4d02d982bafea5d4797bfdb01"
    )


def test_it_is_read_like_mnist(folder, monkeypatch):
    monkeypatch.setattr(rotated_mnist, "SIZES", (30, 10, 60))
    dataset = open_rotated_mnist(folder)
    splits = dataset.read((28, 28, 1))
    assert [s.images.shape for s in splits] == [(n, 28, 28, 1) for n in (30, 10, 60)]
    assert splits.test.labels.dtype == np.int32
    framed = dataset.read((32, 32, 3)).test.images
    assert (framed[:, 2:-2, 2:-2, 1:2] == splits.test.images).all()
    assert dataset.read((14, 14, 1)).train.images.shape == (30, 14, 14, 1)
    assert dataset.fingerprint == open_rotated_mnist(folder).fingerprint
    monkeypatch.setattr(rotated_mnist, "SEED", 1)
    assert dataset.fingerprint != open_rotated_mnist(folder).fingerprint


def test_a_mistake_gets_one_clear_line(folder):
    with pytest.raises(UserError, match="rotated_mnist needs --data-dir"):
        open_rotated_mnist(None)
    with pytest.raises(UserError, match=r"draws 62000 digits; .* holds only 5017"):
        open_rotated_mnist(folder)
    with pytest.raises(ValueError, match="5 x 6; squares"):
        turn(np.zeros((1, 5, 6), np.uint8), np.zeros(1))
