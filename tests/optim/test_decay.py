import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.optim.decay import Cosine, Exponential, Polynomial


def rates_of(schedule, steps_per_epoch, steps):
    return np.asarray(jax.jit(schedule.build(steps_per_epoch))(jnp.arange(steps)))


def test_googlenet_s_rate_falls_by_4_percent_every_8_epochs():
    # 1,281,167 images in batches of 32
    rate = jax.jit(Exponential(0.01, 0.96, every_epochs=8).build(1_281_167 / 32))
    first = 320_292  # 8 * 1,281,167 / 32 = 320,291.75
    twentieth = 6_405_835  # exactly 20 * 8 * 1,281,167 / 32
    steps = jnp.array([0, first - 1, first, twentieth - 1, twentieth])
    powers = [0, 0, 1, 19, 20]
    np.testing.assert_allclose(
        rate(steps), [0.01 * 0.96**k for k in powers], rtol=1e-7
    )  # float32


def test_the_staircase_equals_a_loop_over_steps_and_marks():
    sizes = [(1000, 96), (45_000, 128), (10, 3)]
    cases = [(*size, sixtieths) for size in sizes for sixtieths in (120, 80, 6)]
    seen = jax.jit(
        lambda step: [
            Exponential(0.045, 0.94, sixtieths / 60).build(examples / batch)(step)
            for examples, batch, sixtieths in cases
        ]
    )(np.arange(300))
    for (examples, batch, sixtieths), rates in zip(cases, seen, strict=True):
        expected, rate, passed = [], 0.045, 0
        for step in range(300):
            while step * batch * 60 >= (passed + 1) * sixtieths * examples:
                rate, passed = rate * 0.94, passed + 1
            expected.append(rate)
        # float32; the smallest rates are not normal numbers any more
        np.testing.assert_allclose(rates, expected, rtol=1e-6, atol=1e-37)


def test_the_staircase_has_an_end_far_below_any_use():
    rate = Exponential(1.0, 0.5, 1).build(1.0)
    seen = np.asarray(jax.jit(rate)(np.int32([126, 2**31 - 1])))
    assert seen[0] == 2.0**-126 >= seen[1] >= 0.0


def test_the_slope_equals_multiplying_a_little_at_each_step():
    expected, rate = [], 0.5
    for _ in range(100):
        expected.append(rate)
        rate *= 0.9 ** (1 / (2 * 7.5))
    schedule = Exponential(0.5, 0.9, 2, staircase=False)
    np.testing.assert_allclose(rates_of(schedule, 7.5, 100), expected, rtol=1e-6)  # float32


def test_the_polynomial_is_caffe_s_quick_solver_for_googlenet():
    # base_lr (1 - iter / max_iter) ** power; 60 epochs of 40,000 steps are its 2.4 million
    rate = jax.jit(Polynomial(0.01, epochs=60, power=0.5).build(40_000.0))
    steps = [0, 1, 1_200_000, 2_399_999, 2_400_000, 3_000_000]
    expected = [0.01 * math.sqrt(1 - min(s / 2.4e6, 1)) for s in steps]
    np.testing.assert_allclose(rate(jnp.array(steps)), expected, rtol=1e-6)  # float32


def test_the_polynomial_equals_the_formula():
    curves = [Polynomial(0.5, 4.5, power, final_rate=0.02) for power in (0.5, 1.0, 2.0)]
    seen = jax.jit(lambda step: [c.build(7.5)(step) for c in curves])(np.arange(50))
    for curve, rates in zip(curves, seen, strict=True):
        left = [max(1 - step / 33.75, 0.0) for step in range(50)]
        expected = [0.02 + 0.48 * part**curve.power for part in left]
        np.testing.assert_allclose(rates, expected, rtol=1e-6)  # float32


def test_the_cosine_equals_its_recurrence():
    # cos((k + 1) a) = 2 cos(a) cos(k a) - cos((k - 1) a)
    turn = math.cos(math.pi / 40)
    before, now, expected = turn, 1.0, []
    for _ in range(41):
        expected.append(0.1 + 0.5 * (1 + now) * (0.9 - 0.1))
        before, now = now, 2 * turn * now - before
    schedule = Cosine(0.9, 4, final_rate=0.1)
    seen = rates_of(schedule, 10.0, 60)
    np.testing.assert_allclose(seen[:41], expected, atol=2e-7)  # float32 of 0.9
    np.testing.assert_array_equal(seen[40:], np.float32(0.1))


# torch 2.13, torch.optim.lr_scheduler, one step an epoch, the rate before each step:
# PolynomialLR(o, 8, power=0.5), CosineAnnealingLR(o, 8, eta_min=0.125), StepLR(o, 3, 0.75),
# ExponentialLR(o, 0.75), all from 0.5
PYTORCH = [
    (
        Polynomial(0.5, 8, 0.5),
        "0.5 0.46770717 0.4330127 0.39528471 0.35355339 0.30618622 0.25 0.1767767 0 0",
    ),
    (
        Cosine(0.5, 8, 0.125),
        "0.5 0.48572741 0.44508252 0.38425314 0.3125 0.24074686 0.17991748 0.139273 .125",
    ),
    (Exponential(0.5, 0.75, 3), "0.5 0.5 0.5 0.375 0.375 0.375 0.28125 0.28125 0.28125"),
    (
        Exponential(0.5, 0.75, staircase=False),
        "0.5 0.375 0.28125 0.2109375 0.15820312 0.11865234",
    ),
]


@pytest.mark.parametrize(("schedule", "printed"), PYTORCH)
def test_rates_are_pytorch_s(schedule, printed):
    expected = [float(word) for word in printed.split()]
    # six digits are given
    np.testing.assert_allclose(rates_of(schedule, 1.0, len(expected)), expected, atol=6e-7)
