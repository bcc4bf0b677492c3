import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.layers.local_contrast_norm import local_contrast_norm
from cnn_jax.layers.rows import Classifier, Dense, LocalContrastNorm
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.layers.tracing import trace_output


def _weighted_mean(x, j, k, size, deviation):
    """The mean around pixel (j, k) of an image [H, W, C], over the window and all maps."""
    total = weight_sum = 0.0
    reach = size // 2
    for p in range(-reach, reach + 1):
        for q in range(-reach, reach + 1):
            if 0 <= j + p < x.shape[0] and 0 <= k + q < x.shape[1]:
                weight = math.exp(-(p * p + q * q) / (2 * deviation**2))
                for value in x[j + p, k + q]:
                    total += weight * value
                    weight_sum += weight
    return total / weight_sum


def _jarrett(x, size, deviation):
    """Jarrett et al. 2009, Section 2.1, in loops; weights outside the image left out."""
    v, s = np.zeros_like(x), np.zeros(x.shape[:2])
    for j, k in np.ndindex(s.shape):
        v[j, k] = x[j, k] - _weighted_mean(x, j, k, size, deviation)
    for j, k in np.ndindex(s.shape):
        s[j, k] = math.sqrt(_weighted_mean(v**2, j, k, size, deviation))
    return v / np.maximum(s.mean(), s)[..., None]


@pytest.mark.parametrize(("size", "deviation"), [(5, 1.25), (9, 2.25), (1, 1.0)])
def test_it_is_the_papers_formula(draw, size, deviation):
    x = draw.standard_normal((2, 7, 6, 3))
    x[1] *= 10  # the floor is the image's own
    y = local_contrast_norm(jnp.asarray(x, jnp.float32), size=size, deviation=deviation)
    for image, found in zip(x, y, strict=True):
        expected = _jarrett(image, size, deviation)
        np.testing.assert_allclose(found, expected, atol=2e-5)  # float32


def test_brightness_and_contrast_of_an_image_do_not_matter(draw):
    x = draw.standard_normal((1, 12, 11, 2)).astype(np.float32)
    y = local_contrast_norm(x)
    # The border too: float32, with values that lose one digit to the added constant.
    np.testing.assert_allclose(local_contrast_norm(3.0 * x + 5.0), y, atol=2e-5)
    np.testing.assert_allclose(local_contrast_norm(-x), -y, atol=1e-6)


def test_an_image_without_contrast_gives_zero_and_a_finite_gradient():
    for value in (0.0, 0.7, -300.0):
        flat = np.full((1, 6, 6, 3), value, np.float32)
        # What is left is the rounding of a mean, not enlarged.
        found = local_contrast_norm(flat)
        np.testing.assert_allclose(found, 0.0, atol=1e-6 * max(abs(value), 1.0))
    slope = jax.grad(lambda x: local_contrast_norm(x).sum())(np.zeros_like(flat))
    assert np.isfinite(slope).all()


def test_an_edge_in_one_map_changes_the_others(draw):
    x = draw.standard_normal((1, 9, 9, 2)).astype(np.float32)
    louder = x * np.array([1.0, 5.0], np.float32)
    y, z = local_contrast_norm(x), local_contrast_norm(louder)
    assert np.abs(z[..., 0]).mean() < 0.5 * np.abs(y[..., 0]).mean()


@pytest.mark.parametrize("size", [0, 4, -3])
def test_a_window_without_a_centre_is_refused(size):
    with pytest.raises(ValueError, match=f"window of {size} pixels: a positive odd number"):
        local_contrast_norm(jnp.zeros((1, 4, 4, 1)), size=size)


def test_other_mistakes_are_refused():
    with pytest.raises(ValueError, match=r"deviation 0\.0 pixels is not a positive number"):
        local_contrast_norm(jnp.zeros((1, 4, 4, 1)), deviation=0.0)
    with pytest.raises(ValueError, match=r"features have shape \(4, 4\)"):
        local_contrast_norm(jnp.zeros((4, 4)))
    network = TableNetwork(
        table=(Dense("fc1", 4), LocalContrastNorm("norm1"), Classifier("fc2"))
    )
    with pytest.raises(ValueError, match="norm1: it slides over images"):
        trace_output(network)
