"""Steerable layers: what goes in turned comes out turned."""

from functools import partial

import jax
import numpy as np
import pytest

from cnn_jax.layers.batch_norm import BatchNorm
from cnn_jax.layers.group_convolution import planar_kernel as group_kernel
from cnn_jax.layers.steerable import (
    CapsuleNorm,
    Capsules,
    SteerableConvolution,
    blocks,
    capsule_mean,
    channels_of,
    filter_bank,
    planar_kernel,
    rectified_type,
    rectify,
)
from cnn_jax.maths.intertwiners import intertwiners, representation
from cnn_jax.maths.plane_groups import GROUPS, P4M

KEY = jax.random.key(0)
quick_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def kernel_of(coefficients, bank):
    return quick_jit(lambda c: planar_kernel(c, bank))(coefficients)


SIGNED = (Capsules("regular", 2), Capsules("a2", 1), Capsules("e", 2), Capsules("b1", 3))
POSITIVE = rectified_type(SIGNED)


def turned(kinds, g, x):
    """[pi(g) f](y) = rho(g) f(g^-1 y), with numpy's turns."""
    picture = np.rot90(x[:, :, ::-1] if g >= 4 else x, g % 4, axes=(1, 2))
    parts = [
        np.einsum("pd,nhwdm->nhwpm", representation(c.kind)[g], block).reshape(
            *picture.shape[:-1], -1
        )
        for c, block in blocks(picture, kinds)
    ]
    return np.concatenate(parts, -1)


def in_every_pose(kinds, x, order=8):
    return np.concatenate([turned(kinds, g, x) for g in range(order)])


def assert_equal(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("group", "inputs", "outputs", "kernel", "stride", "size"),
    [
        ("p4m", SIGNED, POSITIVE, 3, 2, 7),
        ("p4m", (Capsules("a1", 3),), (Capsules("e", 1), Capsules("regular", 1)), 2, 1, 5),
        ("p4", POSITIVE, SIGNED, 3, 1, 5),
    ],
)
def test_a_convolution_is_equivariant(group, inputs, outputs, kernel, stride, size, draw):
    order = GROUPS[group].order
    layer = SteerableConvolution(inputs, outputs, kernel, group, stride)
    x = np.float32(draw.normal(size=(1, size, size, channels_of(inputs))))
    y, variables = quick_jit(layer.init_with_output)(
        jax.random.key(0), in_every_pose(inputs, x, order)
    )
    y = np.asarray(y)
    assert np.ptp(y) > 0.1
    assert_equal(y, in_every_pose(outputs, y[:1], order))
    # Each pair of copies has the coefficients of its pair of kinds.
    count = sum(
        len(intertwiners(GROUPS[group], before.kind, after.kind, kernel))
        * before.copies
        * after.copies
        for before in inputs
        for after in outputs
    )
    assert variables["params"]["coefficients"].shape == (count,)


def test_a_kernel_is_the_sum_of_coefficients_times_basis_filters(draw):
    inputs, outputs = (Capsules("a2", 2), Capsules("e", 3)), (Capsules("regular", 2),)
    bank = filter_bank("p4m", inputs, outputs, 3)
    coefficients = draw.normal(size=len(bank.deviations)).astype(np.float32)
    kernel = np.asarray(kernel_of(coefficients, bank))
    rest, row = coefficients, 0
    for before in inputs:
        basis = intertwiners(P4M, before.kind, "regular", 3)
        count = len(basis) * before.copies * 2
        weights, rest = rest[:count].reshape(-1, before.copies, 2), rest[count:]
        expected = np.einsum("byxpq,bio->yxpiqo", basis, weights).reshape(3, 3, -1, 16)
        found = kernel[:, :, row : row + before.channels]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        row += before.channels
    assert len(rest) == 0


def test_every_output_has_the_variance_of_he_et_al(draw):
    kinds = (Capsules("regular", 8), Capsules("e", 16), Capsules("a1", 8))
    bank = filter_bank("p4m", kinds, kinds, 3)
    drawn = np.float32(draw.normal(size=len(bank.deviations)))
    kernel = np.asarray(kernel_of(drawn * bank.deviations, bank))
    squares = np.square(kernel).sum((0, 1, 2))
    for _, block in blocks(squares[None, None, None], kinds):
        # 2 for each output; a1 has 8 of them, sums of 200 draws: deviation 0.07.
        assert np.mean(block) == pytest.approx(2.0, abs=0.2)


def test_regular_filters_are_those_of_a_group_convolution(draw):
    kinds = (Capsules("regular", 1),)
    bank = filter_bank("p4m", kinds, kinds, 3)
    coefficients = draw.normal(size=len(bank.deviations)).astype(np.float32)
    kernel = np.asarray(kernel_of(coefficients, bank))
    # What leads to orientation 0 is the filter; all else, its turned copies.
    filters = kernel[:, :, :, None, :1]
    expected = quick_jit(partial(group_kernel, group="p4m"))(filters)
    np.testing.assert_array_equal(kernel, expected)


def test_rectifying_normalising_and_taking_means_are_equivariant(draw):
    x = np.float32(draw.normal(size=(2, 4, 4, channels_of(SIGNED))))
    norm = CapsuleNorm(POSITIVE, BatchNorm())

    @quick_jit
    def run(x):
        y = rectify(x, SIGNED)
        z, variables = norm.init_with_output(KEY, y, train=True)
        return y, z, capsule_mean(z, POSITIVE), variables

    y, z, means, variables = jax.tree.map(np.asarray, run(x))
    assert (y >= 0).all()
    assert y.shape[-1] == channels_of(POSITIVE) == 16 + 2 + 8 + 6
    assert variables["params"]["rectified_e"]["scale"].shape == (2,)
    assert means.shape == (2, 4, 4, 2 + 1 + 2 + 3)
    for g in (1, 4, 7):
        rectified, normal, mean, _ = run(turned(SIGNED, g, x))
        assert_equal(rectified, turned(POSITIVE, g, y))
        assert_equal(normal, turned(POSITIVE, g, z))
        invariant = (Capsules("a1", means.shape[-1]),)
        assert_equal(mean, turned(invariant, g, means))


def test_what_does_not_fit_is_refused(draw):
    x = np.float32(draw.normal(size=(1, 5, 5, 3)))
    image = (Capsules("a1", 3),)
    with pytest.raises(ValueError, match="no filter of 3 x 3 pixels leads to a2"):
        SteerableConvolution(image, (Capsules("a2", 1),), 3, "p4m").init(KEY, x)
    with pytest.raises(
        ValueError,
        match=r"has 3 channels; 24 are needed, .* 2 regular, 1 a2",
    ):
        SteerableConvolution(SIGNED, image, 3, "p4m").init(KEY, x)
    with pytest.raises(ValueError, match="b1 changes signs"):
        CapsuleNorm((Capsules("b1", 3),), BatchNorm()).init(KEY, x, train=True)
    with pytest.raises(ValueError, match="e: 0 copies"):
        Capsules("e", 0)
    with pytest.raises(ValueError, match="'z' is not one of"):
        Capsules("z", 1)
