"""Scanning: each place is its window by itself, and a shifted image shifts the map."""

import numpy as np
import pytest

from cnn_jax.errors import UserError
from cnn_jax.evaluation.scan import scan
from tests.evaluation.small_networks import (
    PADDED,
    UNPADDED,
    logits,
    network,
    softmax,
    windows_of,
)

TOLERANCE = 1e-5  # float32 sums of a hundred terms of unit size, in another order


@pytest.fixture(scope="module")
def networks():
    mean_image = np.random.default_rng(5).random((14, 14, 1)).astype(np.float32)
    return {
        "unpadded": network(UNPADDED),
        "padded": network(PADDED),
        "mean image": network(UNPADDED, mean=mean_image),
    }


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(6).integers(0, 256, (31, 43, 1), np.uint8)


@pytest.mark.parametrize(
    ("name", "step", "means", "places"),
    [
        ("unpadded", None, "convolution", (5, 8)),  # (31 - 14) // 4 + 1, (43 - 14) // 4 + 1
        ("unpadded", 8, "convolution", (3, 4)),
        ("unpadded", 5, "windows", (4, 6)),
        ("padded", None, "windows", (9, 15)),
        ("padded", 7, "windows", (3, 5)),
        ("mean image", 4, "windows", (5, 8)),
    ],
)
def test_every_place_is_its_window_by_itself(name, step, means, places, networks, image):
    net = networks[name]
    found = scan(net, image, step=step, batch_size=16)
    assert found.means == means
    assert found.log_probabilities.shape == (*places, 3)
    windows = windows_of(image, (14, 14), found.step)
    assert windows.shape[:2] == places
    expected = softmax(logits(net, windows.reshape(-1, 14, 14, 1))).reshape(*places, 3)
    np.testing.assert_allclose(
        np.exp(found.log_probabilities), expected, atol=TOLERANCE, rtol=TOLERANCE
    )
    assert list(found.tops) == list(range(0, 31 - 13, found.step))
    assert list(found.lefts) == list(range(0, 43 - 13, found.step))


@pytest.mark.parametrize("name", ["unpadded", "padded"])
def test_an_image_shifted_by_the_stride_shifts_the_map_by_one(name, networks, image):
    net = networks[name]
    whole = scan(net, image)
    stride = whole.step
    # Down and to the right; what comes in at the border is new.
    shifted = np.roll(image, (stride, stride), axis=(0, 1))
    moved = scan(net, shifted)
    np.testing.assert_allclose(
        moved.log_probabilities[1:, 1:],
        whole.log_probabilities[:-1, :-1],
        atol=TOLERANCE,
        rtol=TOLERANCE,
    )
    # And not by less: the map is no constant.
    there = whole.log_probabilities
    assert np.abs(moved.log_probabilities[1:, 1:] - there[1:, 1:]).max() > 0.1


def test_batches_of_any_size_give_the_same(networks, image):
    small = image[:18, :20]  # 3 x 4 windows
    found, expected = (scan(networks["padded"], small, batch_size=n) for n in (7, 1000))
    np.testing.assert_allclose(
        found.log_probabilities, expected.log_probabilities, atol=TOLERANCE
    )


def test_an_image_of_the_windows_size_is_one_place(networks, image):
    found = scan(networks["unpadded"], image[:14, :14])
    assert found.log_probabilities.shape == (1, 1, 3)
    assert (found.tops, found.lefts, found.window) == ([0], [0], (14, 14))


@pytest.mark.parametrize("size", [(13, 40), (40, 13), (1, 1)])
def test_an_image_smaller_than_the_window_is_refused(size, networks):
    with pytest.raises(UserError, match=f"{size[0]} x {size[1]} pixels.*window of 14 x 14"):
        scan(networks["unpadded"], np.zeros((*size, 1), np.uint8))


@pytest.mark.parametrize("step", [0, -3])
def test_a_step_that_is_none_is_refused(step, networks, image):
    with pytest.raises(UserError, match=f"step {step}: at least 1"):
        scan(networks["unpadded"], image, step=step)
