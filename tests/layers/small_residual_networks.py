"""Small residual networks, and how they are held against the loops."""

from functools import partial

import jax
import numpy as np

from cnn_jax.layers.residual import BasicBlock, Bottleneck
from cnn_jax.layers.residual_network import GlobalAveragePool, ResidualNetwork
from cnn_jax.layers.rows import Classifier, Conv, MaxPool
from cnn_jax.layers.tracing import trace_variables
from tests.layers.residual_by_loops import Loops, max_pool_3_2

# These tests compile more than they compute.
quick_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

# Odd sizes, so that a padding on the wrong side shows: 13 x 11 -> 7 x 6 -> 4 x 3 -> 2 x 2.
SHAPE = (13, 11, 3)
STEM = (Conv("conv1", 4, 7, 2, 3), MaxPool("pool1", 3, 2, 1))
END = (GlobalAveragePool("gap"), Classifier("fc"))
# name, widths, stride
BASIC = (("conv2_1", (4, 4), 1), ("conv2_2", (4, 4), 1), ("conv3_1", (6, 6), 2))
DEEP = (("conv2_1", (2, 2, 8), 1), ("conv2_2", (2, 2, 8), 1), ("conv3_1", (3, 3, 10), 2))


def network(blocks, **fields):
    rows = tuple(
        BasicBlock(name, widths[-1], stride)
        if len(widths) == 2
        else Bottleneck(name, widths[0], widths[-1], stride)
        for name, widths, stride in blocks
    )
    return ResidualNetwork(
        num_classes=5, input_shape=SHAPE, table=(*STEM, *rows, *END), **fields
    )


def random_variables(model, draw):
    """Scales, biases and statistics far from 1 and 0, so that each one matters."""

    def fill(path, leaf):
        name = path[-1].key
        if name in ("scale", "var"):
            return draw.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
        fan_in = np.prod(leaf.shape[:-1])
        return (draw.standard_normal(leaf.shape) / np.sqrt(fan_in)).astype(np.float32)

    return jax.tree_util.tree_map_with_path(fill, trace_variables(model))


def by_loops(model, variables, images, blocks, *, train, weights=None):
    loops = Loops(
        variables["params"],
        variables["batch_stats"],
        model.shortcut,
        model.stride_in,
        train=train,
    )
    x = np.maximum(loops.unit(np.float64(images), ("conv1",), 2, 3), 0)
    x = max_pool_3_2(x)
    for index, (name, widths, stride) in enumerate(blocks):
        weight = None if weights is None else weights[index]
        x = loops.block(x, name, widths, stride, weight)
    return loops.classify(x), loops.updated


def run_both(model, variables, images, key=None):
    """Scores in evaluation and in training, and the updated statistics, in one program."""

    @quick_jit
    def both(variables, images, key):
        rngs = None if key is None else {"dropout": key}
        trained = model.apply(
            variables, images, train=True, mutable=["batch_stats"], rngs=rngs
        )
        return model.apply(variables, images, train=False), *trained

    evaluated, trained, updated = both(variables, images, key)
    return np.asarray(evaluated), np.asarray(trained), updated["batch_stats"]


def assert_statistics_equal(updated, expected):
    flat = {
        tuple(key.key for key in path): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(updated)
    }
    assert len(flat) == 2 * len(expected)
    for path, (mean, variance) in expected.items():
        # float32, variances as differences of means of squares.
        np.testing.assert_allclose(flat[(*path, "mean")], mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(flat[(*path, "var")], variance, rtol=1e-4, atol=1e-5)
