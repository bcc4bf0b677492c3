import subprocess
import sys

import numpy as np
import pytest

from cnn_jax.data.order import (
    batch_positions,
    epoch_at_step,
    epoch_order,
    random_order,
    steps_at_epoch,
)
from cnn_jax.errors import UserError


def test_every_example_is_seen_equally_often_over_whole_epochs():
    # 35 steps of 12 are 420 positions: 7 epochs of 60, straddled at 12 * 5 = 60 never;
    # with 8 examples a step, 60 is straddled at step 7 (56..63).
    for batch_size, steps, epochs in ((12, 35, 7), (8, 15, 2), (7, 60, 7)):
        taken = [batch_positions(3, s, batch_size, 60) for s in range(steps)]
        counts = np.bincount(np.concatenate(taken), minlength=60)
        assert (counts == epochs).all(), (batch_size, counts)


def test_a_batch_straddles_two_epochs_and_goes_on_where_the_first_ends():
    first, second = epoch_order(5, 0, 10), epoch_order(5, 1, 10)
    taken = batch_positions(5, 2, 4, 10)  # positions 8, 9 | 10, 11
    assert taken.tolist() == [*first[8:], *second[:2]]
    assert taken.dtype == np.int32


def test_a_batch_of_the_whole_set_is_one_permutation():
    assert sorted(batch_positions(0, 4, 10, 10)) == list(range(10))
    assert (batch_positions(0, 4, 10, 10) == epoch_order(0, 4, 10)).all()


def test_a_step_is_a_pure_function_whatever_was_asked_before():
    wanted = {s: batch_positions(1, s, 7, 50).tolist() for s in (0, 7, 30, 300)}
    for step in (300, 0, 30, 7):
        assert batch_positions(1, step, 7, 50).tolist() == wanted[step]
    code = (
        "from cnn_jax.data.order import batch_positions as b\n"
        "import sys; sys.stdout.write(str(b(1, 300, 7, 50).tolist()))"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert other.stdout.decode() == str(wanted[300])


def test_the_raw_bits_are_those_of_philox_so_an_order_never_changes():
    # Random123's known answer for philox4x64-10 with counter 0 and key 0; NumPy counts
    # up before the first draw, so its stream begins at counter 1 and the answer for
    # counter 0 is the one after the counter has wrapped around.
    wrapped = np.random.Philox(key=0, counter=2**256 - 1).random_raw(4)
    assert [f"{w:016x}" for w in wrapped] == [
        "16554d9eca36314c",
        "db20fe9d672d0fdc",
        "d7e772cee186176b",
        "7e68b68aec7ba23b",
    ]
    bits = np.random.Philox(key=7).random_raw(6).tolist()
    assert random_order(6, 7).tolist() == sorted(range(6), key=lambda i: bits[i])


def test_seeds_and_epochs_have_orders_of_their_own():
    orders = [
        epoch_order(seed, epoch, 1000)
        for seed, epoch in ((0, 0), (0, 1), (1, 0), (1, 1), (2**40, 0))
    ]
    for i, a in enumerate(orders):
        assert sorted(a) == list(range(1000))
        for b in orders[:i]:
            # Two independent orders agree in 1 place on average (Poisson): 8 is 1e-5.
            assert (a == b).sum() < 8
            assert abs(np.corrcoef(a, b)[0, 1]) < 0.16  # five standard errors of 1/sqrt(n)


def test_changing_a_batch_does_not_change_the_cached_order():
    before = batch_positions(9, 0, 5, 20).tolist()
    batch_positions(9, 0, 5, 20)[:] = -1
    assert batch_positions(9, 0, 5, 20).tolist() == before


def test_a_batch_that_does_not_fit_is_refused():
    with pytest.raises(UserError, match=r"batch size 11 is larger .* 10 examples"):
        batch_positions(0, 0, 11, 10)
    with pytest.raises(UserError, match="empty"):
        batch_positions(0, 0, 1, 0)
    with pytest.raises(ValueError, match="at least 1, not 0"):
        batch_positions(0, 0, 0, 10)
    with pytest.raises(ValueError, match="step must be at least 0"):
        batch_positions(0, -1, 2, 10)
    with pytest.raises(ValueError, match="seed"):
        batch_positions(-1, 0, 2, 10)


@pytest.mark.parametrize(
    ("epochs", "batch_size", "examples", "steps"),
    [
        (1, 100, 1000, 10),
        (1, 64, 1000, 16),  # 15.625: the 16th step ends the epoch
        (2, 64, 1000, 32),  # 31.25
        (0, 64, 1000, 0),
        (0.1, 100, 1000, 1),
        (3 * 0.1, 1, 10, 3),  # 0.30000000000000004 in floating point
        (0.7, 1, 10, 7),  # 0.7 is a little less than 7/10 in floating point
        (1.1, 1, 10, 11),  # 1.1 is a little more than 11/10
        (90, 128, 1_281_167, 900_821),  # 900820.55
        (1e-6, 1, 10, 1),
    ],
)
def test_steps_at_an_epoch_round_up(epochs, batch_size, examples, steps):
    assert steps_at_epoch(epochs, batch_size, examples) == steps


def test_steps_and_epochs_are_inverse_where_they_meet():
    assert epoch_at_step(steps_at_epoch(3, 25, 1000), 25, 1000) == 3.0
    assert epoch_at_step(16, 64, 1000) == 1.024


@pytest.mark.parametrize("epochs", [-1, float("nan"), float("inf")])
def test_impossible_epochs_are_refused(epochs):
    with pytest.raises(ValueError, match="epochs must be finite"):
        steps_at_epoch(epochs, 10, 100)
