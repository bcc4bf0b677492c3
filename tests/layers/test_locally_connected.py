import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.analysis.compute import counted_macs
from cnn_jax.layers.initializers import lecun_uniform
from cnn_jax.layers.locally_connected import LocallyConnected
from cnn_jax.maths.geometry import WindowError

N, H, W, C, FEATURES = 2, 6, 5, 3, 4


def by_loops(x, kernel, bias, stride, padding):
    """Every output as one sum over its window, with the kernel of its place."""
    x = np.pad(np.float64(x), ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    rows, columns, size = kernel.shape[:3]
    y = np.zeros((len(x), rows, columns, kernel.shape[-1]))
    for n, r, c, o in np.ndindex(y.shape):
        window = x[n, r * stride : r * stride + size, c * stride : c * stride + size]
        y[n, r, c, o] = (window * kernel[r, c, :, :, :, o]).sum() + bias[r, c, o]
    return y


def test_every_place_has_its_own_kernel_and_bias(draw):
    size, stride, padding = 3, 2, 2
    layer = LocallyConnected(FEATURES, size, stride, padding)
    x = draw.standard_normal((N, H, W, C), np.float32)
    traced = jax.eval_shape(layer.init, jax.random.key(0), x)["params"]
    rows, columns = ((e + 2 * padding - size) // stride + 1 for e in (H, W))
    assert traced["kernel"].shape == (rows, columns, size, size, C, FEATURES)
    assert traced["bias"].shape == (rows, columns, FEATURES)

    params = {k: draw.standard_normal(v.shape, np.float32) for k, v in traced.items()}
    y = jax.jit(layer.apply)({"params": params}, x)
    expected = by_loops(x, params["kernel"], params["bias"], stride, padding)
    # float32 sums of at most 27 products of size 1
    np.testing.assert_allclose(y, expected, atol=2e-5)


def test_with_one_kernel_everywhere_it_is_a_convolution(draw):
    layer = LocallyConnected(FEATURES, 3, 1, 1)
    x = draw.standard_normal((N, H, W, C), np.float32)
    kernel = draw.standard_normal((3, 3, C, FEATURES), np.float32)
    shared = np.broadcast_to(kernel, (H, W, *kernel.shape))
    params = {"kernel": shared, "bias": np.zeros((H, W, FEATURES), np.float32)}
    expected = jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    y = jax.jit(layer.apply)({"params": params}, x)
    # float32 sums of 27 products, in another order
    np.testing.assert_allclose(y, expected, atol=2e-5)


def test_the_fan_in_of_its_initial_kernels_is_the_window(rng):
    layer = LocallyConnected(FEATURES, 2, kernel_init=lecun_uniform)
    params = jax.jit(layer.init)(rng, np.zeros((1, 5, 5, C), np.float32))["params"]
    limit = 2.4 / (2 * 2 * C)
    kernel = np.abs(params["kernel"])
    # 768 uniform draws: all below 97 % of the limit once in 10^10 times
    assert 0.97 * limit < kernel.max() <= limit
    assert len(np.unique(kernel)) > 700  # every place draws its own
    assert not np.any(params["bias"])


def test_multiply_adds_are_outputs_times_the_window():
    layer = LocallyConnected(FEATURES, 3, 2)
    x = jax.ShapeDtypeStruct((7, H, W, C), jnp.float32)
    with counted_macs() as macs:
        y, variables = jax.eval_shape(layer.init_with_output, jax.random.key(0), x)
    assert y.shape == (7, 2, 2, FEATURES)
    assert sum(macs.values()) == math.prod(y.shape) * 3 * 3 * C
    assert math.prod(variables["params"]["kernel"].shape) == 2 * 2 * FEATURES * 3 * 3 * C


def test_what_does_not_fit_is_refused(rng):
    with pytest.raises(WindowError, match="window of 7 does not fit 6 pixels"):
        jax.eval_shape(LocallyConnected(1, 7).init, rng, np.zeros((1, 6, 9, 1)))
    with pytest.raises(ValueError, match=r"shape \(1, 6\); \[N, H, W, C\] is needed"):
        jax.eval_shape(LocallyConnected(1, 3).init, rng, np.zeros((1, 6)))
