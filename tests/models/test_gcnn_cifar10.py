from functools import partial

import jax
import numpy as np
import pytest

from cnn_jax.layers.batch_norm import BatchNormalization
from cnn_jax.layers.group_convolution import GroupConvolution
from cnn_jax.layers.tracing import count_parameters, trace_variables
from cnn_jax.maths.plane_groups import P4M, transformed
from cnn_jax.models.gcnn_cifar10 import (
    MODELS,
    AllCNN,
    GroupResNet,
    all_cnn_table,
    resnet_table,
)

quick_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def random_variables(model, draw):
    return jax.tree.map(
        lambda leaf: np.float32(0.2 + draw.normal(size=leaf.shape) ** 2),
        trace_variables(model),
    )


def in_every_pose(images):
    return [transformed(P4M, g, images[:, :, :, None])[:, :, :, 0] for g in range(8)]


def assert_equal(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", MODELS)
def test_the_total_is_the_printed_one(name):
    # Table 2 prints two decimals of a million.
    millions = MODELS[name].printed[0].figure.removesuffix(" million")
    assert f"{count_parameters(MODELS[name].build()) / 1e6:.2f}" == millions


def test_the_widths_are_near_the_planar_ones_over_the_root_of_the_orientations():
    for group, order in (("p4", 4), ("p4m", 8)):
        widths = [row.features for row in MODELS[f"{group}_all_cnn_c"].build().table[1:-1]]
        planar = [row.features for row in AllCNN().table[1:-1]]
        np.testing.assert_allclose(widths, np.array(planar) / order**0.5, rtol=0.06)
    widths = [row.features for row in MODELS["p4m_resnet44"].build().table[:-1]]
    planar = [row.features for row in GroupResNet().table[:-1]]
    np.testing.assert_allclose(widths, np.array(planar) / 8**0.5, rtol=0.03)


def test_the_residual_net_has_44_layers():
    params = trace_variables(GroupResNet())["params"]
    blocks = [scope for scope in params.values() if "conv2" in scope]
    assert len(blocks) == 21
    assert 1 + 2 * len(blocks) + 1 == 44
    assert [name for name in params if "shortcut" in params[name]] == ["conv3_1", "conv4_1"]


@pytest.mark.parametrize(
    ("size", "exact"), [(9, True), pytest.param(8, False, marks=pytest.mark.slow)]
)
def test_scores_of_the_all_convolutional_net_stay_on_sizes_of_4_n_plus_1(size, exact, draw):
    model = AllCNN(5, (size, size, 1), all_cnn_table(1, 2), "p4m")
    images = np.float32(draw.normal(size=(1, size, size, 1)))
    poses = np.concatenate(in_every_pose(images))
    apply = quick_jit(partial(model.apply, train=False))
    scores = np.asarray(apply(random_variables(model, draw), poses))
    if exact:
        assert_equal(scores, scores[:1].repeat(8, 0))
    else:
        assert np.abs(scores - scores[:1]).max() > 1e-3 * np.abs(scores).max()


def test_every_layer_of_the_residual_net_turns_with_the_image(draw):
    model = GroupResNet(5, (9, 9, 1), resnet_table(1, (1, 2, 1)), "p4m")
    variables = random_variables(model, draw)
    images = np.float32(draw.normal(size=(1, 9, 9, 1)))

    def is_layer(module, _):
        return isinstance(module, GroupConvolution | BatchNormalization)

    @quick_jit
    def run(images):
        scores, state = model.apply(
            variables, images, train=False, capture_intermediates=is_layer
        )
        return scores, state["intermediates"]

    outcomes = [jax.tree.map(np.asarray, run(pose)) for pose in in_every_pose(images)]
    scores, maps = outcomes[0]
    assert scores.shape == (1, 5)
    assert len(jax.tree.leaves(maps)) == 1 + 3 * 4 + 2 + 1
    for g, (_, turned) in enumerate(outcomes):
        expected = jax.tree.map(lambda m, g=g: transformed(P4M, g, m), maps)
        jax.tree.map(assert_equal, turned, expected)
