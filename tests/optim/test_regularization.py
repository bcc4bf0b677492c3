import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.errors import UserError
from cnn_jax.optim.optimizers import Sgd
from cnn_jax.optim.regularization import (
    ClipByGlobalNorm,
    ClipByValue,
    DecoupledDecay,
    MaxNorm,
    Penalty,
)
from cnn_jax.optim.schedules import Constant, StepDecay
from tests.optim.descent import descend, rates_of

TREE = {"fc": {"kernel": np.array([[3.0, 0.0]]), "bias": np.array([4.0, 0.0])}}


def _arrays(tree):
    return jax.tree.map(np.float32, tree)


NORM_1 = jax.jit(ClipByGlobalNorm(1.0).apply)


def test_clipping_shortens_a_long_gradient_and_keeps_its_direction():
    clipped = jax.jit(ClipByGlobalNorm(2.0).apply)(_arrays(TREE))  # of length 5
    np.testing.assert_allclose(clipped["fc"]["kernel"], [[1.2, 0.0]], rtol=1e-6)
    np.testing.assert_allclose(clipped["fc"]["bias"], [1.6, 0.0], rtol=1e-6)


@pytest.mark.parametrize("limit", [5.0, 7.5])
def test_a_short_gradient_stays_bit_for_bit(limit):
    clipped = jax.jit(ClipByGlobalNorm(limit).apply)(_arrays(TREE))
    for before, after in zip(jax.tree.leaves(TREE), jax.tree.leaves(clipped), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_a_gradient_without_a_length_is_not_clipped_to_nothing(bad):
    # The square of 1e30 is no float32.
    clipped = NORM_1({"a": np.float32([bad, 1.0]), "b": np.ones(2, np.float32)})
    assert all(np.isnan(leaf).all() for leaf in jax.tree.leaves(clipped))


def test_a_gradient_of_zero_stays_zero():
    zeros = {"a": np.zeros(2, np.float32), "b": np.zeros(2, np.float32)}
    assert not any(leaf.any() for leaf in jax.tree.leaves(NORM_1(zeros)))


def test_values_are_cut_one_by_one():
    cut = ClipByValue(0.5).apply(jnp.array([-2.0, -0.5, 0.25, 0.75]))
    np.testing.assert_array_equal(cut, [-0.5, -0.5, 0.25, 0.5])


@pytest.mark.parametrize(("l1", "l2"), [(0.3, 0.0), (0.0, 0.4), (0.3, 0.4)])
def test_a_penalty_s_gradient_is_that_of_its_formula(l1, l2, draw):
    w = draw.normal(size=(4, 3))
    with jax.enable_x64(True):
        added = np.asarray(jax.jit(Penalty(l1, l2).add_gradient)(np.zeros((4, 3)), w))

    def term(w):
        return l1 * np.abs(w).sum() + l2 / 2 * (w**2).sum()

    for place in np.ndindex(w.shape):
        h = np.zeros_like(w)
        h[place] = 1e-6
        slope = (term(w + h) - term(w - h)) / 2e-6
        assert float(added[place]) == pytest.approx(slope, abs=1e-8)  # of the difference


def test_l1_leaves_a_weight_of_zero_alone():
    grads = Penalty(l1=1.0).add_gradient(jnp.zeros(3), jnp.array([-2.0, 0.0, 0.5]))
    np.testing.assert_array_equal(grads, [-1.0, 0.0, 1.0])


@pytest.mark.parametrize(
    ("on", "reached"),
    [
        ("all", {"conv1/kernel", "conv1/bias", "fc/kernel", "fc/bias"}),
        ("kernels", {"conv1/kernel", "fc/kernel"}),
        (("fc",), {"fc/kernel", "fc/bias"}),
        (("*/bias", "conv?/kernel"), {"conv1/kernel", "conv1/bias", "fc/bias"}),
    ],
)
@pytest.mark.parametrize("part", ["penalty", "decay"])
def test_penalties_and_decay_reach_the_chosen_parameters(part, on, reached):
    params = {n: {"kernel": np.ones((2, 2)), "bias": np.ones(2)} for n in ("conv1", "fc")}
    still = jax.tree.map(np.zeros_like, params)
    extra = (
        {"penalties": (Penalty(l2=0.5, on=on),)}
        if part == "penalty"
        else {"decoupled_decay": DecoupledDecay(0.5, on=on)}
    )
    sgd = Sgd(0.0, **extra).build(Constant(0.25).build(1.0))
    after = descend(sgd, params, lambda _: still, 1)
    for layer, name in (name.split("/") for name in reached):
        np.testing.assert_array_equal(after[layer].pop(name), 1 - 0.25 * 0.5)
    assert all(np.all(leaf == 1.0) for leaf in jax.tree.leaves(after))


def test_a_pattern_that_matches_nothing_is_refused_before_the_first_step():
    sgd = Sgd(penalties=(Penalty(l2=0.1, on=("fc9",)),)).build(Constant(0.1).build(1.0))
    with pytest.raises(UserError, match="'fc9' matches no parameter; did you mean fc"):
        descend(sgd, TREE, lambda w: w, 1)


def test_decoupled_decay_is_sgdw_of_the_paper():
    # Loshchilov and Hutter 2019, Algorithm 1: eta is the schedule's factor, alpha the rate
    # at the start, lambda is not multiplied by alpha.
    alpha, beta, decay = 0.125, 0.8, 0.02
    schedule = StepDecay(alpha, factor=0.5, at_epochs=(1, 2)).build(4.0)
    theta, m, expected = np.array([1.0, -2.0]), np.zeros(2), []
    for rate in rates_of(schedule, 12):
        eta, g = rate / alpha, theta**3
        m = beta * m + eta * alpha * g
        theta = theta - m - eta * decay * theta
        expected.append(theta)
    sgdw = Sgd(beta, rate_inside=True, decoupled_decay=DecoupledDecay(decay / alpha))
    weights = descend(sgdw.build(schedule), np.array([1.0, -2.0]), lambda w: w**3, 12)
    np.testing.assert_allclose(weights, expected, rtol=1e-13)  # float64, another order
    coupled = Sgd(beta, decay / alpha, rate_inside=True).build(schedule)
    other = descend(coupled, np.array([1.0, -2.0]), lambda w: w**3, 12)
    assert np.abs(other - weights).max() > 1e-3


def test_max_norm_shortens_the_weights_into_each_unit(draw):
    params = {
        "conv": {"kernel": draw.normal(size=(3, 2, 4, 5)), "bias": 9 * np.ones(5)},
        "fc": {"kernel": draw.normal(size=(6, 5)), "bias": 9 * np.ones(5)},
    }
    params["fc"]["kernel"][:, 0] = 0.0
    updates = jax.tree.map(lambda p: draw.normal(size=p.shape), params)
    with jax.enable_x64(True):
        bounded = jax.jit(MaxNorm(2.5).apply)(updates, params)
    shortened = 0
    for layer in params:
        np.testing.assert_array_equal(bounded[layer]["bias"], updates[layer]["bias"])
        moved = params[layer]["kernel"] + updates[layer]["kernel"]
        after = params[layer]["kernel"] + np.asarray(bounded[layer]["kernel"])
        for unit in range(5):
            length = np.sqrt((moved[..., unit] ** 2).sum())
            shortened += length > 2.5
            expected = moved[..., unit] * min(1.0, 2.5 / length)
            np.testing.assert_allclose(after[..., unit], expected, atol=1e-14)
    assert 5 < shortened < 10  # each filter of 24 weights, some columns of 6


def test_a_bound_on_the_root_mean_square_is_zeiler_and_fergus_s():
    weight = np.zeros((2, 2, 1, 2))
    update = np.full((2, 2, 1, 2), 0.3)
    update[..., 1] = 0.05
    with jax.enable_x64(True):
        bound = MaxNorm(0.1, on="all", root_mean_square=True)
        bounded = jax.jit(bound.apply)(update, weight)
    np.testing.assert_allclose(bounded[..., 0], 0.1, rtol=1e-14)
    np.testing.assert_array_equal(bounded[..., 1], 0.05)


def test_max_norm_of_no_weights_at_all_is_no_nan():
    zeros = np.zeros((2, 2), np.float32)
    after = jax.jit(MaxNorm(1.0, on="all").apply)(zeros, zeros)
    np.testing.assert_array_equal(after, zeros)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ClipByGlobalNorm(0.0), "limit 0.0"),
        (lambda: ClipByValue(-1.0), "limit -1.0"),
        (lambda: Penalty(), "both 0"),
        (lambda: Penalty(l1=-1.0), "l1 -1.0"),
        (lambda: Penalty(l2=np.inf), "l2 inf"),
        (lambda: Penalty(l2=1.0, on="biases"), "on 'biases' is not"),
        (lambda: Penalty(l2=1.0, on=()), r"on \(\) is not"),
        (lambda: DecoupledDecay(0.0), "strength 0.0"),
        (lambda: MaxNorm(0.0), "limit 0.0"),
        (lambda: MaxNorm(1.0, on="conv1"), "on 'conv1' is not"),
    ],
)
def test_bad_numbers_are_refused_when_declared(make, says):
    with pytest.raises(ValueError, match=says):
        make()
