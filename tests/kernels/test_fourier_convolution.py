import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.kernels.convolution import convolve, cross_correlate
from cnn_jax.kernels.fourier_convolution import (
    circular_convolve,
    fourier_convolve,
    fourier_cross_correlate,
)
from cnn_jax.maths.geometry import WindowError


def test_the_convolution_theorem_on_a_torus(draw):
    """DFT(f * g) = DFT(f) DFT(g), the sums written out, the transform as the lecture's."""
    size = 6
    f, g = draw.standard_normal((2, size, size))
    convolved = np.zeros((size, size))
    for i, j, a, b in np.ndindex(size, size, size, size):
        convolved[i, j] += f[(i - a) % size, (j - b) % size] * g[a, b]
    with jax.enable_x64(True):
        found = circular_convolve(jnp.asarray(f), jnp.asarray(g))
    np.testing.assert_allclose(found, convolved, rtol=1e-10, atol=1e-13)

    # With the division by N that the slide leaves out; without it, it does not hold.
    waves = np.outer(np.arange(size), np.arange(size))
    right, slide = (np.exp(-2j * np.pi * waves / n) for n in (size, 1))

    def transform(matrix, image):
        return matrix @ image @ matrix.T

    product = transform(right, f) * transform(right, g)
    np.testing.assert_allclose(transform(right, convolved), product, rtol=1e-10, atol=1e-12)
    wrong = transform(slide, f) * transform(slide, g)
    assert np.allclose(wrong, f.sum() * g.sum())  # each wave is 1 on whole numbers


@pytest.mark.parametrize(
    ("shape", "kernel_shape", "stride", "padding"),
    [
        ((2, 9, 8, 3), (4, 5, 3, 2), 2, 1),
        ((1, 6, 6, 1), (6, 6, 1, 1), 1, 5),  # the full result of N + K - 1 pixels
        ((1, 3, 3, 1), (4, 4, 1, 1), 1, 4),  # a kernel larger than the image
    ],
)
def test_it_equals_the_direct_sums(draw, shape, kernel_shape, stride, padding):
    pairs = ((convolve, fourier_convolve), (cross_correlate, fourier_cross_correlate))

    @jax.jit
    def compute(images, kernel):
        options = {"stride": stride, "padding": padding}
        return [[f(images, kernel, **options) for f in pair] for pair in pairs]

    with jax.enable_x64(True):
        results = compute(draw.standard_normal(shape), draw.standard_normal(kernel_shape))
    for direct, fourier in jax.tree.map(np.asarray, results):
        assert fourier.shape == direct.shape
        # Relative to the largest value, in float64.
        assert abs(fourier - direct).max() < 1e-10 * abs(direct).max()


def test_a_kernel_that_does_not_fit_is_refused():
    with pytest.raises(WindowError, match="a window of 3 does not fit 2 pixels"):
        fourier_convolve(jnp.zeros((1, 2, 4, 1)), jnp.zeros((3, 3, 1, 1)))
    with pytest.raises(ValueError, match=r"\[h, w, C, features\] are needed"):
        fourier_cross_correlate(jnp.zeros((1, 4, 4, 2)), jnp.zeros((3, 3, 1, 1)))
