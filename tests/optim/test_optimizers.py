import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnn_jax.optim.optimizers import Sgd, kernels_only
from cnn_jax.optim.schedules import Constant, StepDecay

CURVATURE = np.array([1.0, 3.0, -0.5])
START = np.array([1.0, -2.0, 0.25])


def gradient(w):
    return CURVATURE * w + 0.1 * w**3


def descend(optimizer, params, grad, steps):
    """Return the parameters after each step."""

    @jax.jit
    def step(params, state):
        updates, state = optimizer.update(grad(params), state, params)
        return optax.apply_updates(params, updates), state

    state, seen = optimizer.init(params), []
    for _ in range(steps):
        params, state = step(params, state)
        seen.append(params)
    return seen


def test_momentum_follows_the_lecture_s_worked_example():
    optimizer = Sgd(momentum=0.9).build(Constant(0.1).build(1.0))
    weights = descend(optimizer, jnp.float32(1.0), lambda w: w, 5)
    # Gradient of w^2 / 2 from w = 1: deck S3, rounded in float32.
    np.testing.assert_allclose(weights, [0.9, 0.72, 0.486, 0.2268, -0.02916], rtol=2e-6)


def test_constant_rate_gives_the_printed_update_of_alexnet():
    rate, w, v, expected = 0.01, START, np.zeros(3), []
    for _ in range(30):
        v = 0.9 * v - 0.0005 * rate * w - rate * gradient(w)
        w = w + v
        expected.append(w)
    optimizer = Sgd(momentum=0.9, weight_decay=0.0005).build(Constant(rate).build(1.0))
    weights = descend(optimizer, jnp.asarray(START, jnp.float32), gradient, 30)
    # 30 steps of float32 roundings of numbers near 2
    np.testing.assert_allclose(weights, expected, atol=5e-6)
    # The decay is large enough to be seen at that tolerance.
    plain = Sgd(momentum=0.9).build(Constant(rate).build(1.0))
    without = descend(plain, jnp.asarray(START, jnp.float32), gradient, 30)
    assert np.abs(without[-1] - expected[-1]).max() > 1e-4


@pytest.mark.parametrize("nesterov", [False, True])
def test_after_a_step_in_the_rate_the_velocity_counts_at_the_new_rate(nesterov):
    momentum, decay = 0.8, 0.02
    schedule = StepDecay(0.1, at_epochs=(2, 4)).build(2.5)  # steps 5 and 10
    w, v, expected = START, np.zeros(3), []
    for step in range(14):
        rate = 0.1 if step < 5 else 0.01 if step < 10 else 0.001
        g = gradient(w) + decay * w
        v = momentum * v + g
        w = w - rate * (momentum * v + g if nesterov else v)
        expected.append(w)
    optimizer = Sgd(momentum, decay, nesterov=nesterov).build(schedule)
    weights = descend(optimizer, jnp.asarray(START, jnp.float32), gradient, 14)
    # 14 steps of float32 roundings of numbers near 2
    np.testing.assert_allclose(weights, expected, atol=3e-6)


def test_without_momentum_it_is_gradient_descent_and_keeps_no_velocity():
    optimizer = Sgd(momentum=0.0).build(Constant(0.5).build(1.0))
    params = jnp.array([1.0, 2.0])
    (after,) = descend(optimizer, params, lambda w: jnp.array([4.0, -2.0]), 1)
    np.testing.assert_array_equal(after, [-1.0, 3.0])
    sizes = [leaf.size for leaf in jax.tree.leaves(optimizer.init(params))]
    assert sizes == [1]  # the count of steps


PARAMS = {
    "conv1": {"kernel": jnp.full((3, 3, 1, 2), 2.0), "bias": jnp.full(2, 2.0)},
    "norm1": {"scale": jnp.full(2, 2.0), "bias": jnp.full(2, 2.0)},
    "conv1_activation": {"slope": jnp.full(2, 2.0)},
    "block": {"fc": {"kernel": jnp.full((2, 2), 2.0), "bias": jnp.full(2, 2.0)}},
}


@pytest.mark.parametrize("decay_biases", [True, False])
def test_only_kernels_decay_unless_biases_are_told_to(decay_biases):
    sgd = Sgd(momentum=0.9, weight_decay=0.25, decay_biases=decay_biases)
    still = jax.tree.map(jnp.zeros_like, PARAMS)
    (after,) = descend(sgd.build(Constant(0.5).build(1.0)), PARAMS, lambda _: still, 1)
    for path, value in jax.tree_util.tree_leaves_with_path(after):
        decays = decay_biases or path[-1].key == "kernel"
        np.testing.assert_array_equal(value, 2.0 - 0.5 * 0.25 * 2.0 if decays else 2.0)


def test_the_mask_goes_by_the_last_name_of_the_path():
    mask = kernels_only(PARAMS)
    assert jax.tree.structure(mask) == jax.tree.structure(PARAMS)
    assert [mask[a][b] for a, b in (("conv1", "kernel"), ("conv1", "bias"))] == [
        True,
        False,
    ]
    assert mask["block"] == {"fc": {"kernel": True, "bias": False}}
    assert kernels_only({"kernel": {"bias": 1.0}}) == {"kernel": {"bias": False}}


def test_many_seeds_under_vmap_descend_as_one_by_one():
    optimizer = Sgd(weight_decay=0.01).build(StepDecay(0.1, at_epochs=(1,)).build(3.0))
    starts = jnp.stack([jnp.asarray(START, jnp.float32) * s for s in (1.0, -0.3, 0.7)])

    def run(w):
        state = optimizer.init(w)
        for _ in range(6):
            updates, state = optimizer.update(gradient(w), state, w)
            w = optax.apply_updates(w, updates)
        return w

    together = jax.jit(jax.vmap(run))(starts)
    alone = jnp.stack([jax.jit(run)(w) for w in starts])
    np.testing.assert_allclose(together, alone, atol=1e-6)  # six float32 roundings


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"momentum": 1.0}, r"momentum 1.0 is not in \[0, 1\)"),
        ({"momentum": -0.1}, "momentum -0.1"),
        ({"weight_decay": -1e-4}, "weight_decay -0.0001"),
        ({"momentum": 0.0, "nesterov": True}, "nesterov needs a momentum"),
    ],
)
def test_bad_numbers_are_refused_when_declared(fields, says):
    with pytest.raises(ValueError, match=says):
        Sgd(**fields)
