"""``conv_bias``: biases under a batch normalisation, as Keras' residual networks have."""

import jax
import numpy as np

from cnn_jax.layers.tracing import count_parameters
from tests.layers.small_residual_networks import (
    BASIC,
    SHAPE,
    network,
    quick_jit,
    random_variables,
)

PLAIN = network(BASIC, shortcut="B")
BIASED = PLAIN.clone(conv_bias=True)


def _split(variables):
    """The variables of the network without biases, and the biases by path."""
    without, biases = jax.tree.map(lambda leaf: leaf, variables), {}

    def walk(path, tree):
        for name, branch in list(tree.items()):
            if "kernel" in branch and (*path, name) != ("fc",):
                biases[(*path, f"{name}_norm")] = branch.pop("bias")
            elif isinstance(branch, dict):
                walk((*path, name), branch)

    walk((), without["params"])
    return without, biases


def test_every_convolution_and_projection_has_one_bias_a_feature():
    # The stem; two blocks of 4 and 4; one of 6 and 6 with a projection to 6.
    features = 4 + (4 + 4) + (4 + 4) + (6 + 6 + 6)
    assert count_parameters(BIASED) - count_parameters(PLAIN) == features


def test_biases_shift_a_mean_that_is_then_subtracted(draw):
    variables = random_variables(BIASED, draw)
    images = draw.standard_normal((3, *SHAPE)).astype(np.float32)
    bare, biases = _split(variables)
    assert len(biases) == 1 + 2 + 2 + 3
    assert all(np.abs(bias).max() > 0.1 for bias in biases.values())

    @quick_jit
    def run(variables, bare, images):
        return [
            (
                model.apply(v, images, train=False),
                *model.apply(v, images, train=True, mutable=["batch_stats"]),
            )
            for model, v in ((BIASED, variables), (PLAIN, bare))
        ]

    (_, trained, updated), (plain, plain_trained, plain_updated) = run(
        variables, bare, images
    )
    # In training the batch's mean takes a bias away; float32 rounds the mean.
    np.testing.assert_allclose(trained, plain_trained, rtol=1e-4, atol=1e-4)
    momentum = BIASED.batch_norm.momentum
    for path, bias in biases.items():
        means = []
        for tree in (updated["batch_stats"], plain_updated["batch_stats"]):
            for step in path:
                tree = tree[step]
            means.append(tree["mean"])
        np.testing.assert_allclose(
            means[0] - means[1], (1 - momentum) * bias, rtol=1e-3, atol=1e-5
        )
    # In evaluation it shifts, unless the running mean holds it as well.
    shifted = jax.tree.map(lambda leaf: leaf, variables)
    for path, bias in biases.items():
        tree = shifted["batch_stats"]
        for step in path:
            tree = tree[step]
        tree["mean"] = tree["mean"] + bias
    evaluated = run(shifted, bare, images)[0][0]
    np.testing.assert_allclose(evaluated, plain, rtol=1e-4, atol=1e-4)
    assert np.abs(run(variables, bare, images)[0][0] - plain).max() > 1e-2
