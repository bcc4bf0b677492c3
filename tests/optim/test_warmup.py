import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.optim.plateau import ReduceOnPlateau
from cnn_jax.optim.schedules import Constant, StepDecay
from cnn_jax.optim.warmup import Warmup


def rates(schedule, steps_per_epoch, steps):
    return np.asarray(jax.jit(schedule.build(steps_per_epoch))(jnp.arange(steps)))


def test_the_rate_grows_by_the_same_amount_at_each_step():
    # 2.5 epochs of 8 steps, from a tenth of 0.8 up
    expected, rate = [], 0.08
    for _ in range(20):
        expected.append(rate)
        rate += 0.8 * 0.9 / 20
    seen = rates(Warmup(Constant(0.8), 2.5), 8.0, 30)
    np.testing.assert_allclose(seen[:20], expected, rtol=1e-6)  # float32
    np.testing.assert_array_equal(seen[20:], np.float32(0.8))


@pytest.mark.parametrize("shape", ["linear", "constant"])
def test_marks_stay_epochs_of_the_whole_run(shape):
    # Goyal et al. 2017 drop the rate at epochs 30, 60, 80 of a run whose first 5 warm up.
    schedule = StepDecay(0.1, at_epochs=(30, 60, 80))
    plain = rates(schedule, 12.5, 1125)
    warmed = rates(Warmup(schedule, 5, 1 / 8, shape), 12.5, 1125)
    np.testing.assert_array_equal(warmed[63:], plain[63:])  # 62.5 steps
    assert np.all(warmed[:63] < plain[:63])


def test_the_constant_form_is_resnet_110_s():
    # 400 iterations at 0.01, then 0.1, divided after 32,000 and 48,000
    epoch = 45_000 / 128
    schedule = Warmup(
        StepDecay(0.1, at_epochs=(32_000 / epoch, 48_000 / epoch)),
        400 / epoch,
        0.1,
        "constant",
    )
    rate = jax.jit(schedule.build(epoch))
    steps = [0, 399, 400, 31_999, 32_000, 48_000]
    np.testing.assert_allclose(
        rate(jnp.array(steps)), [0.01, 0.01, 0.1, 0.1, 0.01, 0.001], rtol=1e-6
    )  # float32


@pytest.mark.parametrize(
    ("shape", "printed"),
    [  # torch 2.13: LinearLR(o, 0.25, 1.0, 4) and ConstantLR(o, 0.25, 4), from 0.5
        ("linear", [0.125, 0.21875, 0.3125, 0.40625, 0.5, 0.5]),
        ("constant", [0.125, 0.125, 0.125, 0.125, 0.5, 0.5]),
    ],
)
def test_rates_are_pytorch_s(shape, printed):
    seen = rates(Warmup(Constant(0.5), 4, 0.25, shape), 1.0, 6)
    np.testing.assert_array_equal(seen, printed)


def test_stretching_stretches_both():
    assert Warmup(StepDecay(0.1, at_epochs=(30,)), 5).scaled(0.5) == Warmup(
        StepDecay(0.1, at_epochs=(15.0,)), 2.5
    )
    assert Warmup(ReduceOnPlateau(0.1, patience=4), 2).scaled(0.5).schedule.patience == 2


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Warmup(Constant(0.1), 0), "epochs 0"),
        (lambda: Warmup(Constant(0.1), 1, start=0.0), "start 0.0 is not between 0 and 1"),
        (lambda: Warmup(Constant(0.1), 1, start=1.0), "start 1.0"),
        (lambda: Warmup(Constant(0.1), 1, shape="cubic"), "'cubic' is not linear or const"),
        (lambda: Warmup(Constant(0.1), 1).build(0), "steps_per_epoch 0"),
        (lambda: Warmup(Constant(0.1), 1).scaled(0), "factor 0"),
    ],
)
def test_bad_numbers_are_refused_when_declared(make, says):
    with pytest.raises(ValueError, match=says):
        make()
