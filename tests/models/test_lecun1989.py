import math

import jax
import numpy as np
import pytest

import cnn_jax
from cnn_jax.analysis.layer_table import layer_table
from cnn_jax.layers.connection_table import connected
from cnn_jax.layers.tracing import trace_variables
from cnn_jax.models.lecun1989 import TWO_OF_THREE

# name, output shape, parameters, multiply-adds, connections: LeCun et al. 1989, Section
# 3.3, "1256 units, 64,660 connections, and 9760 independent parameters".
ROWS = [
    ("h1", (8, 8, 12), 1_068, 19_200, 19_968),
    ("h2", (4, 4, 12), 2_592, 38_400, 38_592),
    ("h3", (30,), 5_790, 5_760, 5_790),
    ("output", (10,), 310, 300, 310),
]


@pytest.fixture(scope="module")
def model():
    return cnn_jax.create_model("lecun1989")


def test_every_layer_has_the_papers_sizes(model):
    table = layer_table(model)
    found = [(row.name, row.output_shape, row.parameters, row.macs) for row in table]
    assert found == [row[:4] for row in ROWS]
    units = [math.prod(row.output_shape) for row in table]
    # Every unit, of whatever layer, has a bias.
    connections = [row.macs + count for row, count in zip(table, units, strict=True)]
    assert connections == [row[4] for row in ROWS]
    assert sum(connections) == 64_660
    assert 256 + sum(units) == 1_256
    assert sum(row.parameters for row in table) == 9_760


def test_every_map_of_h2_sees_8_of_12_and_every_map_of_h1_is_seen_by_8():
    joined = connected(TWO_OF_THREE)
    assert joined.shape == (12, 12)
    assert (joined.sum(0) == 8).all()
    assert (joined.sum(1) == 8).all()


def squash(x):
    return 1.7159 * np.tanh(2.0 / 3.0 * x)


def layer(x, kernels, bias, sees):
    """Stride 2, a bias for every unit, -1 around the maps; unit by unit."""
    x = np.pad(x, ((2, 2), (2, 2), (0, 0)), constant_values=-1.0)
    y = np.zeros(bias.shape)
    ends = np.cumsum([0, *map(len, sees)])
    for r, c, o in np.ndindex(y.shape):
        window = x[2 * r : 2 * r + 5, 2 * c : 2 * c + 5][..., sees[o]]
        kernel = kernels[..., ends[o] : ends[o + 1]]
        y[r, c, o] = (window * kernel).sum() + bias[r, c, o]
    return squash(y)


def test_it_computes_what_the_paper_says(model, draw):
    x = draw.uniform(-1, 1, (2, 16, 16, 1)).astype(np.float32)
    params = jax.tree.map(
        lambda leaf: (0.2 * draw.standard_normal(leaf.shape)).astype(np.float32),
        trace_variables(model)["params"],
    )
    scores = jax.jit(lambda p, x: model.apply({"params": p}, x, train=False))(params, x)
    p = jax.tree.map(np.float64, params)
    sees = [np.nonzero(column)[0] for column in connected(TWO_OF_THREE).T]
    for image, ours in zip(np.float64(x), scores, strict=True):
        h1 = layer(image, p["h1"]["kernel"], p["h1"]["bias"], [[0]] * 12)
        h2 = layer(h1, p["h2"]["kernel"], p["h2"]["bias"], sees)
        h3 = squash(h2.reshape(-1) @ p["h3"]["kernel"] + p["h3"]["bias"])
        expected = squash(h3 @ p["output"]["kernel"] + p["output"]["bias"])
        # float32 sums of 200 terms of size 1, in two layers
        np.testing.assert_allclose(ours, expected, atol=2e-5)
    assert np.ptp(scores, axis=0).max() > 0.05
