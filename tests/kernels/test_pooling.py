from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.kernels.pooling import average_pool, l2_pool, max_pool
from cnn_jax.maths.geometry import WindowError, output_size

# Vilaplana's slides on pooling, 2 x 2 windows, stride 2.
LECTURE = np.array(
    [[4, 1, 5, 2, 2, 6], [1, 2, 9, 0, 2, 4], [2, 2, 6, 4, 0, 2], [3, 1, 0, 3, 3, 1]],
    np.float32,
)


def _pool_by_loops(x, size, stride, padding, *, ceil, combine, fill):
    """Slide a window over each map; pixels outside the image are ``fill``."""
    batch, height, width, channels = x.shape
    rows = output_size(height, size, stride, padding, ceil=ceil)
    columns = output_size(width, size, stride, padding, ceil=ceil)
    out = np.zeros((batch, rows, columns, channels), x.dtype)
    for n, i, j, c in np.ndindex(out.shape):
        window = np.full((size, size), fill, x.dtype)
        for a, b in np.ndindex(size, size):
            y, z = i * stride - padding + a, j * stride - padding + b
            if 0 <= y < height and 0 <= z < width:
                window[a, b] = x[n, y, z, c]
        out[n, i, j, c] = combine(window)
    return out


def _gradient(function, x):
    return np.asarray(jax.jit(jax.grad(function))(x))[0, :, :, 0]


def test_max_pooling_gives_the_lectures_numbers():
    pooled = max_pool(LECTURE[None, :, :, None], 2, 2)[0, :, :, 0]
    np.testing.assert_array_equal(pooled, [[4, 9, 6], [3, 6, 3]])


def test_average_pooling_gives_the_lectures_numbers_with_the_last_one_corrected():
    pooled = average_pool(LECTURE[None, :, :, None], 2, 2)[0, :, :, 0]
    # The slide prints 1.25 for the mean of 0, 2, 3 and 1.
    np.testing.assert_array_equal(pooled, [[2, 4, 3.5], [2, 3.25, 1.5]])


@pytest.mark.parametrize(
    ("height", "width", "size", "stride", "padding", "ceil"),
    [
        (7, 9, 3, 2, 0, False),  # overlapping, as in AlexNet
        (8, 8, 3, 2, 0, True),  # the last window hangs over the end
        (8, 7, 3, 2, 1, False),
        (6, 6, 3, 2, 1, True),
        (5, 5, 2, 3, 0, False),  # gaps between the windows
        (4, 4, 4, 1, 0, False),  # one window
    ],
)
def test_max_pooling_equals_a_loop(draw, height, width, size, stride, padding, ceil):
    # Negative values: a zero from the padding would win.
    x = draw.standard_normal((2, height, width, 3), np.float32) - 5.0
    pooled = jax.jit(lambda x: max_pool(x, size, stride, padding, ceil=ceil))(x)
    expected = _pool_by_loops(
        np.asarray(x), size, stride, padding, ceil=ceil, combine=np.max, fill=-np.inf
    )
    np.testing.assert_array_equal(pooled, expected)


@pytest.mark.parametrize(
    ("height", "width", "size", "stride", "padding"),
    [(7, 9, 3, 2, 0), (8, 7, 3, 2, 1), (5, 5, 2, 3, 0)],
)
def test_average_pooling_equals_a_loop(draw, height, width, size, stride, padding):
    x = draw.standard_normal((2, height, width, 3), np.float32)
    pooled = jax.jit(lambda x: average_pool(x, size, stride, padding))(x)
    expected = _pool_by_loops(
        np.asarray(x), size, stride, padding, ceil=False, combine=np.mean, fill=0.0
    )
    np.testing.assert_allclose(pooled, expected, atol=1e-6)  # float32 sums of 9 terms


def test_the_gradient_of_a_maximum_goes_to_the_largest_pixel():
    x = LECTURE[None, :, :, None]
    weights = np.arange(1.0, 7.0, dtype=np.float32).reshape(1, 2, 3, 1)
    gradient = _gradient(lambda x: jnp.sum(weights * max_pool(x, 2, 2)), x)
    expected = np.zeros((4, 6))
    expected[0, 0], expected[1, 2], expected[0, 5] = 1, 2, 3
    expected[3, 0], expected[2, 2], expected[3, 3:5] = 4, 5, (0, 6)
    np.testing.assert_array_equal(gradient, expected)


def test_with_ties_the_gradient_is_shared_among_the_largest_and_nothing_is_lost():
    # After a ReLU whole windows are 0, so ties are common.
    x = np.array([[0, 0, 7, 1], [0, 0, 7, 7]], np.float32)[None, :, :, None]
    gradient = _gradient(lambda x: max_pool(x, 2, 2).sum(), x)
    assert (gradient >= 0).all()
    assert gradient[0, 3] == 0.0
    np.testing.assert_array_equal(
        [gradient[:, :2].sum(), gradient[:, 2:].sum()], [1.0, 1.0]
    )


def test_overlapping_windows_add_their_gradients():
    x = np.zeros((1, 5, 5, 1), np.float32)
    x[0, 2, 2, 0] = 1.0  # the largest of all four windows
    expected = 4.0 * x[0, :, :, 0]
    gradient = _gradient(lambda x: max_pool(x, 3, 2).sum(), x)
    np.testing.assert_array_equal(gradient, expected)


@pytest.mark.parametrize("pool", [max_pool, average_pool, partial(max_pool, ceil=True)])
def test_pools_that_make_no_sense_are_refused(pool):
    x = jnp.zeros((1, 4, 4, 1))
    with pytest.raises(WindowError, match="a window of 5 does not fit 4 pixels"):
        pool(x, 5, 1)
    with pytest.raises(WindowError, match="padding 2 must be smaller than the window of 2"):
        pool(x, 2, 2, 2)
    with pytest.raises(WindowError, match="stride 0"):
        pool(x, 2, 0)


def test_l2_pooling_gives_the_roots_of_the_sums_of_squares():
    pooled = l2_pool(LECTURE[None, :, :, None], 2, 2)[0, :, :, 0]
    expected = np.sqrt([[22, 110, 60], [18, 61, 14]])
    np.testing.assert_allclose(pooled, expected, rtol=1e-6)  # float32


@pytest.mark.parametrize(("size", "stride", "padding"), [(3, 2, 1), (2, 3, 0)])
def test_l2_pooling_equals_a_loop(draw, size, stride, padding):
    x = draw.standard_normal((2, 7, 6, 3), np.float32)
    expected = _pool_by_loops(
        x, size, stride, padding, ceil=False, fill=0.0, combine=np.linalg.norm
    )
    np.testing.assert_allclose(l2_pool(x, size, stride, padding), expected, rtol=1e-6)


def test_the_gradient_of_l2_pooling_points_along_the_window_and_is_zero_at_zero():
    x = np.zeros((1, 2, 4, 1), np.float32)
    x[0, :, :2, 0] = [[3.0, 0.0], [0.0, -4.0]]
    gradient = _gradient(lambda x: l2_pool(x, 2, 2).sum(), x)
    np.testing.assert_allclose(gradient, [[0.6, 0, 0, 0], [0, -0.8, 0, 0]], rtol=1e-6)
