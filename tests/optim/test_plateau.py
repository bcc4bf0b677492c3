import io
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.optim.plateau import PlateauState, ReduceOnPlateau, plateau_of
from cnn_jax.optim.schedules import Constant, OneCycle
from cnn_jax.optim.warmup import Warmup

CURVE = (
    *(0.9, 0.7, 0.7, 0.6999, 0.69, 0.695, 0.8, 0.691, 0.689, 0.6882, 0.6875, 0.687),
    *(0.5, 0.5, 0.5, 0.51, 0.6, 0.5, 0.5, 0.4995, 0.5, 0.3, 0.31, 0.32, 0.33),
)


def follow(schedule, errors, state=None):
    """Return the scale after each epoch, and the last state."""
    update = jax.jit(schedule.update)
    state = schedule.initial_state() if state is None else state
    scales = []
    for error in errors:
        state = update(state, error)
        scales.append(float(state.scale))
    return scales, state


def by_hand(errors, *, factor, patience, delta, cooldown, floor):
    """The same by a list of all errors so far, in float64."""
    scales, scale, best, since, cool = [], 1.0, math.inf, 0, 0
    for error in errors:
        if error < best - delta:
            best, since = error, 0
        else:
            since += 1
        if cool > 0:
            cool, since = cool - 1, 0
        if since == patience:
            scale, since, cool = max(scale * factor, floor), 0, cooldown
        scales.append(scale)
    return scales


def test_the_rate_is_divided_where_a_made_up_curve_stops_improving():
    schedule = ReduceOnPlateau(0.01, factor=0.1, patience=3, min_improvement=0.01)
    #          first, better, too little, not, not: third in vain; better; three in vain
    errors = [0.9, 0.5, 0.495, 0.5, 0.5, 0.3, 0.3, 0.295, 0.31, 0.2]
    scales, _ = follow(schedule, errors)
    assert scales == pytest.approx([1] * 4 + [0.1] * 4 + [0.01] * 2)


def test_small_improvements_add_up_because_the_best_one_stays():
    schedule = ReduceOnPlateau(0.1, patience=3, min_improvement=0.01)
    errors = [0.5, 0.494, 0.488, 0.482, 0.476]  # 0.488 is 0.012 below 0.5
    scales, state = follow(schedule, errors)
    assert scales == [1.0] * 5
    assert float(state.best) == pytest.approx(0.476)


# torch 2.13: ReduceLROnPlateau(o, threshold_mode="abs", eps=0, ...).step(error) over the
# curve above, from a rate of 1. Its patience is one less: it counts what it puts up with.
PYTORCH = [
    (  # factor=0.5, patience=1, threshold=0.002
        ReduceOnPlateau(1.0, 0.5, 2, 0.002),
        [0] * 3
        + [1] * 3
        + [2] * 2
        + [3] * 6
        + [4] * 2
        + [5] * 2
        + [6] * 2
        + [7] * 3
        + [8] * 2,
    ),
    (  # factor=0.5, patience=2, threshold=0.002, cooldown=2
        ReduceOnPlateau(1.0, 0.5, 3, 0.002, cooldown=2),
        [0] * 7 + [1] * 8 + [2] * 5 + [3] * 5,
    ),
    (  # factor=0.5, patience=0, threshold=0, min_lr=0.25
        ReduceOnPlateau(1.0, 0.5, 1, min_rate=0.25),
        [0] * 2 + [1] * 3 + [2] * 20,
    ),
]


@pytest.mark.parametrize(("schedule", "halvings"), PYTORCH)
def test_the_epochs_are_pytorch_s(schedule, halvings):
    scales, _ = follow(schedule, CURVE)
    assert scales == [0.5**k for k in halvings]


@pytest.mark.parametrize("patience", [1, 2, 5])
@pytest.mark.parametrize("cooldown", [0, 3])
def test_it_equals_a_loop_on_a_noisy_curve(patience, cooldown, draw):
    # Multiples of 1/1024, so that float32 decides like float64.
    falling = np.exp(-np.arange(80) / 25) + 0.05 * draw.normal(size=80)
    errors = np.round(1024 * np.clip(falling, 0, 1)) / 1024
    schedule = ReduceOnPlateau(1.0, 0.5, patience, 1 / 256, cooldown, min_rate=1 / 64)
    scales, _ = follow(schedule, errors)
    assert scales == by_hand(
        errors,
        factor=0.5,
        patience=patience,
        delta=1 / 256,
        cooldown=cooldown,
        floor=1 / 64,
    )
    assert scales[-1] < 1


@pytest.mark.parametrize("stop", [3, 9])
def test_saved_and_restored_it_goes_on_as_if_nothing_had_happened(stop):
    schedule = ReduceOnPlateau(1.0, 0.5, 2, 0.002, cooldown=1)
    whole, last = follow(schedule, CURVE)
    before, state = follow(schedule, CURVE[:stop])
    file = io.BytesIO()
    np.savez(file, **state._asdict())
    file.seek(0)
    restored = PlateauState(**np.load(file))
    after, end = follow(schedule, CURVE[stop:], restored)
    assert before + after == whole
    assert jax.tree.map(float, end) == jax.tree.map(float, last)


def test_an_error_that_is_no_number_is_no_improvement():
    schedule = ReduceOnPlateau(0.1, patience=2)
    scales, state = follow(schedule, [0.5, math.nan, math.nan, 0.4])
    assert scales == pytest.approx([1, 1, 0.1, 0.1])
    assert float(state.best) == pytest.approx(0.4)
    assert follow(schedule, [math.nan, math.nan])[0] == pytest.approx([1, 0.1])


def test_the_rate_ends_at_the_floor_after_three_divisions():
    # Krizhevsky et al. 2012, Section 5: 0.01, reduced three times
    schedule = ReduceOnPlateau(0.01, patience=1, min_rate=1e-5)
    scales, _ = follow(schedule, [0.5] * 7)
    rates = [0.01 * scale for scale in scales]
    assert rates == pytest.approx([1e-2, 1e-3, 1e-4, 1e-5, 1e-5, 1e-5, 1e-5])


def test_the_state_has_the_same_types_before_and_after():
    schedule = ReduceOnPlateau(0.1)
    for wide in (False, True):
        with jax.enable_x64(wide):
            state = schedule.initial_state()
            after = jax.eval_shape(schedule.update, state, jnp.float32(0.5))
        assert [leaf.dtype for leaf in after] == [leaf.dtype for leaf in state]
        assert [leaf.dtype for leaf in state] == [np.float32] * 2 + [np.int32] * 2


@pytest.mark.parametrize(
    ("patience", "cooldown", "factor", "expected"),
    [
        (5, 0, 0.1, (1, 0)),
        (5, 2, 0.5, (3, 1)),
        (30, 3, 1 / 3, (10, 1)),
        (1, 1, 0.01, (1, 1)),
        (4, 1, 2.5, (10, 3)),
    ],
)
def test_patience_is_stretched_with_the_run(patience, cooldown, factor, expected):
    scaled = ReduceOnPlateau(0.1, patience=patience, cooldown=cooldown).scaled(factor)
    assert (scaled.patience, scaled.cooldown) == expected
    assert scaled.rate == 0.1


def test_the_part_that_needs_the_error_is_found():
    plateau = ReduceOnPlateau(0.1)
    assert plateau_of(plateau) is plateau
    assert plateau_of(Warmup(plateau, 5)) is plateau
    assert plateau_of(Warmup(Constant(0.1), 5)) is None
    assert plateau_of(OneCycle(0.1, 5)) is None


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ReduceOnPlateau(0.0), "rate 0.0"),
        (lambda: ReduceOnPlateau(0.1, factor=1.0), "factor 1.0 is not between 0 and 1"),
        (lambda: ReduceOnPlateau(0.1, patience=0), "patience 0 is not at least 1 epoch"),
        (lambda: ReduceOnPlateau(0.1, cooldown=-1), "cooldown -1"),
        (lambda: ReduceOnPlateau(0.1, min_improvement=-0.1), "min_improvement -0.1"),
        (lambda: ReduceOnPlateau(0.1, min_improvement=1.0), "min_improvement 1.0"),
        (lambda: ReduceOnPlateau(0.1, min_rate=0.2), r"min_rate 0.2 is not in \[0, 0.1\]"),
        (lambda: ReduceOnPlateau(0.1).scaled(0), "factor 0"),
    ],
)
def test_bad_numbers_are_refused_when_declared(make, says):
    with pytest.raises(ValueError, match=says):
        make()
