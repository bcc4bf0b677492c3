"""Group correlation against the paper's sums, and its symmetry."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.kernels.pooling import max_pool
from cnn_jax.layers.group_convolution import (
    GroupConvolution,
    orientation_max,
    over_orientations,
    planar_kernel,
)
from cnn_jax.maths.plane_groups import GROUPS, transformed

quick_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
TURN, MIRROR = np.array([[0, -1], [1, 0]]), np.diag([1, -1])
ELEMENTS = {
    "z2": [np.eye(2)],
    "p4": [np.linalg.matrix_power(TURN, k) for k in range(4)],
}
ELEMENTS["p4m"] = ELEMENTS["p4"] + [g @ MIRROR for g in ELEMENTS["p4"]]


def correlated_by_definition(maps, kernel, elements):
    """[f * psi](g) = sum_h sum_k f_k(h) psi_k(g^-1 h), Equations 10 and 11, term by term.

    ``maps`` [H, W, U, in] with U = 1 for the plane; ``kernel`` [k, k, U, in, out].
    """
    height, width, orientations, _ = maps.shape
    size, outputs = kernel.shape[0], kernel.shape[-1]
    half = (size - 1) / 2
    result = np.zeros((height - size + 1, width - size + 1, len(elements), outputs))
    for row, column, s in itertools.product(*map(range, result.shape[:3])):
        inverse = np.linalg.inv(elements[s])
        for y, x, u in itertools.product(range(height), range(width), range(orientations)):
            inside = inverse @ (y - row - half, x - column - half) + half
            i, j = np.rint(inside).astype(int)
            if not (0 <= i < size and 0 <= j < size):
                continue
            v = 0
            if orientations > 1:
                moved = inverse @ elements[u]
                v = next(n for n, e in enumerate(elements) if np.allclose(e, moved))
            result[row, column, s] += maps[y, x, u] @ kernel[i, j, v]
    return result


def drawn(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def assert_equal(found, expected):
    # Relative to the largest value: float32 sums of up to 9 * 8 * 3 terms.
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize(
    ("group", "lifts", "size"),
    [("p4", True, 3), ("p4m", True, 2), ("p4", False, 2), ("p4m", False, 3)],
)
def test_it_is_the_sum_of_the_paper(group, lifts, size):
    orientations = 1 if lifts else GROUPS[group].order
    x = drawn((1, 5, 4, orientations, 2))
    kernel, bias = drawn((size, size, orientations, 2, 3), 1), drawn((3,), 2)
    layer = GroupConvolution(3, size, group)
    y = quick_jit(layer.apply)({"params": {"kernel": kernel, "bias": bias}}, x)
    expected = correlated_by_definition(x[0], kernel, ELEMENTS[group]) + bias
    assert_equal(y[0], expected)


def in_every_pose(group, x):
    """Return L_g x for every g, the elements one after the other in the batch."""
    plane = GROUPS[group]
    return np.concatenate([transformed(plane, g, x) for g in range(plane.order)])


def applied(layer, x):
    """Return the layer's output for weights that NumPy draws."""
    inputs = x.shape[-2:]
    kernel = drawn((layer.kernel_size,) * 2 + inputs + (layer.features,), 1)
    variables = {"params": {"kernel": kernel, "bias": drawn((layer.features,), 2)}}
    return np.asarray(quick_jit(layer.apply)(variables, x))


@pytest.mark.parametrize(
    ("group", "lifts", "kernel", "stride", "padding", "size"),
    [
        ("p4", True, 2, 1, 0, 5),
        ("p4", False, 3, 2, 1, 7),
        ("p4m", True, 3, 2, 0, 7),
        ("p4m", False, 2, 1, 0, 6),
        ("p4m", False, 3, 1, 1, 6),
    ],
)
def test_turning_the_input_turns_the_maps_and_exchanges_orientations(
    group, lifts, kernel, stride, padding, size
):
    order = GROUPS[group].order
    x = drawn((1, size, size, 1 if lifts else order, 3))
    y = applied(
        GroupConvolution(2, kernel, group, stride, padding), in_every_pose(group, x)
    )
    assert y.shape[3:] == (order, 2)
    assert_equal(y, in_every_pose(group, y[:1]))


def test_windows_that_lie_unevenly_break_the_symmetry():
    # 6 + 2 - 3 = 5 is no multiple of the stride: the last row and column are never centres.
    layer = GroupConvolution(1, 3, "p4", stride=2, padding=1)
    y = applied(layer, in_every_pose("p4", drawn((1, 6, 6, 1, 1))))
    assert np.abs(y - in_every_pose("p4", y[:1])).max() > 0.1 * np.abs(y).max()


def test_pooling_keeps_the_symmetry():
    x = drawn((1, 7, 7, 8, 2))
    poses = in_every_pose("p4m", x)
    pool = partial(over_orientations, partial(max_pool, size=3, stride=2))
    y = np.asarray(quick_jit(pool)(poses))
    assert y.shape == (8, 3, 3, 8, 2)
    for row, column in np.ndindex(3, 3):  # each orientation by itself
        window = x[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
        assert (y[:1, row, column] == window.max((1, 2))).all()
    assert (y == in_every_pose("p4m", y[:1])).all()


def test_coset_pooling_leaves_maps_on_the_plane():
    x = drawn((1, 4, 4, 8, 2))
    y = np.asarray(quick_jit(orientation_max)(in_every_pose("p4m", x)))
    assert (y[:1, ..., 0, :] == x.max(3)).all()
    assert (y == in_every_pose("p4m", y[:1])).all()


def test_on_the_plane_it_is_an_ordinary_convolution():
    kernel = drawn((3, 3, 1, 2, 4))
    found = quick_jit(partial(planar_kernel, group="z2"))(kernel)
    assert (found == kernel[:, :, 0]).all()


def test_the_gradient_of_a_kernel_sums_over_its_turned_copies():
    kernel = jnp.asarray(drawn((2, 2, 4, 1, 1)))
    weights = drawn((2, 2, 4, 4), 1)
    gradient = quick_jit(jax.grad(lambda k: (planar_kernel(k, "p4") * weights).sum()))(
        kernel
    )
    # The gradient of the sum of all copies: what the inverse turns make of the weights.
    expected = np.zeros((2, 2, 4))
    for s in range(4):
        back = GROUPS["p4"].inverses[s]
        expected += transformed(GROUPS["p4"], back, weights[None, :, :, :, s, None])[
            0, ..., 0
        ]
    np.testing.assert_allclose(gradient[..., 0, 0], expected, rtol=1e-5, atol=1e-6)


def test_a_map_of_another_group_is_refused():
    with pytest.raises(ValueError, match="4 orientations: a map on p4m has 8"):
        planar_kernel(drawn((3, 3, 4, 1, 1)), "p4m")
    with pytest.raises(ValueError, match="'c4' is not one of"):
        planar_kernel(drawn((3, 3, 1, 1, 1)), "c4")
