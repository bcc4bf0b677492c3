from functools import partial

import jax
import numpy as np
import pytest

from cnn_jax.analysis.compute import layer_macs
from cnn_jax.layers.tracing import trace_output, trace_variables
from cnn_jax.maths.plane_groups import P4, transformed
from cnn_jax.models.gcnn_rotated_mnist import MODELS, P4CNN

# row: output shape, parameters without those of batch normalisation, multiply-adds.
# Z2CNN and P4CNN: PAPERS.md section 5 by way of reference.json; the third by arithmetic
# (four times the planar network's multiply-adds, a map on the plane after each layer).
LAYERS = {
    "z2cnn": {
        "conv1": ((26, 26, 1, 20), 200, 121_680),
        "conv2": ((24, 24, 1, 20), 3_620, 2_073_600),
        "pool2": ((12, 12, 1, 20), 0, 0),
        "conv3": ((10, 10, 1, 20), 3_620, 360_000),
        "conv4": ((8, 8, 1, 20), 3_620, 230_400),
        "conv5": ((6, 6, 1, 20), 3_620, 129_600),
        "conv6": ((4, 4, 1, 20), 3_620, 57_600),
        "conv7": ((10,), 3_210, 3_200),
    },
    "p4cnn": {
        "conv1": ((26, 26, 4, 10), 100, 243_360),
        "conv2": ((24, 24, 4, 10), 3_610, 8_294_400),
        "pool2": ((12, 12, 4, 10), 0, 0),
        "conv3": ((10, 10, 4, 10), 3_610, 1_440_000),
        "conv4": ((8, 8, 4, 10), 3_610, 921_600),
        "conv5": ((6, 6, 4, 10), 3_610, 518_400),
        "conv6": ((4, 4, 4, 10), 3_610, 230_400),
        "conv7": ((10,), 6_410, 25_600),
    },
    "p4cnn_rotation_pooling": {
        "conv1": ((26, 26, 1, 20), 200, 486_720),
        "conv2": ((24, 24, 1, 20), 3_620, 8_294_400),
        "pool2": ((12, 12, 1, 20), 0, 0),
        "conv3": ((10, 10, 1, 20), 3_620, 1_440_000),
        "conv4": ((8, 8, 1, 20), 3_620, 921_600),
        "conv5": ((6, 6, 1, 20), 3_620, 518_400),
        "conv6": ((4, 4, 1, 20), 3_620, 230_400),
        "conv7": ((10,), 3_210, 12_800),
    },
}


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_is_the_paper_s(name):
    model = MODELS[name].build()
    params = trace_variables(model)["params"]
    macs, measured = layer_macs(model), {}
    for i, row in enumerate(model.table):
        shape = trace_output(model.clone(table=model.table[: i + 1]))[1:]
        leaves = jax.tree.leaves(params.get(row.name, {}))
        count = sum(int(np.prod(leaf.shape)) for leaf in leaves)
        measured[row.name] = (shape, count, macs.get(row.name, 0))
    assert measured == LAYERS[name]
    norms = [params[f"conv{i}_norm"] for i in range(1, 7)]
    width = 10 if name == "p4cnn" else 20
    assert all(leaf.shape == (width,) for leaf in jax.tree.leaves(norms))
    assert "conv7_norm" not in params


def test_quarter_turns_change_no_score_of_p4cnn(draw):
    model = P4CNN()
    variables = jax.tree.map(
        lambda leaf: np.float32(np.abs(draw.normal(size=leaf.shape))),
        trace_variables(model),
    )
    variables["params"] = jax.tree.map(lambda w: w - 0.8, variables["params"])
    image = np.float32(draw.normal(size=(1, 28, 28, 1, 1)))
    poses = np.concatenate([transformed(P4, g, image) for g in range(4)])[..., 0]
    apply = jax.jit(
        partial(model.apply, train=False),
        compiler_options={"xla_backend_optimization_level": 0},
    )
    scores = np.asarray(apply(variables, poses))
    assert np.ptp(scores[0]) > 0.1
    # Seven layers of float32 sums.
    largest = np.abs(scores).max()
    np.testing.assert_allclose(scores, scores[:1].repeat(4, 0), rtol=0, atol=1e-5 * largest)
