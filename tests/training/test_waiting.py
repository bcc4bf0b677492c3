"""What counts as waiting for data: the devices have nothing more to do."""

import numpy as np

from cnn_jax.training import loop as loop_module
from cnn_jax.training.loop import CompiledSteps, Hooks, Plan, fit
from cnn_jax.training.metrics import Metrics, Summary
from cnn_jax.training.progress import Silent
from tests.training.small_network import make_data, start


def run_with_fake_clock(monkeypatch, late):
    """Steps of 0.3 s, data of 0.1 s where it is late; the first step compiles."""
    clock, rows = [0.0], []
    monkeypatch.setattr(loop_module.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(loop_module, "summarize", lambda metrics: Summary(1.0, 0.0, 0, 1))

    def take(step, count):
        clock[0] += 0.1 if late(step) else 0.0
        return np.int32(step)

    def step(state, data, number):
        clock[0] += 0.3
        return state, Metrics(number, 0, 1)

    number = iter(range(100))
    hooks = Hooks(
        take=take,
        late=lambda: late(next(number)),
        place=lambda tree: tree,
        validate=lambda state: Summary(1.0, 0.5, 1, 2),
        log=rows.append,
        save=lambda state, error: None,
        executed=lambda steps: None,
        rate=lambda number: 0.1,
    )
    plan = Plan(epoch_ends=(11,), batch_size=1, examples=11)
    fit(start(), CompiledSteps(step, step, 1), make_data(), plan, hooks, Silent())
    return rows[0]["waiting_fraction"]


def test_only_late_data_counts_and_not_the_first_step(monkeypatch):
    assert run_with_fake_clock(monkeypatch, lambda step: step == 0) == 0.0
    # 5 of the 10 steps after the first: 0.5 of 3.5 seconds.
    found = run_with_fake_clock(monkeypatch, lambda step: step % 2 == 1)
    np.testing.assert_allclose(found, 0.5 / 3.5, atol=1e-4)  # rounded
