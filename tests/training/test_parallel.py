"""Devices: how many, what lies where, and that nothing waits or compiles twice."""

import logging
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import UserError
from cnn_jax.experiment.program import Workbench
from cnn_jax.experiment.run import run
from cnn_jax.optim.plateau import ReduceOnPlateau
from cnn_jax.training import loop as loop_module
from cnn_jax.training import parallel
from cnn_jax.training.averaging import ExponentialAverage
from cnn_jax.training.interruption import Interrupted
from cnn_jax.training.loop import READ_EVERY_SECONDS, CompiledSteps, Hooks, Plan, fit
from cnn_jax.training.losses import cross_entropy
from cnn_jax.training.metrics import Metrics, Summary
from cnn_jax.training.parallel import check_shares, choose_devices, fetch
from cnn_jax.training.progress import Silent
from cnn_jax.training.steps import StepOptions, make_train_step
from tests.tiny import QUIET, variant
from tests.training.small_network import make_data, optimizer, positions, prepare, start
from tests.training.test_steps import PLAIN


def test_one_device_unless_told_otherwise():
    assert choose_devices().count == 1 < len(jax.devices())
    assert choose_devices().strategy == "jit"
    assert choose_devices(3).count == 3


@pytest.mark.parametrize(
    ("count", "reason"),
    [
        (0, "--devices 0: at least 1 is needed"),
        (-2, "--devices -2: at least 1 is needed"),
        (5, r"--devices 5: there are only 4 x cpu .*; JAX_NUM_CPU_DEVICES=N simulates N"),
    ],
)
def test_devices_that_are_not_there_are_refused(count, reason):
    with pytest.raises(UserError, match=reason):
        choose_devices(count)
    with pytest.raises(UserError, match=reason):
        run(variant(), "nowhere", replace(QUIET, devices=count))


def test_several_processes_use_all_devices_or_are_refused(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    assert choose_devices().count == 4
    with pytest.raises(UserError, match=r"--devices 2: the 2 processes .* have 4 devices"):
        choose_devices(2)


@pytest.mark.parametrize(
    ("batch", "devices", "pieces", "nearest"),
    [
        (50, 4, 1, "by 4 devices; the nearest batch sizes that can: 48 and 52"),
        (3, 4, 1, "by 4 devices; the nearest batch size that can: 4"),
        (50, 2, 4, "by 2 devices in 4 pieces each; the .*: 48 and 56"),
        (50, 1, 4, "by one device in 4 pieces each; the .*: 48 and 52"),
    ],
)
def test_a_batch_that_cannot_be_shared_names_the_nearest_that_can(
    batch, devices, pieces, nearest
):
    with pytest.raises(UserError, match=f"a batch of {batch} .*{nearest}$"):
        check_shares(batch, devices, pieces)
    check_shares(48, 4, 3)


def test_a_run_whose_batch_cannot_be_shared_leaves_no_directory(tmp_path):
    with pytest.raises(UserError, match="48 and 52"):
        run(variant(), tmp_path / "out", replace(QUIET, devices=4))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("strategy", ["jit", "pmap"])
def test_every_device_gets_its_rows_of_every_piece_in_order(strategy):
    devices = choose_devices(4, strategy)
    rows = np.arange(2 * 12, dtype=np.int32).reshape(2, 12)
    placed = devices.place_positions(rows)
    for number, shard in enumerate(placed.addressable_shards):
        of_one = np.asarray(shard.data).reshape(2, 3)
        np.testing.assert_array_equal(of_one, rows[:, 3 * number : 3 * number + 3])
    several = devices.place_positions(np.stack([rows, rows + 100]))
    last = np.asarray(several.addressable_shards[3].data).reshape(2, 2, 3)
    np.testing.assert_array_equal(last[1], rows[:, 9:] + 100)


def test_what_is_whole_comes_back_whole():
    devices = choose_devices(4)
    tree = {"x": np.arange(8.0, dtype=np.float32), "step": np.int32(3)}
    whole, spread = devices.place(tree), devices.place_rows({"x": tree["x"]})
    assert whole["x"].sharding.is_fully_replicated
    assert {s.data.shape for s in spread["x"].addressable_shards} == {(2,)}
    for placed in (whole, spread):
        np.testing.assert_array_equal(fetch(placed)["x"], tree["x"])
    assert type(fetch(whole)["step"]) is np.ndarray


def test_an_option_that_xla_does_not_know_is_left_out(monkeypatch):
    monkeypatch.setattr(parallel, "_CPU_OPTIONS", {"xla_cpu_no_such_option": True})
    parallel.compiler_options.cache_clear()
    assert parallel.compiler_options() == {}
    parallel.compiler_options.cache_clear()


@pytest.mark.parametrize("strategy", ["jit", pytest.param("pmap", marks=pytest.mark.slow)])
def test_a_step_moves_nothing_by_itself_and_gives_its_old_state_away(strategy):
    devices = choose_devices(2, strategy)
    how = StepOptions(axis_name=devices.axis_name)
    step = make_train_step(PLAIN, cross_entropy, optimizer(), prepare, how)
    compiled = devices.compile_train_step(step)
    first = state = devices.place(fetch(start(PLAIN)))
    data = devices.place(make_data())
    with jax.transfer_guard("disallow"):
        with pytest.raises(Exception, match="Disallowed host-to-device"):
            jnp.add(np.ones(2), 1.0)  # the guard works
        for number in range(3):
            rows = devices.place_positions(positions(number))  # explicit
            before, (state, metrics) = state, compiled(state, data, rows)
            assert all(leaf.is_deleted() for leaf in jax.tree.leaves(before.params))
            assert all(leaf.is_deleted() for leaf in jax.tree.leaves(before.opt_state))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves((state, data)))
    assert {len(leaf.devices()) for leaf in jax.tree.leaves((state, metrics))} == {2}
    assert int(fetch(state.step)) == 3
    assert first.step.is_deleted()


def test_a_loss_is_read_one_dispatch_late_and_seldom(monkeypatch):
    """Fake steps of 0.1 seconds each; reading a metric is the only wait."""
    clock, events = [0.0], []
    monkeypatch.setattr(loop_module.time, "perf_counter", lambda: clock[0])

    def step(state, data, rows):
        clock[0] += 0.1
        number = int(rows)
        events.append(("dispatch", number))
        return state, Metrics(number, 0, 1)

    def summarize(metrics):
        events.append(("read", metrics.loss_sum, clock[0]))
        return Summary(1.0, 0.0, 0, 1)

    monkeypatch.setattr(loop_module, "summarize", summarize)
    state = start(PLAIN)
    hooks = Hooks(
        take=lambda number, count: np.int32(number),
        place=lambda tree: tree,
        validate=lambda state: Summary(1.0, 0.5, 1, 2),
        log=lambda row: None,
        save=lambda state, error: None,
        executed=lambda steps: None,
        rate=lambda number: 0.1,
    )
    plan = Plan(epoch_ends=(20,), batch_size=1, examples=20)
    fit(state, CompiledSteps(step, step, 1), make_data(), plan, hooks, Silent())
    reads = [(i, event) for i, event in enumerate(events) if event[0] == "read"]
    during = reads[:-1]  # the last one is the epoch's end
    assert len(during) >= 5
    for place, (_, number, _) in during:
        assert events[place - 1] == ("dispatch", number + 1)
    times = [at for _, (_, _, at) in during]
    assert np.diff(times).min() > READ_EVERY_SECONDS
    assert reads[-1][0] == len(events) - 1


@pytest.mark.parametrize(
    ("devices", "strategy"), [(1, "jit"), pytest.param(2, "pmap", marks=pytest.mark.slow)]
)
def test_one_compilation_whatever_happens_in_between(tmp_path, caplog, devices, strategy):
    """Epochs, checkpoints, plateau decays, an interruption and a second seed."""
    experiment = variant(
        epochs=2,
        schedule=ReduceOnPlateau(rate=0.05, patience=1, min_improvement=0.5),
        averaging=ExponentialAverage(0.9, warmup=True),
    )
    where = replace(
        QUIET, devices=devices, parallel=strategy, stop_after=15, checkpoint_seconds=0.0
    )
    bench = Workbench(where)
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        with pytest.raises(Interrupted):
            run(experiment, tmp_path / "one", workbench=bench)
        bench._stop = replace(bench._stop, stop_after=None)
        result = run(experiment, tmp_path / "one", workbench=bench)
        assert result["resumed_at_step"] == 15
        run(replace(experiment, seed=8), tmp_path / "two", workbench=bench)
    compiled = [m for m in caplog.messages if m.startswith("Compiling")]
    images = "uint8[512,8,8,1]"  # of the training split: only its step takes them
    assert sum(images in message for message in compiled) == 1
    # Training examples in batches of 500, the 128 of validation and test at once.
    assert sum("eval_step" in message for message in compiled) == 2
