import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from cnn_jax.kernels.convolution import grouped_convolution

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
