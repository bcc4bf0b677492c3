"""Photometric distortion against Pillow's ImageEnhance."""

from itertools import permutations

import jax
import numpy as np
import pytest
from PIL import Image, ImageEnhance

from cnn_jax.data.photometric import PhotometricDistortion

ENHANCERS = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)


@pytest.fixture(scope="module")
def photograph():
    """Smooth colours, some of them at the bounds: uint8 [12, 10, 3]."""
    rng = np.random.default_rng(0)
    colours = rng.normal(128, 60, (1, 1, 3)) + rng.normal(0, 60, (12, 10, 3))
    return colours.clip(0, 255).astype(np.uint8)


def by_pillow(image, order, amounts):
    picture = Image.fromarray(image)
    for which in order:
        picture = ENHANCERS[which](picture).enhance(amounts[which])
    return np.asarray(picture) / 255


def test_results_are_pillows_and_all_orders_occur(photograph):
    keys = jax.random.split(jax.random.key(0), 24)
    orders = set()

    unit = photograph.astype(np.float32) / 255

    @jax.jit
    @jax.vmap
    def draws(key):
        order_key, amount_key = jax.random.split(key)
        amounts = 1 + 0.5 * jax.random.uniform(amount_key, (3,), minval=-1.0)
        order = jax.random.permutation(order_key, 3)
        return order, amounts, PhotometricDistortion()(key, unit, ())

    drawn = [np.asarray(part) for part in draws(keys)]
    for order, amounts, result in zip(*drawn, strict=True):
        order, amounts = tuple(int(i) for i in order), np.asarray(amounts, np.float64)
        expected = by_pillow(photograph, order, amounts)
        # Pillow rounds three images down and a mean; each counts up to 1.5 times after.
        np.testing.assert_allclose(result, expected, atol=6 / 255)
        orders.add(order)
        others = [
            np.abs(result - by_pillow(photograph, other, amounts)).mean()
            for other in permutations(range(3))
        ]
        # No order is nearer than this one (some orders give nearly the same).
        assert np.abs(result - expected).mean() < min(others) + 1 / 255
    assert orders == set(permutations(range(3)))


# Far enough from black and white that no amount below 1.45 is cut off.
IMAGE = np.random.default_rng(3).integers(80, 176, (6, 5, 3), dtype=np.uint8)
LUMA = np.array([0.299, 0.587, 0.114])
DRAWS = 2000


@pytest.fixture(scope="module")
def alone():
    """Each change by itself, DRAWS times: name -> [DRAWS, 6, 5, C]; compiled once."""
    kinds = {
        "none": PhotometricDistortion(0.0, 0.0, 0.0),
        "brightness": PhotometricDistortion(0.4, 0.0, 0.0),
        "contrast": PhotometricDistortion(0.0, 0.4, 0.0),
        "colour": PhotometricDistortion(0.0, 0.0, 0.4),
    }
    unit = IMAGE.astype(np.float32) / 255

    @jax.jit
    @jax.vmap
    def changed(key):
        results = {name: kind(key, unit, ()) for name, kind in kinds.items()}
        return results | {"grey": kinds["colour"](key, unit[..., :1], ())}

    results = changed(jax.random.split(jax.random.key(2), DRAWS))
    return {name: np.asarray(images) for name, images in results.items()}


def test_an_amount_of_1_changes_nothing(alone):
    assert (alone["none"] == IMAGE.astype(np.float32) / 255).all()


def test_brightness_is_one_uniform_factor(alone):
    factors = alone["brightness"] * (255 / IMAGE)
    assert np.ptp(factors, axis=(1, 2, 3)).max() < 1e-6  # float32
    drawn = np.sort(factors.mean((1, 2, 3)))
    expected = 0.6 + 0.8 * (np.arange(DRAWS) + 0.5) / DRAWS
    # Kolmogorov and Smirnov: 1 in 10,000 samples is further off.
    assert np.abs(drawn - expected).max() < 0.8 * 2.2 / DRAWS**0.5


def test_contrast_keeps_the_mean_grey_and_colour_keeps_every_grey(alone):
    grey = IMAGE @ LUMA / 255
    contrast = alone["contrast"] @ LUMA
    np.testing.assert_allclose(contrast.mean((1, 2)), grey.mean(), rtol=1e-6)
    ratios = contrast.std((1, 2)) / grey.std()
    assert 0.6 <= ratios.min() < 0.61
    assert 1.39 < ratios.max() <= 1.4 + 1e-6
    colour = alone["colour"] @ LUMA
    np.testing.assert_allclose(colour, np.broadcast_to(grey, colour.shape), rtol=2e-6)
    assert np.abs(alone["colour"] - IMAGE / 255).max() > 0.1


def test_a_grey_image_has_no_colour_to_change(alone):
    # a x + (1 - a) x in float32
    expected = np.broadcast_to(IMAGE[..., :1] / 255, alone["grey"].shape)
    np.testing.assert_allclose(alone["grey"], expected, atol=1e-6)


def test_what_it_cannot_do_is_refused():
    with pytest.raises(ValueError, match=r"contrast 1.5 is not in \[0, 1\]"):
        PhotometricDistortion(contrast=1.5)
    with pytest.raises(ValueError, match="4 channels; PhotometricDistortion takes 1 or 3"):
        jax.eval_shape(
            lambda key: PhotometricDistortion()(key, np.zeros((2, 2, 4)), ()),
            jax.random.key(5),
        )
