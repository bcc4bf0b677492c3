import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from cnn_jax.data.elastic import (
    ElasticDistortion,
    resample,
    smooth,
    smoothing_matrix,
    uniform_fields,
)


def image_of(height=11, width=8, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((height, width, channels), np.float32)


def bilinear(image, row, column):
    """One pixel of the old image at a real position, black outside: the plain loop."""
    top, left = math.floor(row), math.floor(column)
    value = np.zeros(image.shape[2])
    for r in (top, top + 1):
        for c in (left, left + 1):
            if 0 <= r < image.shape[0] and 0 <= c < image.shape[1]:
                value += (1 - abs(row - r)) * (1 - abs(column - c)) * image[r, c]
    return value


def test_resampling_equals_a_loop_over_the_pixels():
    image = image_of()
    rng = np.random.default_rng(1)
    moves = rng.normal(0, 3, (2, 11, 8)).astype(np.float32)
    moves[:, 0, 0] = (-40, 90)  # far outside
    moves[:, 3, 3] = (0.0, 2.0)  # exactly on a pixel
    moves[:, 5, 7] = (0.0, 0.5)  # half a pixel beyond the right border
    expected = np.zeros(image.shape)
    for r in range(11):
        for c in range(8):
            expected[r, c] = bilinear(image, r + moves[0, r, c], c + moves[1, r, c])
    # The position loses bits to float32: 11 * 2**-24, times a slope of at most 1.
    result = np.asarray(jax.jit(resample)(image, moves))
    np.testing.assert_allclose(result, expected, atol=5e-6)
    np.testing.assert_allclose(result[5, 7], image[5, 7] / 2, atol=1e-7)


def test_a_whole_distortion_equals_scipy_given_the_same_fields():
    image, key = image_of(29, 29, 1), jax.random.key(2)
    fields = np.asarray(uniform_fields(key, 29, 29), np.float64)
    moves = [34 * ndimage.gaussian_filter(f, 4.0, mode="constant") for f in fields]
    at = np.mgrid[:29, :29] + np.stack(moves)
    expected = ndimage.map_coordinates(
        np.float64(image[..., 0]), at, order=1, mode="grid-constant"
    )
    result = jax.jit(ElasticDistortion(alpha=34.0, sigma=4.0))(key, image, ())
    # Positions near 29 in float32 are 2e-6 apart, and a few roundings add up.
    np.testing.assert_allclose(result[..., 0], expected, atol=3e-5)


def test_smoothing_follows_both_axes_of_an_oblong_image():
    fields = np.random.default_rng(3).random((2, 12, 30), np.float32)
    expected = [
        ndimage.gaussian_filter(np.float64(f), 2.0, mode="constant") for f in fields
    ]
    # float32 sums of 30 terms below 1
    np.testing.assert_allclose(smooth(fields, 2.0), expected, atol=1e-6)


def test_the_gaussian_sums_to_1_away_from_the_border():
    matrix = smoothing_matrix(64, 4.0)
    np.testing.assert_allclose(matrix[16:48].sum(1), 1.0, rtol=1e-6)  # float32
    assert matrix[0].sum() < 0.6  # half of the kernel hangs over the end
    assert matrix[30, 13] == 0.0  # 17 pixels away: beyond 4 sigma
    assert matrix[30, 14] > 0.0


def test_displacements_of_the_paper_are_about_one_pixel():
    keys = jax.random.split(jax.random.key(4), 400)
    draw = jax.jit(jax.vmap(lambda key: smooth(uniform_fields(key, 41, 41), 4.0)))
    fields = draw(keys)
    middle = 34 * np.asarray(fields[..., 18:23, 18:23])
    predicted = 34 / (3**0.5 * 2 * math.pi**0.5 * 4)
    assert predicted == pytest.approx(1.385, abs=1e-3)
    # 800 fields, nearly one independent value each: the deviation is known to 2.5 %.
    assert middle.std() == pytest.approx(predicted, rel=0.08)


def test_fields_are_uniform_symmetric_and_independent():
    rows, columns = np.asarray(uniform_fields(jax.random.key(5), 256, 256)).reshape(2, -1)
    for field in (rows, columns):
        assert -1 < field.min() < -0.999
        assert 0.999 < field.max() < 1
        assert abs(field.mean()) < 4 * 0.577 / 256  # 4 standard errors
        counts, _ = np.histogram(field, bins=16, range=(-1, 1))
        # 15 degrees of freedom: 1 draw in 10,000 exceeds 45; the key is fixed.
        assert ((counts - 4096) ** 2 / 4096).sum() < 45
    assert abs(np.corrcoef(rows, columns)[0, 1]) < 4 / 256


def test_alpha_0_is_the_identity_bit_by_bit():
    image = image_of()
    distort = jax.jit(ElasticDistortion(alpha=0.0, sigma=3.0))
    result = distort(jax.random.key(6), image, ())
    np.testing.assert_array_equal(result, image)


def test_a_constant_displacement_shifts_the_image_and_brings_in_black():
    image = jnp.asarray(image_of())
    moves = jnp.stack([jnp.full((11, 8), 2.0), jnp.full((11, 8), -1.0)])
    shifted = jax.jit(resample)(image, moves)
    np.testing.assert_array_equal(shifted[:-2, 1:], image[2:, :-1])
    assert not shifted[-2:].any()
    assert not shifted[:, 0].any()


def test_bad_numbers_are_refused_when_declared():
    with pytest.raises(ValueError, match="sigma 0 is not a positive number"):
        ElasticDistortion(alpha=1.0, sigma=0)
    with pytest.raises(ValueError, match="alpha -1"):
        ElasticDistortion(alpha=-1, sigma=4.0)
