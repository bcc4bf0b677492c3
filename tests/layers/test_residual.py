import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.layers.residual import BasicBlock, Bottleneck, convolutions, pad_channels
from tests.layers.small_residual_networks import (
    BASIC,
    DEEP,
    SHAPE,
    assert_statistics_equal,
    by_loops,
    network,
    quick_jit,
    random_variables,
    run_both,
)


@pytest.mark.parametrize(
    ("blocks", "fields"),
    [
        (BASIC, {"shortcut": "A"}),
        (BASIC, {"shortcut": "B"}),
        (BASIC, {"shortcut": "C"}),
        (BASIC, {"shortcut": "none"}),
        (DEEP, {"shortcut": "A", "stride_in": "1x1"}),
        (DEEP, {"shortcut": "B", "stride_in": "1x1"}),
        (DEEP, {"shortcut": "B", "stride_in": "3x3"}),
        (DEEP, {"shortcut": "C", "stride_in": "3x3"}),
    ],
)
def test_the_network_equals_loops_in_evaluation_and_in_training(blocks, fields, draw):
    model = network(blocks, **fields)
    variables = random_variables(model, draw)
    images = draw.standard_normal((2, *SHAPE)).astype(np.float32)
    evaluated, trained, updated = run_both(model, variables, images)
    for scores, train in ((evaluated, False), (trained, True)):
        expected, statistics = by_loops(model, variables, images, blocks, train=train)
        # float32 against float64; normalising by a batch of 8 values magnifies rounding.
        np.testing.assert_allclose(scores, expected, rtol=1e-3, atol=1e-4)
    assert_statistics_equal(updated, statistics)
    assert not np.allclose(evaluated, trained, atol=0.05)


@pytest.mark.parametrize(
    ("blocks", "fields"),
    [(BASIC, {"shortcut": "A"}), (DEEP, {"shortcut": "B"}), (BASIC, {"shortcut": "none"})],
)
def test_gradients_reach_every_parameter(blocks, fields, draw):
    model = network(blocks, **fields)
    variables = random_variables(model, draw)
    images = draw.standard_normal((4, *SHAPE)).astype(np.float32)

    @quick_jit
    def gradients(params):
        def loss(params):
            scores, _ = model.apply(
                {**variables, "params": params}, images, train=True, mutable=["batch_stats"]
            )
            return (jax.nn.softmax(scores) ** 2).sum()

        return jax.grad(loss)(params)

    found = jax.tree_util.tree_leaves_with_path(gradients(variables["params"]))
    assert len(found) == len(jax.tree.leaves(variables["params"]))
    dead = [jax.tree_util.keystr(path) for path, leaf in found if not np.any(leaf)]
    assert dead == []
    assert all(np.all(np.isfinite(leaf)) for _, leaf in found)


def test_option_a_subsamples_and_puts_the_zeros_last():
    x = jnp.arange(1.0, 1 + 5 * 4 * 2).reshape(1, 5, 4, 2)
    y = pad_channels(x, BasicBlock("conv3_1", 5, 2))
    assert y.shape == (1, 3, 2, 5)
    np.testing.assert_array_equal(y[..., :2], x[:, [0, 2, 4]][:, :, [0, 2]])
    np.testing.assert_array_equal(y[..., 2:], 0.0)
    with pytest.raises(ValueError, match=r"conv3_1: .* has 2 channels, its output 1"):
        pad_channels(x, BasicBlock("conv3_1", 1, 2))


def test_the_stride_of_a_bottleneck_stands_where_it_is_asked_for():
    block = Bottleneck("conv3_1", 128, 512, 2)
    assert [row.stride for row in convolutions(block)] == [2, 1, 1]
    assert [row.stride for row in convolutions(block, "3x3")] == [1, 2, 1]
    assert [row.kernel for row in convolutions(block)] == [1, 3, 1]
    assert [row.features for row in convolutions(block)] == [128, 128, 512]
    assert [row.stride for row in convolutions(BasicBlock("conv3_1", 128, 2))] == [2, 1]
