import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnn_jax.codec import decode, encode
from cnn_jax.optim.decay import Cosine, Exponential, Polynomial
from cnn_jax.optim.epochs import first_step
from cnn_jax.optim.plateau import ReduceOnPlateau
from cnn_jax.optim.schedules import Constant, OneCycle, StepDecay
from cnn_jax.optim.warmup import Warmup


def test_constant_is_the_rate_at_every_step():
    rate = Constant(0.05).build(390.625)
    np.testing.assert_array_equal(rate(jnp.array([0, 7, 10**6])), np.float32(0.05))
    assert rate(0).shape == ()


def test_step_decay_changes_at_the_first_step_that_begins_at_or_after_the_mark():
    # 50,000 examples in batches of 128: epoch 30 ends inside step 11718 (11718.75).
    rate = StepDecay(0.01, at_epochs=(30, 60)).build(50_000 / 128)
    np.testing.assert_allclose(
        [rate(s) for s in (0, 11_718, 11_719, 23_437, 23_438, 10**7)],
        [0.01, 0.01, 0.001, 0.001, 0.0001, 0.0001],
        rtol=1e-7,  # float32
    )


def test_step_decay_equals_a_loop_with_exact_fractions():
    examples, batch, epochs = 1000, 96, (1, 2.5, 3, 7)
    rate = StepDecay(1.0, factor=0.5, at_epochs=epochs).build(examples / batch)
    for step in range(90):
        # step >= epoch * examples / batch, multiplied out
        passed = sum(step * batch * 2 >= int(2 * e) * examples for e in epochs)
        assert rate(step) == 0.5**passed


@pytest.mark.parametrize("batch", [3, 7, 48, 96, 100, 127, 384])
@pytest.mark.parametrize("examples", [100, 1437, 45_000, 1_281_167])
def test_marks_that_fall_on_a_step_are_not_moved_by_rounding(batch, examples):
    for epoch in range(1, 100):
        assert first_step(epoch, examples / batch) == -(-epoch * examples // batch)


def test_stretched_marks_keep_their_place_in_the_run():
    schedule = StepDecay(0.1, at_epochs=(30.0, 60.0)).scaled(9 / 90)
    assert schedule.at_epochs == pytest.approx((3, 6), rel=1e-15)
    rate = schedule.build(100.0)
    # 60 * (9 / 90) is 6.000000000000001 or so in floating point; the mark stays at 600.
    assert rate(599) == np.float32(0.01)
    assert rate(600) == pytest.approx(0.001, rel=1e-6)


def one_cycle_by_hand(step, peak, total, warmup, divisor, end_divisor):
    low, end, top = peak / divisor, peak / divisor / end_divisor, warmup * total
    if step < top:
        return low + (peak - low) * 0.5 * (1 - math.cos(math.pi * step / top))
    along = min((step - top) / (total - top), 1.0)
    return end + (peak - end) * 0.5 * (1 + math.cos(math.pi * along))


@pytest.mark.parametrize("epochs", [1, 4.5])
def test_one_cycle_equals_the_formula(epochs):
    rate = jax.jit(OneCycle(0.1, epochs).build(33.3))
    total = epochs * 33.3
    expected = [one_cycle_by_hand(s, 0.1, total, 0.3, 25, 1e4) for s in range(160)]
    # float32 cosines of a peak of 0.1
    np.testing.assert_allclose(rate(jnp.arange(160)), expected, atol=2e-8)


def test_one_cycle_equals_optax_where_the_peak_falls_on_a_step():
    ours = OneCycle(
        0.4, epochs=5, warmup_fraction=0.25, start_divisor=10, end_divisor=100
    ).build(20.0)
    theirs = jax.vmap(optax.cosine_onecycle_schedule(100, 0.4, 0.25, 10, 100))
    steps = jnp.arange(120)
    # float32 of 0.4
    np.testing.assert_allclose(jax.jit(ours)(steps), jax.jit(theirs)(steps), atol=1e-7)
    assert ours(0) == pytest.approx(0.04, rel=1e-6)
    assert ours(25) == pytest.approx(0.4, rel=1e-6)
    assert ours(100) == pytest.approx(0.0004, rel=1e-6)


def test_one_cycle_scales_to_the_length_of_the_run():
    long, short = OneCycle(0.1, 30), OneCycle(0.1, 30).scaled(0.1)
    assert short.epochs == pytest.approx(3)
    steps = jnp.arange(0, 3000, 100)
    few, many = jax.jit(short.build(100.0)), jax.jit(long.build(100.0))
    np.testing.assert_allclose(few(steps // 10), many(steps), atol=2e-8)


EVERY_SCHEDULE = [
    Constant(0.1),
    StepDecay(0.1, at_epochs=(1, 2)),
    OneCycle(0.1, 3),
    Exponential(0.1, 0.9, 2),
    Exponential(0.1, 0.9, 2, staircase=False),
    Polynomial(0.1, 3, power=0.5),
    Cosine(0.1, 3, final_rate=0.01),
    Warmup(Cosine(0.1, 3), 0.7),
    Warmup(StepDecay(0.1, at_epochs=(1, 2)), 0.7, shape="constant"),
    ReduceOnPlateau(0.1),
]


def every_rate(step, steps_per_epoch=10.0, stretch=1.0):
    """Return the rates of all of them at that step, in one program."""
    return [s.scaled(stretch).build(steps_per_epoch)(step) for s in EVERY_SCHEDULE]


def test_schedules_trace_once_and_give_float32_for_any_step():
    traces = []

    @jax.jit
    def traced(step):
        traces.append(step)
        return every_rate(step)

    steps = (0, 5, 6, 7, 19, 20, 29, 31)
    together = jax.jit(every_rate)(np.int32(steps))
    for place, step in enumerate(steps):
        for rate, rates in zip(traced(jnp.int32(step)), together, strict=True):
            assert (rate.dtype, rate.shape) == (jnp.float32, ())
            assert rate == pytest.approx(float(rates[place]), rel=1e-5)  # fused or not
    assert len(traces) == 1


def test_rates_stay_float32_where_64_bits_are_allowed():
    with jax.enable_x64(True):
        rates = jax.eval_shape(every_rate, jax.ShapeDtypeStruct((), np.int32))
    assert {(rate.dtype, rate.shape) for rate in rates} == {(np.dtype("float32"), ())}


def test_a_stretched_schedule_has_the_same_rates_at_the_same_part_of_the_run():
    # 3 epochs of 32 steps, or half as many epochs of twice as many
    whole, half = jax.jit(
        lambda step: (every_rate(step, 32.0), every_rate(step, 64.0, stretch=0.5))
    )(np.arange(110))
    for schedule, one, other in zip(EVERY_SCHEDULE, whole, half, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, err_msg=f"{schedule}")  # float32


@pytest.mark.parametrize("schedule", EVERY_SCHEDULE)
def test_a_schedule_is_read_back_as_written(schedule):
    assert decode(encode(schedule)) == schedule


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Constant(0.0), "rate 0.0 is not a positive number"),
        (lambda: Constant(math.nan), "rate nan"),
        (lambda: StepDecay(-1, at_epochs=(1,)), "rate -1"),
        (lambda: StepDecay(0.1, factor=1.0, at_epochs=(1,)), "factor 1.0 is not between"),
        (lambda: StepDecay(0.1), "at_epochs is empty"),
        (lambda: StepDecay(0.1, at_epochs=(2, 1)), "positive and increasing"),
        (lambda: StepDecay(0.1, at_epochs=(1, 1)), "positive and increasing"),
        (lambda: StepDecay(0.1, at_epochs=(0, 1)), "positive and increasing"),
        (lambda: OneCycle(0.1, 0), "epochs 0"),
        (lambda: OneCycle(0.1, 1, warmup_fraction=1.0), "warmup_fraction 1.0"),
        (lambda: OneCycle(0.1, 1, start_divisor=0.5), "start_divisor 0.5"),
        (lambda: OneCycle(0.1, 1).scaled(0), "factor 0"),
        (lambda: Constant(0.1).build(0), "steps_per_epoch 0"),
        (lambda: Exponential(0.1, 1.0), "factor 1.0 is not between 0 and 1"),
        (lambda: Exponential(0.1, 0.9, 0.0), "every_epochs 0.0"),
        (lambda: Exponential(0.1, 0.9999), r"factor 0.9999 makes 8\d\d,\d\d\d stairs"),
        (lambda: Polynomial(0.1, 0), "epochs 0"),
        (lambda: Polynomial(0.1, 1, power=0.0), "power 0.0"),
        (lambda: Polynomial(0.1, 1, final_rate=0.1), "final_rate 0.1 is not .* below 0.1"),
        (lambda: Cosine(0.0, 1), "rate 0.0"),
        (lambda: Cosine(0.1, 1, final_rate=-0.1), "final_rate -0.1"),
        (lambda: Cosine(0.1, math.inf), "epochs inf"),
    ],
)
def test_bad_numbers_are_refused_when_declared(make, says):
    with pytest.raises(ValueError, match=says):
        make()
