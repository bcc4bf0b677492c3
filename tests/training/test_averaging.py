"""Averages of parameters and statistics against recurrences in NumPy."""

import jax
import numpy as np
import pytest

from cnn_jax.training.averaging import ExponentialAverage, PolyakAverage, move_average
from cnn_jax.training.losses import cross_entropy
from cnn_jax.training.state import evaluated_variables
from cnn_jax.training.steps import StepOptions, make_train_step
from tests.training.small_network import make_data, optimizer, positions, prepare, start
from tests.training.test_steps import NORMALISED, QUICK

STEPS_PER_EPOCH = 4.0


def averages(rule, values):
    """The average after each of the values, the first being that before any step."""
    weight, average, found = rule.build(STEPS_PER_EPOCH), {"x": values[0]}, []
    for step, value in enumerate(values[1:], 1):
        average = move_average(average, {"x": value}, weight(np.int32(step)))
        found.append(average["x"])
    return np.array(found)


@pytest.mark.parametrize("warmup", [False, True])
def test_exponential(draw, warmup):
    values = draw.standard_normal((31, 3)).astype(np.float32)
    found = averages(ExponentialAverage(0.6, warmup=warmup), values)
    average = np.float64(values[0])
    for step, value in enumerate(values[1:], 1):
        decay = min(0.6, (1 + step) / (10 + step)) if warmup else 0.6
        average = decay * average + (1 - decay) * value
        np.testing.assert_allclose(found[step - 1], average, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("from_epoch", "before"), [(0.0, 0), (1.5, 6), (1.6, 7)])
def test_polyak_is_the_mean_of_all_steps_after_an_epoch(draw, from_epoch, before):
    values = draw.standard_normal((31, 3)).astype(np.float32)
    found = averages(PolyakAverage(from_epoch), values)
    for step in range(1, 31):
        counted = values[1:][before:step] if step > before else values[step : step + 1]
        expected = np.float64(counted).mean(0)
        np.testing.assert_allclose(found[step - 1], expected, rtol=1e-5, atol=1e-6)


def test_float32_loses_a_share_below_half_a_unit_in_the_last_place():
    """As the docstring warns: n 2^-25 of the average, 3 % after a million steps."""
    weight = PolyakAverage().build(STEPS_PER_EPOCH)(np.int32(1_000_000))
    one = np.float32(1.0)
    stays, moves = (move_average(one, np.float32(x), weight) for x in (1.05, 1.07))
    assert (float(stays), float(moves) > 1.0) == (1.0, True)


def test_a_longer_run_moves_the_epoch_and_keeps_the_decay():
    assert PolyakAverage(3.0).scaled(0.5) == PolyakAverage(1.5)
    assert ExponentialAverage(0.9).scaled(0.5) == ExponentialAverage(0.9)


@pytest.mark.parametrize("decay", [0.0, 1.0, -0.1, float("nan")])
def test_decays_out_of_range_are_refused(decay):
    with pytest.raises(ValueError, match=f"decay {decay}"):
        ExponentialAverage(decay)


@pytest.mark.parametrize("epoch", [-1.0, float("inf"), float("nan")])
def test_epochs_out_of_range_are_refused(epoch):
    with pytest.raises(ValueError, match=f"from_epoch {epoch}"):
        PolyakAverage(epoch)


def test_a_step_moves_the_average_of_parameters_and_statistics_which_is_evaluated():
    rule = ExponentialAverage(0.9, warmup=True)
    how = StepOptions(average=rule.build(STEPS_PER_EPOCH))
    step = jax.jit(
        make_train_step(NORMALISED, cross_entropy, optimizer(), prepare, how),
        compiler_options=QUICK,
    )
    state, data = start(NORMALISED, averaged=True), make_data()
    expected = jax.tree.map(
        np.float64, {"params": state.params, "batch_stats": state.batch_stats}
    )
    for number in range(1, 6):
        state, _ = step(state, data, positions(number))
        decay = min(0.9, (1 + number) / (10 + number))
        newest = {"params": state.params, "batch_stats": state.batch_stats}
        expected = jax.tree.map(
            lambda a, x, d=decay: d * a + (1 - d) * np.float64(x), expected, newest
        )
    evaluated = evaluated_variables(state)
    assert jax.tree.structure(evaluated) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(evaluated), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)  # float32, five steps
    mean = state.batch_stats["conv1_norm"]["mean"]
    assert np.abs(evaluated["batch_stats"]["conv1_norm"]["mean"] - mean).max() > 1e-4
    plain = evaluated_variables(state._replace(average={}))
    assert plain["params"] is state.params
    assert plain["batch_stats"] is state.batch_stats
