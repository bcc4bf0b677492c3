"""Whole networks: what turns, what stays, and what is refused."""

from functools import partial

import jax
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from cnn_jax.layers.batch_norm import BatchNormalization
from cnn_jax.layers.group_convolution import GroupConvolution
from cnn_jax.layers.group_network import (
    GroupClassifier,
    GroupConv,
    GroupNetwork,
    InputDropout,
)
from cnn_jax.layers.rows import Dense, MaxPool
from cnn_jax.layers.tracing import trace_output, trace_variables
from cnn_jax.maths.plane_groups import GROUPS, transformed

quick_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
TABLE = (
    GroupConv("conv1", 3, 3),  # 13 -> 11
    MaxPool("pool1", 2, 1),  # 11 -> 10
    GroupConv("conv2", 2, 2),  # 10 ->  9
    GroupConv("conv3", 3, 3, stride=2, padding=1),  # 9 -> 5
)
ENDS = {
    "max": (GroupClassifier("conv4", 4),),
    "mean": (GroupClassifier("conv4", 1, pool="mean", normalised=True),),
}


def network(group, end="max", table=TABLE):
    return GroupNetwork(5, (13, 13, 2), (*table, *ENDS[end]), group)


def random_variables(model, draw):
    """Scales, biases and statistics far from 1 and 0, so that each one matters."""

    def value(path, leaf):
        noise = draw.normal(size=leaf.shape) / 3
        return np.float32(1 + noise**2 if path[-1].key in ("scale", "var") else noise)

    return jax.tree_util.tree_map_with_path(value, trace_variables(model))


def is_layer(module, _):
    return isinstance(module, GroupConvolution | BatchNormalization)


def assert_equal(found, expected):
    # 1e-5 of the largest value: float32.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(("group", "end"), [("p4", "max"), ("p4m", "mean")])
def test_every_layer_turns_with_the_image_and_the_scores_stay(group, end, draw):
    model, plane = network(group, end), GROUPS[group]
    variables = random_variables(model, draw)
    images = np.float32(draw.normal(size=(2, 13, 13, 2)))

    @quick_jit
    def run(variables, images):
        return model.apply(variables, images, train=False, capture_intermediates=is_layer)

    def layers(g):
        turned = transformed(plane, g, images[:, :, :, None])[:, :, :, 0]
        scores, state = run(variables, turned)
        return np.asarray(scores), jax.tree.map(np.asarray, state["intermediates"])

    scores, maps = layers(0)
    assert scores.shape == (2, 5)
    assert np.ptp(scores) > 0.1
    assert len(jax.tree.leaves(maps)) == (7 if end == "max" else 8)
    for g in range(1, plane.order):
        also, turned = layers(g)
        assert_equal(also, scores)
        jax.tree.map(
            lambda t, m, g=g: assert_equal(t, transformed(plane, g, m)), turned, maps
        )


def test_training_does_not_break_the_symmetry(draw):
    model, plane = network("p4m", table=TABLE[:2]), GROUPS["p4m"]
    variables = random_variables(model, draw)
    images = np.float32(draw.normal(size=(4, 13, 13, 2)))

    @quick_jit
    def step(variables, images):
        def loss(params):
            scores, state = model.apply(
                variables | {"params": params}, images, train=True, mutable=["batch_stats"]
            )
            return (scores**2).mean(), (scores, state)

        grads, aux = jax.grad(loss, has_aux=True)(variables["params"])
        return grads, *aux

    turned = transformed(plane, 6, images[:, :, :, None])[:, :, :, 0]
    (grads, scores, state), also = step(variables, images), step(variables, turned)
    assert_equal(also[1], scores)
    # One mean and variance a map, over its orientations too: turned or not, the same.
    assert state["batch_stats"]["conv1_norm"]["mean"].shape == (3,)
    jax.tree.map(assert_equal, also[2], state)
    # Gradients are sums over thousands of places, with cancellation.
    flat, moved = (ravel_pytree(g)[0] for g in (grads, also[0]))
    np.testing.assert_allclose(moved, flat, rtol=0, atol=1e-4 * np.abs(flat).max())


def test_the_planar_network_is_not_symmetric(draw):
    model = network("z2")
    images = np.float32(draw.normal(size=(1, 13, 13, 2)))
    both = np.concatenate([images, np.rot90(images, axes=(1, 2))])
    apply = quick_jit(partial(model.apply, train=False))
    one, other = np.asarray(apply(random_variables(model, draw), both))
    assert np.abs(one - other).max() > 0.1 * np.abs(one).max()


def test_rotation_pooling_starts_from_the_plane_again(draw):
    table = (GroupConv("conv1", 3, 3, rotation_pooling=True), GroupConv("conv2", 2, 2))
    model = network("p4", table=table)
    kernels = trace_variables(model)["params"]
    assert kernels["conv2"]["kernel"].shape == (2, 2, 1, 3, 2)
    assert kernels["conv4"]["kernel"].shape == (4, 4, 4, 2, 5)
    images = np.float32(draw.normal(size=(1, 13, 13, 2)))
    poses = np.concatenate([np.rot90(images, k, axes=(1, 2)) for k in range(4)])
    scores = np.asarray(
        quick_jit(partial(model.apply, train=False))(random_variables(model, draw), poses)
    )
    assert_equal(scores, np.repeat(scores[:1], 4, 0))


@pytest.mark.slow
def test_dropout_acts_in_training_only(draw):
    table = (InputDropout("drop0", 0.5), GroupConv("conv1", 3, 3, dropout=0.5))
    model = network("z2", table=table)
    variables = random_variables(model, draw)
    images = np.float32(draw.normal(size=(2, 13, 13, 2)))

    @partial(quick_jit, static_argnames="train")
    def scores(seed, *, train):
        rngs = {"dropout": jax.random.key(seed)}
        return model.apply(
            variables, images, train=train, rngs=rngs, mutable=["batch_stats"]
        )[0]

    assert (scores(0, train=False) == scores(1, train=False)).all()
    assert (scores(0, train=True) != scores(1, train=True)).any()
    assert (scores(0, train=True) == scores(0, train=True)).all()


def test_what_does_not_fit_is_refused_with_the_layer():
    with pytest.raises(ValueError, match="'p3' is not one of z2, p4, p4m"):
        network("p3")
    with pytest.raises(ValueError, match=r"conv4: .*window"):
        trace_output(network("p4", table=(GroupConv("conv1", 2, 12),)))
    with pytest.raises(ValueError, match="conv1: features = 0"):
        trace_output(network("p4", table=(GroupConv("conv1", 0, 3),)))
    after_the_end = (*network("p4").table, GroupConv("conv5", 2, 1))
    with pytest.raises(ValueError, match=r"conv5: it takes maps .* \(5,\)"):
        trace_output(network("p4").clone(table=after_the_end))
    with pytest.raises(TypeError, match=r"Dense\(name='fc'.* is not a row of"):
        trace_output(network("p4", table=(Dense("fc", 3),)))
