"""Sizes by hand arithmetic; pixels by Pillow itself."""

import numpy as np
import pytest
from PIL import Image

from cnn_jax.evaluation.resizing import box, cover, scaled


@pytest.mark.parametrize(
    ("pixels", "edge", "expected"),
    [
        (256, 224, 256),
        (640, 224, 640),
        (256, 227, 256),  # AlexNet
        (256, 221, 256),  # OverFeat, Section 3.1
        (256, 231, 256),
        (224, 231, 231),  # the input must fit in
        (256, 299, 342),  # torchvision's Inception v3
        (256, 32, 37),  # 36.57
        (480, 32, 69),  # 68.57
        (256, 1, 1),
    ],
)
def test_printed_sizes_hold_for_224_pixels_and_are_scaled_elsewhere(pixels, edge, expected):
    assert scaled(pixels, (edge, edge, 3)) == expected


def test_an_input_that_is_no_square_keeps_its_proportions():
    assert scaled(256, (32, 100, 1)) == 37
    assert box(37, (32, 100, 1)) == (37, 116)  # 115.6
    assert box(37, (100, 32, 1)) == (116, 37)


@pytest.mark.parametrize(
    ("size", "target", "expected"),
    [
        ((375, 500), (256, 256), (256, 341)),  # 341.3
        ((500, 375), (256, 256), (341, 256)),
        ((427, 640), (256, 256), (256, 383)),  # 383.7: torchvision rounds down
        ((64, 64), (256, 256), (256, 256)),
        ((1, 1), (5, 5), (5, 5)),
        ((1, 3), (5, 5), (5, 15)),
        ((10, 10), (4, 8), (8, 8)),  # the box is wider than the image
        ((4, 8), (4, 8), (4, 8)),
    ],
)
def test_the_image_just_covers_the_box(size, target, expected):
    assert cover(np.zeros((*size, 3), np.uint8), target).shape == (*expected, 3)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_pixels_are_pillows(channels, interpolation, draw):
    image = draw.integers(0, 256, (50, 80, channels), np.uint8)
    picture = Image.fromarray(image if channels == 3 else image[..., 0])
    how = Image.Resampling[interpolation.upper()]
    expected = np.asarray(picture.resize((59, 37), how)).reshape(37, 59, channels)
    np.testing.assert_array_equal(cover(image, (37, 37), interpolation), expected)


def test_shrinking_averages_instead_of_skipping():
    stripes = np.zeros((64, 64, 1), np.uint8)
    stripes[:, ::2] = 200
    small = cover(stripes, (16, 16))
    # Interpolation between two neighbours alone would give stripes, or one of their values.
    assert np.abs(small.astype(int) - 100).max() <= 7


def test_an_image_of_the_size_is_handed_on():
    image = np.zeros((37, 50, 3), np.uint8)
    assert cover(image, (37, 37)) is image


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4, 3)),
        np.zeros((4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_what_is_no_image_is_refused(image):
    with pytest.raises(ValueError, match=r"uint8 \[height, width, channels\]"):
        cover(image, (4, 4))
