from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.layers.batch_norm import BatchNorm, BatchNormalization
from tests.layers.batch_norm_by_loops import (
    CHANNELS,
    HOW,
    SHAPES,
    assert_close,
    by_loops,
    compiled,
    gradients_of,
    normalize,
    random_input,
    random_variables,
)


@pytest.mark.parametrize("shape", SHAPES)
def test_evaluation_uses_the_running_statistics_and_leaves_them(draw, shape):
    x, variables = random_input(draw, shape), random_variables(draw)
    found = compiled(variables, x, train=False)
    assert_close(found, by_loops(x, variables, train=False))
    np.testing.assert_array_equal(found.mean, variables["batch_stats"]["mean"])
    one = compiled(variables, x[3:4], train=False).y  # each row by itself
    np.testing.assert_allclose(one, found.y[3:4], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "how",
    [
        HOW,
        BatchNorm(epsilon=1e-5, momentum=0.7, unbiased=True),
        BatchNorm(scale=False, momentum=0.0),
    ],
)
def test_training_normalises_by_the_batch_and_updates_the_statistics(draw, shape, how):
    x, variables = random_input(draw, shape), random_variables(draw, scale=how.scale)
    found = compiled(variables, x, how=how)
    assert_close(found, by_loops(x, variables, how, train=True))


@pytest.mark.parametrize("train", [False, True])
def test_flax_gives_the_same(draw, train):
    """To rounding: both sum in the order that the compiler chooses."""
    x, variables, weights = (
        random_input(draw),
        random_variables(draw),
        draw.standard_normal(SHAPES[0]),
    )
    theirs = nn.BatchNorm(
        use_running_average=not train, momentum=HOW.momentum, epsilon=HOW.epsilon
    )

    def ours(variables, x):
        results = normalize(variables, x, train=train)
        return results.y, {"mean": results.mean, "var": results.var}

    def flax(variables, x):
        y, new = theirs.apply(variables, x, mutable=["batch_stats"])
        return y, new.get("batch_stats", variables["batch_stats"])

    @partial(jax.jit, static_argnums=0)
    def compute(form, variables, x):
        y, pull, new = jax.vjp(
            lambda p, x: form(variables | {"params": p}, x),
            variables["params"],
            x,
            has_aux=True,
        )
        return y, new, pull(weights.astype(y.dtype))

    assert_close(compute(ours, variables, x), compute(flax, variables, x), 1e-6, 4e-6)


def test_the_gradient_is_that_of_the_paper(draw):
    """Ioffe and Szegedy 2015, Section 3, the chain rule through mean and variance."""
    with jax.enable_x64(True):
        x, variables = (
            random_input(draw, dtype=np.float64),
            random_variables(draw, np.float64),
        )
        weights = draw.standard_normal(x.shape)
        (params, found), _ = gradients_of(variables, x, weights)
        found, params = np.asarray(found), jax.tree.map(np.asarray, params)
    assert found.dtype == np.float64
    over = (0, 1, 2)
    root = 1 / np.sqrt(x.var(over) + HOW.epsilon)
    normal = (x - x.mean(over)) * root
    expected = weights - weights.mean(over) - normal * (weights * normal).mean(over)
    np.testing.assert_allclose(
        found, variables["params"]["scale"] * root * expected, rtol=1e-9, atol=1e-12
    )
    np.testing.assert_allclose(params["scale"], (weights * normal).sum(over), rtol=1e-10)
    np.testing.assert_allclose(params["bias"], weights.sum(over), rtol=1e-10)


def test_half_precision_is_computed_in_float32(draw):
    """With a mean of 100, sums of squares in bfloat16 (8 bits) would lose the variance."""
    x = jnp.asarray(100.0 + draw.standard_normal(SHAPES[0]), jnp.bfloat16)
    variables = random_variables(draw)
    found, wide = compiled(variables, x), compiled(variables, x.astype(jnp.float32))
    assert found.y.dtype == jnp.bfloat16
    assert found.mean.dtype == found.var.dtype == jnp.float32
    np.testing.assert_array_equal(found.y, wide.y.astype(jnp.bfloat16))
    assert_close(found[1:], wide[1:])
    exact = by_loops(x.astype(jnp.float32), variables, train=True)
    # The squares, 10,000, carry 1e-3 in float32; the variance is about 1.
    np.testing.assert_allclose(found.var, exact.var, rtol=1e-3)


def test_double_precision_stays_double(draw):
    with jax.enable_x64(True):
        x, variables = (
            random_input(draw, dtype=np.float64),
            random_variables(draw, np.float64),
        )
        found = compiled(variables, x)
        assert {a.dtype for a in found} == {np.dtype("float64")}
        assert_close(found, by_loops(x, variables, train=True), 1e-12, 1e-12)
        init = partial(BatchNormalization(HOW).init, train=True)
        made = jax.eval_shape(init, jax.ShapeDtypeStruct((2,), np.uint32), x)
    # As flax's: parameters are float32 unless somebody says otherwise.
    assert {a.dtype for a in jax.tree.leaves(made)} == {np.dtype("float32")}


def test_initialisation_gives_ones_and_zeros_and_updates_nothing(draw, rng):
    x = random_input(draw)
    made = jax.jit(partial(BatchNormalization(HOW).init, train=True))(rng, x)
    zeros, ones = np.zeros(CHANNELS), np.ones(CHANNELS)
    expected = {
        "params": {"scale": ones, "bias": zeros},
        "batch_stats": {"mean": zeros, "var": ones},
    }
    jax.tree.map(np.testing.assert_array_equal, made, expected)
    bare = BatchNormalization(BatchNorm(scale=False))
    made = jax.eval_shape(partial(bare.init, train=False), rng, x)
    assert set(made["params"]) == {"bias"}


def test_a_constant_channel_gives_the_bias_and_finite_gradients(draw):
    x, variables = random_input(draw), random_variables(draw)
    x[..., 1] = 1000.1  # its mean and the mean of its squares round
    (params, dx), found = gradients_of(variables, x, np.ones_like(x))
    assert all(np.isfinite(a).all() for a in jax.tree.leaves((params, dx, found)))
    # The mean is right to 6e-5, float32's step at 1000; eps makes a factor of up to 32.
    np.testing.assert_allclose(found.y[..., 1], variables["params"]["bias"][1], atol=0.02)
    assert found.var[1] >= 0.0


def test_a_shift_and_a_scale_of_the_input_do_not_matter(draw):
    x, variables = random_input(draw), random_variables(draw)
    how = BatchNorm(epsilon=0.0)
    assert_close(
        compiled(variables, 4.0 * x + 3.0, how).y,
        compiled(variables, x, how).y,
        atol=1e-4,  # the shifted squares are larger, and with them their rounding
    )


def test_no_rows_can_be_evaluated(draw):
    none = random_input(draw)[:0]
    assert normalize(random_variables(draw), none, train=False).y.shape == (0, 4, 5, 3)
