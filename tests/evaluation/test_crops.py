"""Crops: their places by hand arithmetic, their mean by NumPy slices."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest
from PIL import Image

from cnn_jax.evaluation.crops import Crops144, FiftyCrop, OneCrop, TenCrop
from cnn_jax.evaluation.network import Network
from cnn_jax.evaluation.protocol import views
from cnn_jax.evaluation.views import (
    centre,
    corners_and_centre,
    cut,
    mean_probability,
    regular_grid,
    three_squares,
)
from tests.evaluation.small_networks import UNPADDED, logits, network, softmax

TOLERANCE = 1e-5  # float32 sums of a hundred terms of unit size, in another order


def shaped(height, width, channels=3):
    """Return something of that input size, for protocols that are asked no scores."""
    model = SimpleNamespace(input_shape=(height, width, channels))
    return Network(model, {}, None)


def numbered(height, width):
    """Return an image [1, h, w, 3] whose pixels say their row and their column."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, rows], -1).astype(np.uint8)[None]


def place_of(crop):
    return round(255 * float(crop[0, 0, 0])), round(255 * float(crop[0, 0, 1]))


def scores(rules, net, images):
    step = jax.jit(lambda v, x: rules.scores(net._replace(variables=v), x))
    return np.exp(np.asarray(step(net.variables, images)))


def test_five_places_of_alexnet():
    assert corners_and_centre((256, 256), (224, 224)) == (
        (0, 0),
        (0, 32),
        (32, 0),
        (32, 32),
        (16, 16),
    )


def test_the_grid_of_vgg():
    found = regular_grid((256, 341), (224, 224), 5)
    # 32 / 4 = 8; 117 / 4 = 29.25, 58.5, 87.75: halves go to the even number.
    expected = [(t, x) for t in (0, 8, 16, 24, 32) for x in (0, 29, 58, 88, 117)]
    assert list(found) == expected
    assert regular_grid((224, 224), (224, 224), 5) == ((0, 0),) * 25


def test_the_squares_of_googlenet():
    assert three_squares((256, 341), (256, 256)) == ((0, 0), (0, 42), (0, 85))
    assert three_squares((341, 256), (256, 256)) == ((0, 0), (42, 0), (85, 0))
    assert three_squares((256, 256), (256, 256)) == ((0, 0),) * 3


def test_a_crop_beyond_the_border_is_refused():
    image = np.zeros((1, 8, 8, 3), np.uint8)
    for place in ((1, 0), (0, 1), (-1, 0)):
        with pytest.raises(ValueError, match="does not lie within"):
            cut(image, [(0, 0), place], (8, 8))


def test_one_crop_is_the_centre_as_torchvision_cuts_it(draw):
    image = draw.integers(0, 256, (375, 500, 3), np.uint8)
    (found,) = OneCrop().resize(shaped(224, 224), image)
    # Resize(256), CenterCrop(224): round(58.5) = 58.
    picture = Image.fromarray(image).resize((341, 256), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(found, np.asarray(picture.crop((58, 16, 282, 240))))
    assert centre((342, 455), (299, 299)) == (22, 78)  # Inception v3: 21.5 and 78


def test_the_sources_resizing_can_be_given(draw):
    image = draw.integers(0, 256, (100, 120, 3), np.uint8)
    net = shaped(14, 14)
    (found,) = OneCrop(side=20, interpolation="nearest").resize(net, image)
    picture = Image.fromarray(image).resize((24, 20), Image.Resampling.NEAREST)
    np.testing.assert_array_equal(found, np.asarray(picture.crop((5, 3, 19, 17))))
    with pytest.raises(ValueError, match="side 13"):
        OneCrop(side=13).resize(net, image)


def test_an_image_of_the_networks_size_is_untouched_by_one_crop(draw):
    image = draw.integers(0, 256, (14, 14, 3), np.uint8)
    assert OneCrop().resize(shaped(14, 14), image)[0] is image


def test_ten_crop_is_the_mean_of_ten_crops_cut_by_hand(draw):
    net = network(UNPADDED)
    rules = TenCrop()
    image = draw.integers(0, 256, (30, 45, 1), np.uint8)
    (square,) = rules.resize(net, image)
    picture = Image.fromarray(image[..., 0]).resize((24, 16), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(square[..., 0], np.asarray(picture)[:, 4:20])

    other = draw.integers(0, 256, square.shape, np.uint8)
    batch = np.stack([square, other])
    crops = [
        batch[:, :14, :14],
        batch[:, :14, 2:],
        batch[:, 2:, :14],
        batch[:, 2:, 2:],
        batch[:, 1:15, 1:15],
    ]
    crops += [crop[:, :, ::-1] for crop in crops]
    expected = np.mean([softmax(logits(net, crop)) for crop in crops], axis=0)
    found = scores(rules, net, (batch,))
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)
    # It is neither the softmax of the mean score nor the centre alone.
    mean_score = softmax(np.mean([logits(net, crop) for crop in crops], axis=0))
    assert np.abs(found - mean_score).max() > 1e-3
    assert np.abs(found - softmax(logits(net, crops[4]))).max() > 1e-3


def test_ten_crops_of_alexnet_are_cut_from_256_pixels():
    (square,) = TenCrop().resize(shaped(227, 227), np.zeros((300, 400, 3), np.uint8))
    assert square.shape == (256, 256, 3)


def test_150_crops_of_three_scales(draw):
    net = network(UNPADDED)
    rules = FiftyCrop()
    image = draw.integers(0, 256, (28, 42, 1), np.uint8)
    scales = rules.resize(net, image)
    assert [scale.shape[:2] for scale in scales] == [(16, 24), (24, 36), (32, 48)]
    crops = [
        scale[top : top + 14, left : left + 14][:, ::flip]
        for scale in scales
        for top in np.round(np.linspace(0, scale.shape[0] - 14, 5)).astype(int)
        for left in np.round(np.linspace(0, scale.shape[1] - 14, 5)).astype(int)
        for flip in (1, -1)
    ]
    assert len(crops) == views(rules) == 150
    expected = softmax(logits(net, np.stack(crops))).mean(0)
    found = scores(rules, net, tuple(scale[None] for scale in scales))
    np.testing.assert_allclose(found[0], expected, atol=TOLERANCE)


def test_144_crops_are_where_the_paper_puts_them():
    # 256, 288, 320, 352 pixels for 224 are 16, 18, 20, 22 for 14. Eight pixels wider than
    # high: squares 0, 4 and 8 pixels from the left.
    rules, sides = Crops144(), (16, 18, 20, 22)
    cut_up = jax.jit(lambda scales: rules.crops(shaped(14, 14), scales))
    crops = cut_up(tuple(numbered(side, side + 8) for side in sides))
    assert crops.shape == (1, 72, 14, 14, 3)
    assert 2 * 72 == views(rules) == 144
    found = iter(np.asarray(crops[0]))
    for side in sides:
        far = side - 14
        five = ((0, 0), (0, far), (far, 0), (far, far), (far // 2, far // 2))
        for left in (0, 4, 8):
            for top, right in five:
                assert place_of(next(found)) == (top, left + right)
        for left in (0, 4, 8):
            # The middle of a square's rows and columns is their mean, at any size.
            resized = 255 * next(found).mean((0, 1))[:2]
            middle = (side - 1) / 2
            np.testing.assert_allclose(resized, (middle, left + middle), atol=0.01)


def test_144_crops_are_averaged_as_probabilities(draw):
    net = network(UNPADDED)
    rules = Crops144()
    image = draw.integers(0, 256, (20, 27, 1), np.uint8)
    assert [i.shape[:2] for i in rules.resize(net, image)] == [
        (16, 21),
        (18, 24),
        (20, 27),
        (22, 29),
    ]
    rules = Crops144(sides=(288,))  # one scale compiles faster
    batch = tuple(scale[None] for scale in rules.resize(net, image))
    both = jax.jit(lambda x: (rules.crops(net, x), rules.scores(net, x)))
    crops, found = map(np.asarray, both(batch))
    pixels = 255.0 * crops[0]
    expected = softmax(logits(net, np.concatenate([pixels, pixels[:, :, ::-1]]))).mean(0)
    np.testing.assert_allclose(np.exp(found[0]), expected, atol=TOLERANCE)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (13, 3)])
def test_images_smaller_than_the_crop_are_enlarged(size):
    net, image = shaped(14, 14), np.full((*size, 3), 77, np.uint8)
    (crop,) = OneCrop().resize(net, image)
    np.testing.assert_array_equal(crop, np.full((14, 14, 3), 77))
    for rules in (TenCrop(), FiftyCrop(), Crops144()):
        scales = rules.resize(net, image)
        assert min(scales[0].shape[:2]) == 16
        assert {int(v) for scale in scales for v in np.unique(scale)} == {77}


def test_an_input_that_is_no_square():
    net, image = shaped(8, 24), np.zeros((40, 60, 3), np.uint8)
    (scale,) = TenCrop().resize(net, image)
    assert scale.shape == (9, 27, 3)
    crops = jax.eval_shape(lambda x: TenCrop().crops(net, (x,)), scale[None])
    assert crops.shape == (1, 5, 8, 24, 3)
    assert OneCrop().resize(net, image)[0].shape == (8, 24, 3)
    assert [s.shape[:2] for s in Crops144().resize(net, image)] == [
        (18, 27),  # covers 9 x 27
        (20, 30),
        (22, 33),
        (26, 39),
    ]


def test_the_mean_of_probabilities_survives_tiny_ones():
    logs = np.array([[-1000.0, 0.0], [-1001.0, -1e-9]], np.float32)
    found = np.asarray(jax.jit(lambda x: mean_probability(x, axis=0))(logs))
    # log((e^-1000 + e^-1001) / 2) = -1000 + log((1 + 1/e) / 2)
    assert found[0] == pytest.approx(-1000 + np.log((1 + np.exp(-1)) / 2), abs=1e-3)
    assert found[1] == pytest.approx(0.0, abs=1e-6)


def test_an_output_that_is_no_score_a_class_is_refused():
    model = SimpleNamespace(
        input_shape=(14, 14, 1), apply=lambda v, x, train: np.zeros((len(x), 4, 3))
    )
    net = Network(model, {}, network(UNPADDED).preprocessing)
    with pytest.raises(ValueError, match=r"shape \(4, 3\) for each image"):
        jax.eval_shape(
            lambda x: OneCrop().scores(net, (x,)), np.zeros((1, 14, 14, 1), np.uint8)
        )
