"""A frozen layer is not moved, not decayed, not remembered, and computes what it did."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from cnn_jax.layers.tracing import trace_variables
from cnn_jax.optim.optimizers import RmsProp, Sgd
from cnn_jax.optim.parameter_names import matching
from cnn_jax.optim.regularization import ClipByGlobalNorm, MaxNorm, Penalty
from cnn_jax.optim.schedules import Constant
from cnn_jax.training.freezing import frozen_normalisations, train_only
from tests.layers.small_residual_networks import BASIC, network, quick_jit


def trees(draw):
    shapes = {"conv1": {"kernel": (3, 2), "bias": (2,)}, "out": {"kernel": (2, 4)}}
    return [
        jax.tree.map(
            lambda shape: draw.standard_normal(shape, np.float32),
            shapes,
            is_leaf=lambda node: isinstance(node, tuple),
        )
        for _ in range(4)
    ]


def test_trained_parameters_move_as_if_they_were_alone(draw):
    # Momentum, decay and clipping of "out" must not see the rest.
    params, *gradients = trees(draw)
    rule = Sgd(
        momentum=0.9,
        clip=ClipByGlobalNorm(0.5),
        penalties=(Penalty(l2=0.1),),
        max_norm=MaxNorm(1.0),
    )
    optimizer = rule.build(Constant(0.1).build(1.0))
    part = train_only(optimizer, matching(params, ("out",)))

    @quick_jit
    def all_steps(params, gradients):
        moved, state = params, part.init(params)
        alone = {"out": params["out"]}
        alone_state = optimizer.init(alone)
        scale = jnp.float32(0.5)
        for grads in gradients:
            updates, state = part.update(grads, state, moved, rate_scale=scale)
            moved = optax.apply_updates(moved, updates)
            grads = {"out": grads["out"]}
            updates, alone_state = optimizer.update(
                grads, alone_state, alone, rate_scale=scale
            )
            alone = optax.apply_updates(alone, updates)
        return moved, alone

    moved, alone = all_steps(params, gradients)
    for name, before in params["conv1"].items():
        np.testing.assert_array_equal(moved["conv1"][name], before)
    # One program computes both, so the compiler may contract their sums differently.
    np.testing.assert_allclose(
        moved["out"]["kernel"], alone["out"]["kernel"], rtol=1e-6, atol=1e-7
    )
    assert np.abs(moved["out"]["kernel"] - params["out"]["kernel"]).min() > 0


def test_the_optimizer_remembers_trained_parameters_only(draw):
    params, *_ = trees(draw)
    trained = matching(params, ("out",))
    for rule, arrays in ((Sgd(), 1), (RmsProp(), 2)):
        optimizer = train_only(rule.build(Constant(0.1).build(1.0)), trained)
        state = jax.eval_shape(optimizer.init, params)
        sizes = [leaf.size for leaf in jax.tree.leaves(state) if leaf.ndim and leaf.size]
        assert sizes == [params["out"]["kernel"].size] * arrays


def test_a_penalty_may_name_layers_that_are_frozen(draw):
    params, grads, *_ = trees(draw)
    rule = Sgd(momentum=0.0, penalties=(Penalty(l1=0.1, on=("conv1",)),))
    optimizer = rule.build(Constant(1.0).build(1.0))
    part = train_only(optimizer, matching(params, ("out",)))
    updates, _ = part.update(grads, part.init(params), params)
    np.testing.assert_array_equal(updates["out"]["kernel"], -grads["out"]["kernel"])
    assert not updates["conv1"]["kernel"].any()


def test_normalisations_freeze_when_all_their_parameters_do():
    variables = trace_variables(network(BASIC))
    params, stats = variables["params"], variables["batch_stats"]

    def frozen(*patterns):
        trained = jax.tree.map(lambda stays: not stays, matching(params, patterns))
        return frozen_normalisations(stats, trained)

    every = {
        "/".join(key.key for key in path[:-1])
        for path, _ in jax.tree_util.tree_leaves_with_path(stats)
    }
    assert frozen("*") == every
    assert frozen() == frozen("*/scale") == frozenset()
    assert frozen("*/scale", "*/bias") == every
    block = frozen("conv2_1")
    assert block == {scope for scope in every if scope.startswith("conv2_1/")}
    assert len(block) == 2  # one for each convolution; the shortcut is the identity
