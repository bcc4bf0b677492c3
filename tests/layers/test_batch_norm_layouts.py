"""Batch normalisation of batches that lie on several devices, or are taken in parts."""

from functools import partial

import flax.linen as nn
import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from cnn_jax.layers.batch_layout import BatchLayout, batch_layout
from cnn_jax.layers.batch_norm import BatchNorm, BatchNormalization
from tests.layers.batch_norm_by_loops import (
    HOW,
    ROWS,
    SHAPES,
    Results,
    assert_close,
    by_loops,
    compiled,
    gradients_of,
    normalize,
    random_input,
    random_variables,
)


def test_parts_are_normalised_each_by_itself(draw):
    x, variables, rows = random_input(draw), random_variables(draw), 2
    weights = draw.standard_normal(x.shape).astype(np.float32)
    (params, dx), found = gradients_of(
        variables, x, weights, BatchLayout(statistics_rows=rows)
    )
    assert_close(found, by_loops(x, variables, train=True, rows=rows))
    parts = [
        gradients_of(variables, x[i : i + rows], weights[i : i + rows])
        for i in range(0, ROWS, rows)
    ]
    assert_close(dx, np.concatenate([gradients[1] for gradients, _ in parts]))
    assert_close(params, jax.tree.map(lambda *g: sum(g), *[g[0] for g, _ in parts]))
    for name in ("mean", "var"):  # what each part alone would leave, averaged
        alone = [getattr(results, name) for _, results in parts]
        assert_close(getattr(found, name), np.mean(alone, 0))


@pytest.mark.parametrize("rows", [1, ROWS])
def test_a_part_is_anything_from_one_row_to_the_batch(draw, rows):
    x, variables = random_input(draw), random_variables(draw)
    found = compiled(variables, x, layout=BatchLayout(statistics_rows=rows))
    assert_close(found, by_loops(x, variables, train=True, rows=rows))


def test_parts_take_the_unbiased_variance_of_one_part(draw):
    x, variables = random_input(draw, SHAPES[1]), random_variables(draw)
    how = BatchNorm(unbiased=True)
    found = compiled(variables, x, how, BatchLayout(statistics_rows=4))
    assert_close(found, by_loops(x, variables, how, train=True, rows=4))
    # One value has no unbiased variance; nothing becomes infinite or NaN.
    lone = compiled(variables, x, how, BatchLayout(statistics_rows=1))
    np.testing.assert_allclose(lone.var, 0.9 * variables["batch_stats"]["var"], rtol=1e-6)


def _devices():
    if jax.device_count() < 2:
        pytest.skip("needs two devices")
    return jax.make_mesh(
        (2,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:2]
    )


def _halves(a):
    return a.reshape(2, ROWS // 2, *a.shape[1:])


def _on_vmap(function):
    return jax.jit(jax.vmap(function, in_axes=(None, 0, 0), axis_name="data"))


def _on_pmap(function):
    return jax.pmap(
        function, in_axes=(None, 0, 0), axis_name="data", devices=jax.devices()[:2]
    )


@pytest.mark.parametrize("rows", [None, 2])
def test_rows_on_two_devices_are_one_batch(draw, rows):
    """With one all-reduce of its moments, or, in parts, of their running statistics."""
    _devices()
    x, variables, how = random_input(draw), random_variables(draw), BatchNorm(unbiased=True)
    weights = draw.standard_normal(x.shape).astype(np.float32)

    def both(variables, x, weights, axis_name=None):
        layout = BatchLayout(axis_name=axis_name, statistics_rows=rows)

        def loss(params, x):
            results = normalize(variables | {"params": params}, x, how, layout)
            return (results.y * weights).sum(), results

        gradients, results = jax.grad(loss, (0, 1), has_aux=True)(variables["params"], x)
        return *gradients, results

    params, dx, results = jax.jit(both)(variables, x, weights)
    assert_close(results, by_loops(x, variables, how, train=True, rows=rows or ROWS))
    for strategy in (_on_vmap, _on_pmap):
        parted = strategy(partial(both, axis_name="data"))(
            variables, _halves(x), _halves(weights)
        )
        assert_close(np.concatenate(parted[2].y), results.y)
        assert_close(np.concatenate(parted[1]), dx)
        assert_close(jax.tree.map(lambda g: g.sum(0), parted[0]), params)
        for device in (0, 1):
            assert_close(parted[2].mean[device], results.mean)
            assert_close(parted[2].var[device], results.var)


@pytest.mark.parametrize("rows", [None, 2])
def test_jit_over_a_mesh_is_one_batch(draw, rows):
    x, variables = random_input(draw), random_variables(draw)
    weights = draw.standard_normal(x.shape).astype(np.float32)
    layout = BatchLayout(statistics_rows=rows)
    sharding = NamedSharding(_devices(), PartitionSpec("data"))
    split = jax.device_put((x, weights), sharding)
    found = gradients_of(variables, *split, layout)
    assert len(found[1].y.sharding.device_set) == 2
    assert_close(found, gradients_of(variables, x, weights, layout))


def test_shard_map_is_one_batch(draw):
    x, variables = random_input(draw), random_variables(draw)
    mesh, rows, all_ = _devices(), PartitionSpec("data"), PartitionSpec()
    layout = BatchLayout(axis_name="data")

    @jax.jit
    def gradient(x):
        mapped = jax.shard_map(
            lambda v, x: normalize(v, x, layout=layout),
            mesh=mesh,
            in_specs=(all_, rows),
            out_specs=Results(rows, all_, all_),
        )

        def loss(x):
            results = mapped(variables, x)
            return (results.y**3).sum(), results

        return jax.grad(loss, has_aux=True)(x)

    @jax.jit
    def expected(x):
        def loss(x):
            results = normalize(variables, x)
            return (results.y**3).sum(), results

        return jax.grad(loss, has_aux=True)(x)

    # Cubes of values up to 6, summed: ten times the rounding of the outputs.
    assert_close(gradient(x), expected(x), 1e-4, 1e-4)


class TwoLayers(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
        x = BatchNormalization(HOW, name="first")(x, train=train)
        return BatchNormalization(HOW, name="second")(x, train=train)


def test_a_frozen_layer_keeps_to_its_running_statistics(draw):
    x = random_input(draw, SHAPES[1])
    first, second = random_variables(draw), random_variables(draw)
    variables = {k: {"first": first[k], "second": second[k]} for k in first}

    @jax.jit
    def two_layers(variables, x):
        with batch_layout(BatchLayout(frozen=frozenset({"first"}))):
            return TwoLayers().apply(variables, x, train=True, mutable=["batch_stats"])

    y, new = two_layers(variables, x)
    inner = by_loops(x, first, train=False)
    outer = by_loops(inner.y, second, train=True)
    assert_close(y, outer.y)
    for name in ("mean", "var"):
        np.testing.assert_array_equal(
            new["batch_stats"]["first"][name], first["batch_stats"][name]
        )
        assert_close(new["batch_stats"]["second"][name], getattr(outer, name))


def test_a_frozen_layer_takes_any_number_of_rows(draw):
    x, variables = random_input(draw), random_variables(draw)
    layout = BatchLayout(statistics_rows=3, frozen=frozenset({"first"}))

    class One(nn.Module):
        @nn.compact
        def __call__(self, x):
            return BatchNormalization(HOW, name="first")(x, train=True)

    nested = {k: {"first": v} for k, v in variables.items()}
    with batch_layout(layout):
        y = One().apply(nested, x)  # updates nothing, so nothing need be mutable
    assert_close(y, by_loops(x, variables, train=False).y)


@pytest.mark.parametrize("rows", [3, 16, 0, -2])
def test_parts_that_do_not_fit_are_refused(draw, rows):
    expected = f"8 rows cannot be normalised in parts of {rows} rows"
    with pytest.raises(ValueError, match=expected):
        normalize(
            random_variables(draw),
            random_input(draw),
            layout=BatchLayout(statistics_rows=rows),
        )
