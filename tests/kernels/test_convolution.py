import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from cnn_jax.kernels.convolution import convolve, cross_correlate, grouped_convolution
from cnn_jax.maths.geometry import WindowError

LAYOUT = ("NHWC", "HWIO", "NHWC")


def test_it_is_the_cross_correlation_of_the_lecture():
    # Vilaplana's 7 x 7 example (X[2, 3] corrected to 2); nothing is flipped.
    x = [
        [1, 3, 0, 1, 4, 3, 2],
        [2, 1, 1, 2, 5, 0, 1],
        [5, 3, 2, 2, 5, 3, 2],
        [4, 5, 6, 1, 0, 2, 3],
        [2, 1, 3, 4, 1, 5, 1],
        [2, 0, 3, 2, 6, 5, 8],
        [4, 6, 2, 1, 2, 3, 2],
    ]
    kernel = [[1, 2, 1], [0, 0, 0], [-1, -2, -1]]
    images = jnp.array(x, jnp.float32)[None, :, :, None]
    weights = jnp.array(kernel, jnp.float32)[:, :, None, None]
    every = grouped_convolution(images, weights, (1, 1), "VALID", dimension_numbers=LAYOUT)
    np.testing.assert_array_equal(
        every[0, :, :, 0],
        [
            [-6, -5, -5, -3, -1],
            [-15, -13, 2, 9, -1],
            [6, -2, -1, 4, 1],
            [15, 10, -5, -16, -17],
            [-11, 0, 6, 3, 2],
        ],
    )
    second = grouped_convolution(images, weights, (2, 2), "VALID", dimension_numbers=LAYOUT)
    np.testing.assert_array_equal(
        second[0, :, :, 0], [[-6, -5, -1], [6, -1, 1], [-11, 6, 2]]
    )


@pytest.mark.parametrize(("groups", "stride", "padding"), [(1, 2, 0), (2, 1, 2), (3, 2, 1)])
def test_groups_give_the_value_and_gradient_of_lax(draw, groups, stride, padding):
    x = draw.standard_normal((2, 8, 9, 6), np.float32)
    kernel = draw.standard_normal((3, 5, 6 // groups, 12), np.float32)

    def value_and_gradients(convolution):
        def convolve(x, kernel):
            return convolution(
                x,
                kernel,
                (stride, stride),
                [(padding, padding)] * 2,
                feature_group_count=groups,
                dimension_numbers=LAYOUT,
            )

        def pull_back(x, kernel):
            out, pull = jax.vjp(convolve, x, kernel)
            return out, *pull(jnp.cos(out))  # a different weight for every output

        return jax.jit(pull_back)(x, kernel)

    ours = value_and_gradients(grouped_convolution)
    reference = value_and_gradients(lax.conv_general_dilated)
    for one, other in zip(ours, reference, strict=True):
        # float32: two orders of adding some hundred terms of size 1.
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_one_group_does_not_see_the_channels_of_another(draw):
    x = jnp.asarray(draw.standard_normal((1, 4, 4, 4), np.float32))
    kernel = draw.standard_normal((3, 3, 2, 6), np.float32)

    def convolve(x):
        return grouped_convolution(
            x, kernel, (1, 1), "SAME", feature_group_count=2, dimension_numbers=LAYOUT
        )

    changed = np.asarray(convolve(x.at[..., 3].add(1.0)) != convolve(x))
    assert not changed[..., :3].any()
    assert changed[..., 3:].all()


def _by_loops(images, kernel, stride, padding, sign):
    """The lectures' sums; sign + for the correlation f(x + y), - for the convolution."""
    batch, height, width, _ = images.shape
    edges, features = kernel.shape[:2], kernel.shape[3]
    # The convolution's first place is where the kernel's last pixel meets f's first.
    rows, columns = (
        (size + 2 * padding - edge) // stride + 1
        for size, edge in zip((height, width), edges, strict=True)
    )
    out = np.zeros((batch, rows, columns, features))
    for n, i, j, k in np.ndindex(out.shape):
        for a, b in np.ndindex(edges):
            y = i * stride - padding + (a if sign > 0 else edges[0] - 1 - a)
            x = j * stride - padding + (b if sign > 0 else edges[1] - 1 - b)
            if 0 <= y < height and 0 <= x < width:
                out[n, i, j, k] += images[n, y, x] @ kernel[a, b, :, k]
    return out


@pytest.mark.parametrize(
    ("shape", "kernel_shape", "stride", "padding"),
    [
        ((1, 5, 6, 1), (3, 2, 1, 1), 1, 0),
        ((2, 7, 6, 3), (3, 4, 3, 2), 2, 1),
        ((1, 4, 4, 2), (3, 3, 2, 1), 1, 2),  # the full result
    ],
)
def test_both_equal_the_sums_of_the_lecture(draw, shape, kernel_shape, stride, padding):
    images, kernel = draw.standard_normal(shape), draw.standard_normal(kernel_shape)

    @jax.jit
    def both(images, kernel):
        options = {"stride": stride, "padding": padding}
        return [f(images, kernel, **options) for f in (cross_correlate, convolve)]

    with jax.enable_x64(True):
        results = both(images, kernel)
    for found, sign in zip(results, (1, -1), strict=True):
        expected = _by_loops(images, kernel, stride, padding, sign)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


def test_a_kernel_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"\(1, 4, 4, 2\) and a kernel of shape \(3, 3, 1"):
        convolve(jnp.zeros((1, 4, 4, 2)), jnp.zeros((3, 3, 1, 1)))
    with pytest.raises(WindowError, match="a window of 5 does not fit 4 pixels"):
        cross_correlate(jnp.zeros((1, 4, 4, 1)), jnp.zeros((5, 3, 1, 1)))
