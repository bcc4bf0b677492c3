import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnn_jax.optim.optimizers import RmsProp, Sgd
from cnn_jax.optim.regularization import (
    ClipByGlobalNorm,
    DecoupledDecay,
    MaxNorm,
    Penalty,
)
from cnn_jax.optim.schedules import Constant, StepDecay
from tests.optim.descent import START, descend, gradient, rates_of

# float64 sums of a few terms near 2, over 14 steps that magnify them
EXACT = {"rtol": 1e-12, "atol": 1e-13}
FALLING = StepDecay(0.1, at_epochs=(2, 4)).build(2.5)  # steps 5 and 10
# 0.125 for three steps, then an eighth of it: exact in float32, for other programs' output
EIGHTH = StepDecay(0.125, factor=0.125, at_epochs=(3,)).build(1.0)


@pytest.mark.parametrize("rate_inside", [False, True])
def test_momentum_follows_the_lecture_s_worked_example(rate_inside):
    optimizer = Sgd(momentum=0.9, rate_inside=rate_inside).build(Constant(0.1).build(1.0))
    weights = descend(optimizer, np.float64(1.0), lambda w: w, 5)
    # Gradient of w^2 / 2 from w = 1: deck S3, with a rate of 0.1 in float32.
    np.testing.assert_allclose(weights, [0.9, 0.72, 0.486, 0.2268, -0.02916], rtol=5e-7)


def test_the_rate_inside_is_the_printed_update_of_alexnet():
    w, v, expected = START, np.zeros(3), []
    for rate in rates_of(FALLING, 14):
        v = 0.9 * v - 0.0005 * rate * w - rate * gradient(w)
        w = w + v
        expected.append(w)
    sgd = Sgd(momentum=0.9, weight_decay=0.0005, rate_inside=True)
    weights = descend(sgd.build(FALLING), START, gradient, 14)
    np.testing.assert_allclose(weights, expected, **EXACT)
    # Its decay and its place of the rate are large enough to be seen.
    for other in (Sgd(0.9, rate_inside=True), Sgd(0.9, 0.0005)):
        off = descend(other.build(FALLING), START, gradient, 14)[-1] - expected[-1]
        assert np.abs(off).max() > 1e-4


@pytest.mark.parametrize("nesterov", [False, True])
def test_the_rate_outside_counts_the_old_velocity_at_the_new_rate(nesterov):
    momentum, decay = 0.8, 0.02
    w, v, expected = START, np.zeros(3), []
    for rate in rates_of(FALLING, 14):
        g = gradient(w) + decay * w
        v = momentum * v + g
        w = w - rate * (momentum * v + g if nesterov else v)
        expected.append(w)
    optimizer = Sgd(momentum, decay, nesterov=nesterov).build(FALLING)
    np.testing.assert_allclose(descend(optimizer, START, gradient, 14), expected, **EXACT)


def test_nesterov_with_the_rate_inside_is_sutskever_s_look_ahead():
    # v <- m v - e g(w + m v); w <- w + v (Sutskever et al. 2013, Equations 3 and 4). The
    # optimizer holds w + m v, where the gradient is taken.
    w, v, expected = START, np.zeros(3), []
    for rate in rates_of(FALLING, 14):
        v = 0.8 * v - rate * gradient(w + 0.8 * v)
        w = w + v
        expected.append(w + 0.8 * v)
    optimizer = Sgd(0.8, nesterov=True, rate_inside=True).build(FALLING)
    np.testing.assert_allclose(descend(optimizer, START, gradient, 14), expected, **EXACT)


@pytest.mark.parametrize("nesterov", [False, True])
def test_the_conventions_differ_once_the_rate_has_changed(nesterov):
    outside, inside = (
        np.diff(
            descend(
                Sgd(0.5, nesterov=nesterov, rate_inside=inside).build(EIGHTH),
                np.float64(0.0),
                jnp.ones_like,  # a slope of 1 everywhere
                5,
            )
        )
        for inside in (False, True)
    )
    # With g = 1 the velocity is 1, 1.5, 1.75, 1.875 times the rate; the first of these
    # differences is step 1. Step 3 has an eighth of the rate.
    if nesterov:  # m v + g
        assert outside[:2].tolist() == [-1.75 / 8, -1.875 / 8] == inside[:2].tolist()
        assert outside[2] == -1.9375 / 64
        assert inside[2] == -(0.5 * (0.5 * 1.75 / 8 + 1 / 64) + 1 / 64)
    else:
        assert outside[:2].tolist() == [-1.5 / 8, -1.75 / 8] == inside[:2].tolist()
        assert outside[2] == -1.875 / 64
        assert inside[2] == -(0.5 * 1.75 / 8 + 1 / 64)


# Each line by the program that its comment names, in float64, from START, with the
# gradient above and a rate of 0.125 for three steps and 0.015625 for three more:
#   w.grad = c * w + 0.1 * w**3; optimizer.step()
OTHER_PROGRAMS = [
    (  # torch 2.13: SGD(p, 0.125, momentum=0.75, weight_decay=0.0625)
        Sgd(0.75, 0.0625),
        [0.28040626025744564, 0.7836552062561933, 0.33970758202361206],
    ),
    (  # torch 2.13: SGD(p, 0.125, momentum=0.75, weight_decay=0.0625, nesterov=True)
        Sgd(0.75, 0.0625, nesterov=True),
        [0.1847765742991433, 0.4755830426325411, 0.3713266687542071],
    ),
    (  # Keras 3.15: SGD(0.125, momentum=0.75)
        Sgd(0.75, rate_inside=True),
        [-0.05553326622472865, 1.9369989206584943, 0.41357897232436913],
    ),
    (  # Keras 3.15: SGD(0.125, momentum=0.75, nesterov=True)
        Sgd(0.75, nesterov=True, rate_inside=True),
        [-0.023447386723281522, 0.9902615497663567, 0.4384828432235892],
    ),
    (  # Keras 3.15: RMSprop(0.125, rho=0.75, momentum=0.5, epsilon=1.0) and, as TensorFlow
        # 1 has it, optimizer._velocities[0].assign(ones) before the first step
        RmsProp(decay=0.75, momentum=0.5),
        [0.4773581865494689, -0.9101671081525187, 0.3339939992943868],
    ),
]


@pytest.mark.parametrize(("optimizer", "expected"), OTHER_PROGRAMS)
def test_six_steps_end_where_another_program_ends(optimizer, expected):
    weights = descend(optimizer.build(EIGHTH), START, gradient, 6)
    np.testing.assert_allclose(weights[-1], expected, **EXACT)


def test_rms_prop_without_epsilon_is_pytorch_s():
    # torch 2.13, six steps at 0.125: RMSprop(p, 0.125, alpha=0.75, eps=0.0, momentum=0.5,
    # weight_decay=0.0625); its mean square starts at zero.
    expected = [-0.08757863416364231, -0.505711749049236, 2.1792928538926097]
    optimizer = RmsProp(0.75, 1e-300, 0.5, 0.0625, initial_mean_square=0.0)
    rate = Constant(0.125).build(1.0)
    weights = descend(optimizer.build(rate), START, gradient, 6)
    np.testing.assert_allclose(weights[-1], expected, **EXACT)


@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_rms_prop_equals_a_loop(momentum):
    r, epsilon, decay = 0.7, 0.25, 0.02
    w, v, s, expected = START, np.zeros(3), np.ones(3), []
    for rate in rates_of(FALLING, 14):
        g = gradient(w) + decay * w
        s = r * s + (1 - r) * g**2
        v = momentum * v + rate * g / np.sqrt(s + epsilon)
        w = w - v
        expected.append(w)
    optimizer = RmsProp(r, epsilon, momentum, weight_decay=decay).build(FALLING)
    np.testing.assert_allclose(descend(optimizer, START, gradient, 14), expected, **EXACT)


EVERYTHING = {
    "clip": ClipByGlobalNorm(4.0),
    "penalties": (Penalty(l1=0.01, l2=0.02),),
    "decoupled_decay": DecoupledDecay(0.05),
    "max_norm": MaxNorm(1.5, on="all"),
}


@pytest.mark.parametrize("rate_inside", [False, True])
def test_all_parts_of_a_step_come_in_the_order_that_is_written(rate_inside):
    scales = np.array([1, 1, 0.5, 0.5, 0.125, 1, 1, 0.25])
    start = np.array([[1.0, -2.0], [0.5, 0.0], [-0.25, 1.5]])  # [in, out]
    w, v, expected, clipped, bounded = start, 0.0 * start, [], 0, 0
    for rate, scale in zip(rates_of(FALLING, 8), scales, strict=True):
        e, before = rate * scale, w
        g = 3 * w + w**3
        norm = np.sqrt((g**2).sum())
        clipped += norm > 4
        g = g * min(1, 4 / norm)
        g = g + 0.03 * w + 0.02 * w + 0.01 * np.sign(w)
        v = 0.5 * v + (e * g if rate_inside else g)
        w = w - (v if rate_inside else e * v) - e * 0.05 * before
        for unit in range(2):
            length = np.sqrt((w[:, unit] ** 2).sum())
            bounded += length > 1.5
            w[:, unit] *= min(1, 1.5 / length)
        expected.append(w.copy())
    assert 0 < clipped < 8
    assert 0 < bounded < 16
    sgd = Sgd(0.5, 0.03, rate_inside=rate_inside, **EVERYTHING)
    weights = descend(sgd.build(FALLING), start, lambda w: 3 * w + w**3, 8, scales)
    np.testing.assert_allclose(weights, expected, **EXACT)


@pytest.mark.parametrize("make", [Sgd, RmsProp])
def test_a_scale_of_one_is_no_scale(make):
    built = make(0.5, **EVERYTHING).build(FALLING)
    start = {"kernel": START[:, None].astype(np.float32)}
    with_it, without = (
        descend(built, start, lambda w: jax.tree.map(lambda a: 2 * a, w), 6, scales)
        for scales in (np.ones(6), None)
    )
    np.testing.assert_array_equal(with_it["kernel"], without["kernel"])
    assert with_it["kernel"].dtype == np.float32  # even though 64 bits were allowed


def test_a_velocity_keeps_the_rate_it_was_gained_at_when_the_scale_falls():
    one = Constant(1.0).build(1.0)
    steps = {}
    for inside in (False, True):
        sgd = Sgd(momentum=0.5, rate_inside=inside).build(one)
        # One push, then none: what is left is the old velocity.
        weights = descend(
            sgd,
            {"w": np.zeros(1), "t": np.zeros(1)},
            lambda p: {"w": jnp.where(p["t"] == 0, -1.0, 0.0), "t": -jnp.ones(1)},
            3,
            [1.0, 0.125, 0.125],
        )["w"][:, 0]
        steps[inside] = np.diff(weights).tolist()
    assert steps == {False: [0.0625, 0.03125], True: [0.5, 0.25]}


def test_without_momentum_nothing_but_the_steps_is_kept():
    optimizer = Sgd(momentum=0.0).build(Constant(0.5).build(1.0))
    params = np.array([1.0, 2.0])
    (after,) = descend(optimizer, params, lambda w: jnp.array([4.0, -2.0]), 1)
    np.testing.assert_array_equal(after, [-1.0, 3.0])
    sizes = [leaf.size for leaf in jax.tree.leaves(optimizer.init(params))]
    assert sizes == [1]


@pytest.mark.parametrize("optimizer", [Sgd(**EVERYTHING), RmsProp(momentum=0.0)])
def test_half_precision_parameters_keep_their_kind(optimizer):
    built = optimizer.build(Constant(0.5).build(1.0))
    params = {"kernel": jax.ShapeDtypeStruct((2, 2), jnp.bfloat16)}
    state = jax.eval_shape(built.init, params)
    updates, after = jax.eval_shape(built.update, params, state, params)
    assert updates["kernel"].dtype == jnp.bfloat16
    for old, new in zip(jax.tree.leaves(state), jax.tree.leaves(after), strict=True):
        assert (old.dtype, old.shape) == (new.dtype, new.shape)


PARAMS = {
    "conv1": {"kernel": np.full((3, 3, 1, 2), 2.0), "bias": np.full(2, 2.0)},
    "norm1": {"scale": np.full(2, 2.0), "bias": np.full(2, 2.0)},
    "conv1_activation": {"slope": np.full(2, 2.0)},
    "block": {"fc": {"kernel": np.full((2, 2), 2.0), "bias": np.full(2, 2.0)}},
}


@pytest.mark.parametrize(
    ("make", "decay_biases"), [(Sgd, True), (Sgd, False), (RmsProp, False)]
)
def test_only_kernels_decay_unless_biases_are_told_to(make, decay_biases):
    optimizer = make(momentum=0.9, weight_decay=0.25, decay_biases=decay_biases)
    still = jax.tree.map(np.zeros_like, PARAMS)
    after = descend(optimizer.build(Constant(0.5).build(1.0)), PARAMS, lambda _: still, 1)
    step = 0.5 * 0.25 * 2.0
    if make is RmsProp:
        step /= np.sqrt(0.9 + 0.1 * 0.5**2 + 1)
    for path, value in jax.tree_util.tree_leaves_with_path(after):
        decays = decay_biases or path[-1].key == "kernel"
        np.testing.assert_allclose(value, 2.0 - step if decays else 2.0, rtol=1e-15)


def test_many_seeds_under_vmap_descend_as_one_by_one():
    optimizer = RmsProp(weight_decay=0.01).build(StepDecay(0.1, at_epochs=(1,)).build(3.0))
    starts = jnp.stack([jnp.asarray(START, jnp.float32) * s for s in (1.0, -0.3, 0.7)])

    def run(w):
        state = optimizer.init(w)
        for _ in range(6):
            updates, state = optimizer.update(gradient(w), state, w)
            w = optax.apply_updates(w, updates)
        return w

    together = jax.jit(jax.vmap(run))(starts)
    alone = jnp.stack([*map(jax.jit(run), starts)])
    np.testing.assert_allclose(together, alone, atol=1e-6)  # six float32 roundings
