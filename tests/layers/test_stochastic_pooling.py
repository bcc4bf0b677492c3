from functools import partial

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from cnn_jax.layers.stochastic_pooling import StochasticPool
from cnn_jax.maths.geometry import WindowError

# Vilaplana's map of the pooling slides.
LECTURE = np.array(
    [[4, 1, 5, 2, 2, 6], [1, 2, 9, 0, 2, 4], [2, 2, 6, 4, 0, 2], [3, 1, 0, 3, 3, 1]],
    np.float32,
)


@partial(jax.jit, static_argnums=0)
def _train(layer, x, key):
    return layer.apply({}, x, train=True, rngs={"dropout": key})


def _by_loops(x, size, stride):
    """Zeiler and Fergus 2013, equation 6, with windows over the end cut off there."""
    batch, height, width, channels = x.shape
    rows, columns = (-(-(n - size) // stride) + 1 for n in (height, width))
    out = np.zeros((batch, rows, columns, channels))
    for n, i, j, c in np.ndindex(out.shape):
        window = x[n, i * stride :, j * stride :, c][:size, :size].ravel()
        if window.sum() > 0:
            out[n, i, j, c] = (window / window.sum() * window).sum()
    return out


def test_evaluation_gives_the_expected_values_of_the_lectures_map():
    pooled = StochasticPool(2, 2).apply({}, LECTURE[None, :, :, None], train=False)
    np.testing.assert_allclose(
        pooled[0, :, :, 0],
        [[2.75, 6.875, 4.2857142857], [2.25, 4.6923076923, 2.3333333333]],
        rtol=1e-6,  # float32
    )


def test_evaluation_equals_a_loop_with_windows_over_the_end(draw):
    x = np.maximum(draw.standard_normal((2, 8, 7, 3)), 0.0).astype(np.float32)
    found = StochasticPool(3, 2, ceil=True).apply({}, x, train=False)
    np.testing.assert_allclose(found, _by_loops(x, 3, 2), rtol=1e-5)


def test_training_draws_each_value_as_often_as_it_is_large(rng):
    rows = 4000
    x = np.broadcast_to(LECTURE[None, :2, :4, None], (rows, 2, 4, 1))
    drawn = np.asarray(_train(StochasticPool(2, 2), x, rng))[:, 0, :, 0]
    for window, values in zip(([4, 1, 1, 2], [5, 2, 9, 0]), drawn.T, strict=True):
        assert set(values) <= set(window) - {0}
        for value in set(window):
            chance = value * window.count(value) / sum(window)
            # Five standard deviations of a share of 4,000 draws.
            assert (values == value).mean() == pytest.approx(chance, abs=0.04)


@partial(jax.jit, static_argnums=0)
def _with_gradients(layer, x, key):
    """Both outputs, and the gradients of their sums."""

    def compute(x, train):
        y = layer.apply({}, x, train=train, rngs={"dropout": key})
        return y.sum(), y

    return [jax.grad(compute, has_aux=True)(x, train) for train in (True, False)]


def test_a_window_of_zeros_gives_zero_and_finite_gradients(rng):
    for gradient, y in _with_gradients(StochasticPool(2, 2), np.zeros((2, 4, 4, 3)), rng):
        assert not y.any()
        assert np.isfinite(gradient).all()


def test_the_gradient_goes_to_what_was_drawn(rng, draw):
    x = draw.uniform(1.0, 2.0, (2, 4, 4, 3)).astype(np.float32)
    gradient, drawn = _with_gradients(StochasticPool(2, 2), x, rng)[0]
    assert set(np.unique(gradient)) == {0.0, 1.0}
    # All values differ, so each drawn one tells where it comes from.
    assert set(x[np.asarray(gradient) == 1.0]) == set(np.asarray(drawn).ravel())


def test_negative_values_are_never_drawn(rng):
    x = np.tile(np.array([[-5.0, 1.0], [-1.0, 0.0]], np.float32), (2, 2, 2))
    x = x.reshape(2, 4, 4, 1).repeat(3, -1)
    drawn = _with_gradients(StochasticPool(2, 2), x, rng)[0][1]
    assert set(np.asarray(drawn).ravel()) == {1.0}


def test_draws_depend_on_the_position_in_the_batch_and_not_on_the_device(rng, draw):
    x = draw.uniform(0.0, 1.0, (8, 6, 6, 2)).astype(np.float32)
    layer = StochasticPool(3, 3)
    whole = _train(layer, x, rng)
    assert (_train(layer, x, jax.random.fold_in(rng, 1)) != whole).any()
    moved = _train(layer, np.concatenate([x[:4], x[:4]]), rng)
    np.testing.assert_array_equal(moved[:4], whole[:4])
    assert (moved[4:] != whole[:4]).any()
    if jax.device_count() < 2:
        pytest.skip("the rest needs two devices")
    mesh = jax.make_mesh(
        (2,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:2]
    )
    split = jax.device_put(x, NamedSharding(mesh, PartitionSpec("data")))
    found = _train(layer, split, rng)
    assert len(found.sharding.device_set) == 2
    np.testing.assert_array_equal(found, whole)


def test_a_window_that_does_not_fit_is_refused():
    with pytest.raises(WindowError, match="a window of 3 does not fit 2 pixels"):
        StochasticPool(3, 2).apply({}, np.ones((1, 2, 2, 1)), train=False)
