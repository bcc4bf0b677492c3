import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from scipy.special import ndtr

from cnn_jax.analysis.compute import layer_macs
from cnn_jax.layers import drop_connect
from cnn_jax.layers.activations import Maxout, PReLU, identity, relu, tanh
from cnn_jax.layers.batch_layout import BatchLayout, batch_layout
from cnn_jax.layers.drop_connect import DropConnect, masked_products
from cnn_jax.layers.editing import resize, without
from cnn_jax.layers.rows import Classifier, DropConnectDense
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.layers.tracing import count_parameters, trace_variables

ROWS, INPUTS, UNITS = 4, 6, 5


def _params(draw, inputs=INPUTS, units=UNITS, dtype=np.float32):
    tree = {
        "kernel": draw.standard_normal((inputs, units)) / math.sqrt(inputs),
        "bias": draw.standard_normal(units),
    }
    return {"params": {"dense": jax.tree.map(lambda a: a.astype(dtype), tree)}}


def _rows(draw, rows=ROWS, inputs=INPUTS, dtype=np.float32):
    return draw.standard_normal((rows, inputs)).astype(dtype)


def _train(layer, variables, x, key, first_row=0):
    return _compiled_training(layer, variables, x, key, first_row)


@partial(jax.jit, static_argnums=0)
def _compiled_training(layer, variables, x, key, first_row):
    with batch_layout(BatchLayout(first_row=first_row)):
        return layer.apply(variables, x, train=True, rngs={"dropout": key})


@partial(jax.jit, static_argnums=0)
def _evaluate(layer, variables, x):
    return layer.apply(variables, x, train=False)


@partial(jax.jit, static_argnums=(1, 2))
def _masks(keys, inputs, units, keep):
    """Return M, [rows, inputs, units]: unit j's column from the row's key folded with j."""

    def column(key, j):
        return jax.random.bernoulli(jax.random.fold_in(key, j), keep, (inputs,))

    of_row = jax.vmap(column, (None, 0), out_axes=1)
    return jax.vmap(of_row, (0, None))(keys, jnp.arange(units))


@pytest.mark.parametrize(
    "at_once", [2 * ROWS * INPUTS, pytest.param(2**20, marks=pytest.mark.slow)]
)
def test_products_and_gradients_by_loops(draw, rng, monkeypatch, at_once):
    """With the masks of two units held at once, of five, so one is left; or of all."""
    monkeypatch.setattr(drop_connect, "_MASK_VALUES", at_once)
    v, w, g = _rows(draw), _rows(draw, INPUTS, UNITS), _rows(draw, ROWS, UNITS)

    @jax.jit
    def compute(key, v, w, keep):
        keys = jax.random.split(key, ROWS)
        u, pull = jax.vjp(lambda v, w: masked_products(keys, v, w, keep), v, w)
        return keys, u, *pull(g)

    for keep in (0.5, 1.0):
        keys, *found = compute(rng, v, w, keep)
        masks = np.asarray(_masks(keys, INPUTS, UNITS, keep))
        expected = np.zeros((ROWS, UNITS)), np.zeros_like(v), np.zeros_like(w)
        for n, i, j in zip(*masks.nonzero(), strict=True):
            expected[0][n, j] += w[i, j] * v[n, i]
            expected[1][n, i] += w[i, j] * g[n, j]
            expected[2][i, j] += v[n, i] * g[n, j]
        assert keep < 1.0 or masks.all()
        for array, loop in zip(found, expected, strict=True):
            # float32, sums of six terms
            np.testing.assert_allclose(array, loop, rtol=1e-5, atol=1e-6)


def test_training_masks_weights_and_biases_of_every_row(draw, rng, monkeypatch):
    """r = a((M * W) v), the bias a weight whose input is 1."""
    seen = []
    monkeypatch.setattr(
        drop_connect,
        "masked_products",
        lambda *arguments: seen.append(arguments) or masked_products(*arguments),
    )
    x, variables = _rows(draw, inputs=INPUTS - 1), _params(draw, INPUTS - 1)
    layer = DropConnect(UNITS, keep=0.7, activation=tanh)

    @jax.jit
    def compute(key):
        y = layer.apply(variables, x, train=True, rngs={"dropout": key})
        return y, seen[0][0]

    y, keys = compute(rng)
    dense = variables["params"]["dense"]
    weights = np.vstack([dense["kernel"], dense["bias"]])
    with_one = np.hstack([x, np.ones((ROWS, 1))])
    masks = _masks(keys, INPUTS, UNITS, 0.7)
    u = np.einsum("nij,ij,ni->nj", masks, weights, with_one)
    np.testing.assert_allclose(y, np.tanh(u), rtol=1e-5, atol=1e-6)


def test_evaluation_is_the_mean_over_masks(draw, rng):
    """Monte Carlo: 4,000 masks of one input, as 4,000 rows."""
    inputs, masks = 200, 4000
    x, variables = _rows(draw, 1, inputs), _params(draw, inputs)
    u = _train(DropConnect(UNITS, activation=identity), variables, x.repeat(masks, 0), rng)
    sampled = np.maximum(u, 0.0)
    error = sampled.std(0) / math.sqrt(masks)
    found = _evaluate(DropConnect(UNITS), variables, x)[0]
    # Five standard errors; what a sum of 200 terms lacks to a Gaussian is far below one.
    assert (abs(sampled.mean(0) - found) < 5 * error).all()
    mean_only = _evaluate(DropConnect(UNITS, samples=1), variables, x)[0]
    assert (abs(sampled.mean(0) - mean_only) > 5 * error).any()
    np.testing.assert_allclose(u.mean(0), _mean_and_deviation(variables, x, 0.5)[0][0],
                               atol=5 * np.asarray(u).std() / math.sqrt(masks))  # fmt: skip


def _mean_and_deviation(variables, x, keep):
    dense = jax.tree.map(np.float64, variables["params"]["dense"])
    mean = keep * (x @ dense["kernel"] + dense["bias"])
    variance = np.square(x) @ np.square(dense["kernel"]) + np.square(dense["bias"])
    return mean, np.sqrt(keep * (1 - keep) * variance)


def test_evaluation_is_the_mean_of_the_gaussian_of_the_paper(draw):
    x, variables = _rows(draw), _params(draw)
    mean, deviation = _mean_and_deviation(variables, x, 0.8)
    ratio = mean / deviation
    exact = mean * ndtr(ratio) + deviation * np.exp(-(ratio**2) / 2) / math.sqrt(2 * np.pi)
    found = _evaluate(DropConnect(UNITS, keep=0.8), variables, x)
    assert (abs(found - exact) / deviation).max() < 0.0016 + 1e-5  # as documented
    many = _evaluate(DropConnect(UNITS, keep=0.8, samples=1000), variables, x)
    assert (abs(many - exact) / deviation).max() < 0.0002
    lone = _evaluate(DropConnect(UNITS, keep=0.8, samples=1), variables, x)
    np.testing.assert_allclose(lone, np.maximum(mean, 0.0), rtol=1e-5, atol=1e-6)


def test_with_all_weights_kept_it_is_a_dense_layer(draw):
    x, variables = _rows(draw), _params(draw)
    dense = variables["params"]["dense"]
    expected = np.maximum(x @ dense["kernel"] + dense["bias"], 0.0)
    layer = DropConnect(UNITS, keep=1.0)
    np.testing.assert_allclose(
        _evaluate(layer, variables, x), expected, rtol=1e-5, atol=1e-6
    )


def test_a_row_in_evaluation_does_not_depend_on_the_others(draw):
    x, variables = _rows(draw), _params(draw)
    order = np.array([2, 0, 3, 1])
    layer = DropConnect(UNITS)
    np.testing.assert_allclose(
        _evaluate(layer, variables, x)[order],
        _evaluate(layer, variables, x[order]),
        rtol=1e-6,  # the sums of a matrix product may be ordered by the row
        atol=1e-7,
    )


def test_the_mask_of_a_row_depends_on_its_position_in_the_global_batch(draw, rng):
    x, variables, layer = _rows(draw), _params(draw), DropConnect(UNITS)
    whole = _train(layer, variables, x, rng)
    from_two = _train(layer, variables, x[[2, 3, 0, 1]], rng, 2)
    np.testing.assert_allclose(from_two[:2], whole[2:], rtol=1e-6, atol=1e-7)
    assert (from_two[2:] != whole[:2]).any()
    other = _train(layer, variables, x, jax.random.fold_in(rng, 1))
    assert (other != whole).any()
    same = _train(layer, variables, x[[1, 1, 1, 1]], rng)
    assert len({row.tobytes() for row in np.asarray(same)}) == ROWS
    np.testing.assert_allclose(same[1], whole[1], rtol=1e-6)


def test_one_device_and_two_give_the_same(draw, rng):
    if jax.device_count() < 2:
        pytest.skip("needs two devices")
    mesh = jax.make_mesh(
        (2,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:2]
    )
    x, variables, layer = _rows(draw), _params(draw), DropConnect(UNITS)
    split = jax.device_put(x, NamedSharding(mesh, PartitionSpec("data")))

    found = _train(layer, variables, split, rng)
    assert len(found.sharding.device_set) == 2
    whole = _train(layer, variables, x, rng)
    np.testing.assert_allclose(found, whole, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("train", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_gradients_are_the_differences_in_float64(draw, rng, train):
    with jax.enable_x64(True):
        x, variables = _rows(draw, dtype=np.float64), _params(draw, dtype=np.float64)
        layer = DropConnect(UNITS, activation=tanh, samples=9)

        @jax.jit
        @partial(jax.value_and_grad, argnums=(0, 1))
        def value_and_gradients(variables, x):
            rngs = {"dropout": rng} if train else {}
            return jnp.square(layer.apply(variables, x, train=train, rngs=rngs)).sum()

        at = (variables, x)
        step = jax.tree.map(lambda a: 1e-5 * draw.standard_normal(a.shape), at)
        values, gradients = zip(
            *(
                value_and_gradients(*jax.tree.map(lambda a, d, t=t: a + t * d, at, step))
                for t in (-1, 0, 1)
            ),
            strict=True,
        )
        slopes = jax.tree.map(lambda g, d: float((g * d).sum()), gradients[1], step)
    # Central differences: the third derivative times 1e-10, and 1e-16 / 1e-5 of rounding.
    difference = float(values[2]) - float(values[0])
    assert 2 * sum(jax.tree.leaves(slopes)) == pytest.approx(difference, rel=1e-7)


def test_a_row_of_zeros_has_finite_gradients(draw):
    """Its u has no variance, and the root of 0 no derivative."""
    variables = _params(draw)
    variables["params"]["dense"]["bias"][:] = 0.0
    layer, x = DropConnect(UNITS), np.zeros((1, INPUTS), np.float32)
    value, gradients = jax.jit(
        jax.value_and_grad(lambda v, x: _evaluate(layer, v, x).sum(), (0, 1))
    )(variables, x)
    assert float(value) == 0.0
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradients))


@pytest.mark.parametrize(("activation", "outputs"), [(Maxout(5), 1), (PReLU, 5)])
def test_other_activations(draw, rng, activation, outputs):
    layer = DropConnect(UNITS, activation=activation)
    x = _rows(draw)
    for train in (False, True):
        shape, variables = jax.eval_shape(
            lambda key, train=train: layer.init_with_output(key, x, train=train), rng
        )
        assert shape.shape == (ROWS, outputs)
        assert set(variables["params"]) - {"activation"} == {"dense"}
        assert ("activation" in variables["params"]) == (activation is PReLU)


def test_as_a_row_of_a_table(draw, rng):
    table = (DropConnectDense("fc1", 7, keep=0.4, bias=0.5), Classifier("fc2"))
    net = TableNetwork(num_classes=3, input_shape=(2, 2, 1), table=table)
    assert layer_macs(net) == {"fc1/dense": 28, "fc2": 21}
    assert count_parameters(net) == 4 * 7 + 7 + 7 * 3 + 3
    assert trace_variables(resize(net, fc1=5))["params"]["fc2"]["kernel"].shape == (5, 3)
    assert count_parameters(without(net, "fc1")) == 4 * 3 + 3
    # For images of zeros only the biases speak: 0.5 or, six times in ten, 0.
    last = {"kernel": np.eye(7, 3, dtype=np.float32), "bias": np.zeros(3, np.float32)}
    first = {"kernel": np.ones((4, 7), np.float32), "bias": np.full(7, 0.5, np.float32)}
    variables = {"params": {"fc1": {"dense": first}, "fc2": last}}
    scores = _train(net, variables, np.zeros((50, 2, 2, 1), np.float32), rng)
    assert set(np.unique(scores)) == {0.0, 0.5}
    # 150 coins: the share has a deviation of 0.04.
    assert (np.asarray(scores) > 0).mean() == pytest.approx(0.4, abs=0.16)


def test_training_needs_a_random_stream_and_evaluation_none(draw):
    x, variables = _rows(draw), _params(draw)
    with pytest.raises(Exception, match="dropout"):
        DropConnect(UNITS).apply(variables, x, train=True)


@pytest.mark.parametrize(
    ("settings", "shape", "message"),
    [
        ({"keep": 0.0}, (1, 2), r"keep probability 0.0 is not in \(0, 1\]"),
        ({"keep": 1.5}, (1, 2), r"keep probability 1.5 is not in \(0, 1\]"),
        ({"samples": 0}, (1, 2), "0 samples; at least 1 is needed"),
        ({}, (1, 2, 2, 3), r"input of shape \(1, 2, 2, 3\); \[N, inputs\] is needed"),
    ],
)
def test_wrong_settings_are_refused(settings, shape, message):
    layer = DropConnect(UNITS, activation=relu, **settings)
    for train in (False, True):
        with pytest.raises(ValueError, match=message):
            layer.apply({}, jnp.ones(shape), train=train)
