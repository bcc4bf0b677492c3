import jax
import numpy as np
import pytest

from cnn_jax.analysis.compute import counted_macs
from cnn_jax.layers.connection_table import ConnectionTableConv, TableConv, connected

TABLE = ("X X", " XX", "XXX", "X  ")  # four input maps, three output maps
SEES = [[0, 2, 3], [1, 2], [0, 1, 2]]


def by_loops(x, params, row):
    """Every unit as a sum over its own connections."""
    pad = (row.padding, row.padding)
    x = np.pad(np.float64(x), ((0, 0), pad, pad, (0, 0)), constant_values=row.background)
    places = [(edge - row.kernel) // row.stride + 1 for edge in x.shape[1:3]]
    y = np.zeros((len(x), *places, 3))
    for n, r, c in np.ndindex(y.shape[:3]):
        down, right = r * row.stride, c * row.stride
        window = x[n, down : down + row.kernel, right : right + row.kernel]
        connection = 0
        for o, inputs in enumerate(SEES):
            bias = params["bias"][r, c, o] if row.bias_per_unit else params["bias"][o]
            y[n, r, c, o] = bias
            for i in inputs:
                y[n, r, c, o] += (window[..., i] * params["kernel"][..., connection]).sum()
                connection += 1
    return y


@pytest.mark.parametrize(
    "row",
    [
        TableConv("c", TABLE, 3),
        TableConv("c", TABLE, 5, 2, 2, background=-1.0, bias_per_unit=True),
    ],
)
def test_a_map_sees_the_maps_of_its_column_only(draw, row):
    layer = ConnectionTableConv(row)
    x = draw.standard_normal((2, 8, 6, 4), np.float32)
    with counted_macs() as macs:
        y, variables = jax.eval_shape(layer.init_with_output, jax.random.key(0), x)
    shapes = variables["params"]
    units = y.shape[1:3]
    assert shapes["kernel"].shape == (row.kernel, row.kernel, 8)
    assert shapes["bias"].shape == ((*units, 3) if row.bias_per_unit else (3,))
    assert list(macs.values()) == [2 * units[0] * units[1] * 8 * row.kernel**2]

    params = {k: draw.standard_normal(v.shape, np.float32) for k, v in shapes.items()}
    # float32 sums of at most 75 products of size 1
    np.testing.assert_allclose(
        jax.jit(layer.apply)({"params": params}, x), by_loops(x, params, row), atol=3e-5
    )


def test_a_map_that_is_not_connected_changes_nothing(draw):
    layer = ConnectionTableConv(TableConv("c", TABLE, 3))
    x = draw.standard_normal((1, 5, 5, 4), np.float32)
    params = {
        "kernel": draw.standard_normal((3, 3, 8), np.float32),
        "bias": np.zeros(3, np.float32),
    }

    other = x + np.eye(4, dtype=np.float32)[3]
    maps = jax.jit(layer.apply)({"params": params}, np.concatenate([x, other]))
    changed = np.abs(maps[1] - maps[0]).max((0, 1))
    assert (changed > 0).tolist() == [True, False, False]  # bit by bit elsewhere


@pytest.mark.parametrize(
    ("connections", "message"),
    [
        (("XX", "X"), "rows of one length"),
        ((), "rows of one length"),
        (("X", ""), "rows of one length"),
        (("Xo", "XX"), "only X and space"),
        (("X ", "X "), "a map has no connection"),
        (("XX", "  "), "a map has no connection"),
    ],
)
def test_tables_that_are_none_are_refused(connections, message):
    with pytest.raises(ValueError, match=message):
        connected(connections)


def test_an_input_with_another_number_of_maps_is_refused(rng):
    layer = ConnectionTableConv(TableConv("c3", TABLE, 3))
    message = r"c3: its table connects 4 input maps; .* shape \(5, 5, 6\)"
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(layer.init, rng, np.zeros((1, 5, 5, 6), np.float32))
