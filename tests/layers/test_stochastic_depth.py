import itertools

import jax
import numpy as np
import pytest

from cnn_jax.layers.residual_network import ResidualNetwork
from cnn_jax.layers.stochastic_depth import branch_weight, survival_probability
from tests.layers.small_residual_networks import (
    BASIC,
    SHAPE,
    assert_statistics_equal,
    by_loops,
    network,
    quick_jit,
    random_variables,
    run_both,
)


def test_the_survival_probability_falls_linearly_to_that_of_the_last_block():
    # Huang et al. 2016, equation 4, with L = 54 and p_L = 0.5.
    chances = [survival_probability(block, 54, 0.5) for block in range(1, 55)]
    assert chances[0] == pytest.approx(1 - 1 / 108)
    assert chances[26] == pytest.approx(0.75)
    assert chances[-1] == 0.5
    assert sum(chances) == pytest.approx(40.25)
    np.testing.assert_allclose(np.diff(chances), -1 / 108)
    assert survival_probability(3, 7, 1.0) == 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 54, 0.5), "block 0 is not in 1 ... 54"),
        ((55, 54, 0.5), "block 55 is not in 1 ... 54"),
        ((1, 54, 0.0), r"survival 0.0 is not in \(0, 1\]"),
        ((1, 54, 1.5), r"survival 1.5 is not in \(0, 1\]"),
    ],
)
def test_wrong_numbers_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        survival_probability(*arguments)


def test_draws_are_one_or_zero_as_often_as_they_should_be(rng):
    keys = jax.random.split(rng, 4000)
    weights = np.asarray(jax.vmap(lambda key: branch_weight(key, 0.75))(keys))
    assert set(weights) == {0.0, 1.0}
    # 4000 draws: standard error 0.007, four of them.
    assert weights.mean() == pytest.approx(0.75, abs=0.028)


SURVIVAL = 0.25
CHANCES = (0.75, 0.5, 0.25)  # p_1, p_2, p_3 for three blocks


@pytest.mark.parametrize("option", ["A", "B"])
def test_a_step_leaves_whole_blocks_out_for_the_whole_batch(option, draw, rng):
    model = network(BASIC, shortcut=option, survival=SURVIVAL)
    variables = random_variables(model, draw)
    images = draw.standard_normal((3, *SHAPE)).astype(np.float32)

    @quick_jit
    def step(key):
        return model.apply(
            variables, images, train=True, mutable=["batch_stats"], rngs={"dropout": key}
        )

    candidates = {
        active: by_loops(model, variables, images, BASIC, train=True, weights=active)
        for active in itertools.product((0.0, 1.0), repeat=3)
    }
    seen = []
    for key in jax.random.split(rng, 30):
        scores, updated = step(key)
        # Every row of the batch agrees with one and the same choice of blocks.
        fits = [
            active
            for active, (expected, _) in candidates.items()
            if np.allclose(scores, expected, rtol=1e-3, atol=1e-4)
        ]
        assert len(fits) == 1
        seen += fits
        # A block that was left out keeps its statistics, a projection's always move.
        assert_statistics_equal(updated["batch_stats"], candidates[fits[0]][1])
    assert len(set(seen)) > 3
    # 30 draws: standard error at most 0.09, three of them.
    np.testing.assert_allclose(np.mean(seen, 0), CHANCES, atol=0.28)


def test_evaluation_scales_each_branch_by_its_survival_probability(draw, rng):
    model = network(BASIC, shortcut="B", survival=SURVIVAL)
    variables = random_variables(model, draw)
    images = draw.standard_normal((2, *SHAPE)).astype(np.float32)
    evaluated, _, _ = run_both(model, variables, images, rng)
    expected, _ = by_loops(model, variables, images, BASIC, train=False, weights=CHANCES)
    np.testing.assert_allclose(evaluated, expected, rtol=1e-3, atol=1e-4)
    unscaled, _ = by_loops(model, variables, images, BASIC, train=False)
    assert not np.allclose(evaluated, unscaled, atol=1e-2)


def test_survival_1_is_the_residual_network_itself_bit_for_bit(draw, rng):
    plain = network(BASIC)
    kept = network(BASIC, survival=1.0)
    variables = random_variables(plain, draw)
    images = draw.standard_normal((2, *SHAPE)).astype(np.float32)
    without_key = run_both(plain, variables, images)
    with_key = run_both(kept, variables, images, rng)
    jax.tree.map(np.testing.assert_array_equal, without_key, with_key)

    def program(model, key):
        apply = lambda v, x: model.apply(  # noqa: E731
            v, x, train=True, mutable=["batch_stats"], rngs={"dropout": key}
        )
        return str(jax.make_jaxpr(apply)(variables, images))

    assert "random" not in program(kept, rng)
    assert "random" in program(network(BASIC, survival=0.5), rng)


def test_the_draw_depends_on_the_key_alone_not_on_the_batch(draw, rng):
    model = network(BASIC, shortcut="A", survival=SURVIVAL)
    variables = random_variables(model, draw)

    @quick_jit
    def step(images, key):
        _, updated = model.apply(
            variables, images, train=True, mutable=["batch_stats"], rngs={"dropout": key}
        )
        return updated["batch_stats"]

    def left_out(images, key):
        before, after = variables["batch_stats"], step(images, key)
        names = [name for name, _, _ in BASIC]
        means = [[s[n]["conv1_norm"]["mean"] for s in (before, after)] for n in names]
        return [np.array_equal(*pair) for pair in means]

    small, large = (draw.standard_normal((n, *SHAPE)).astype(np.float32) for n in (1, 5))
    keys = jax.random.split(rng, 6)
    draws = [left_out(small, key) for key in keys]
    assert draws == [left_out(large, key) for key in keys]
    assert len({tuple(row) for row in draws}) > 1


def test_a_plain_network_takes_no_survival():
    with pytest.raises(ValueError, match="no path from input to output"):
        ResidualNetwork(shortcut="none", survival=0.5)
