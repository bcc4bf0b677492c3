"""N steps are k + (N - k) steps, bit for bit, with everything on that has a state."""

import copy
import dataclasses
import errno
import shutil

import jax
import numpy as np
import pytest

from cnn_jax import UserError
from cnn_jax.experiment.program import Workbench
from cnn_jax.experiment.recipe import pure_steps
from cnn_jax.experiment.run import run, run_manifest
from cnn_jax.training import checkpoint, checkpoint_directory
from cnn_jax.training.checkpoint import open_checkpoints
from cnn_jax.training.interruption import Interrupted
from cnn_jax.training.progress import Silent
from cnn_jax.training.run_directory import StepCounter, write_json
from tests.experiment.interruptible import (
    EVERYTHING,
    EXPERIMENTS,
    assert_same_end,
    last_state,
    lines,
    rows,
)
from tests.tiny import EXPERIMENT, QUIET

STEPS = 40
EPOCH_ENDS = [10, 20, 30, 40]  # ceil(512 n / 52)


class Killed(BaseException):
    """Ends a run like a kill: nothing is saved on the way."""


@pytest.fixture(scope="module")
def bench():
    """Data and compiled program for all tests of this file."""
    return Workbench(QUIET)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, bench):
    """The directory of the run that nobody interrupted."""
    directory = tmp_path_factory.mktemp("whole")
    run(EVERYTHING, directory, workbench=bench)
    return directory


def limited(bench, **limits):
    """A bench of another command, with limits of its own, that has compiled already."""
    fresh = Workbench(dataclasses.replace(QUIET, **limits))
    return _with_programs(fresh, bench)


def _with_programs(fresh, bench):
    kept = copy.copy(bench.__dict__)
    for name in ("where", "interruption", "_stop", "executed"):
        del kept[name]
    fresh.__dict__.update(kept)
    return fresh


def stop_after(directory, bench, steps):
    with pytest.raises(Interrupted) as stopped:
        run(EVERYTHING, directory, workbench=limited(bench, stop_after=steps))
    assert stopped.value.exit_code == 75
    return stopped.value.step


def go_on(directory, bench):
    """Finish a run; returns its result and what was said."""
    said = []
    listener = Silent()
    listener.note = said.append
    return run(EVERYTHING, directory, workbench=bench, progress=listener), said


def test_everything_that_a_resumed_run_takes_up_is_really_on(whole):
    state = last_state(whole, EVERYTHING)
    assert [row["step"] for row in rows(whole)] == EPOCH_ENDS
    assert 0 < state.plateau.scale < 1
    assert len({row["rate"] for row in rows(whole)}) > 1
    parts = (state.params, state.batch_stats, state.opt_state)
    for part in (*parts, state.average["params"], state.average["batch_stats"]):
        leaves = jax.tree.leaves(part)
        assert leaves
        assert any(np.any(leaf) for leaf in leaves)
    average, newest = (jax.tree.leaves(t) for t in (state.average["params"], state.params))
    assert not any(np.array_equal(a, b) for a, b in zip(average, newest, strict=True))
    assert EVERYTHING.augmentation
    assert EVERYTHING.model.table[2].dropout > 0


# An epoch's first step and its last but one, its middle, its end.
@pytest.mark.parametrize("steps", [11, 15, 19, 20])
def test_a_run_in_two_parts_ends_bitwise_like_one(tmp_path, bench, whole, steps):
    assert stop_after(tmp_path, bench, steps) == steps
    result, said = go_on(tmp_path, bench)
    assert said == []
    assert result["resumed_at_step"] == steps
    assert result["steps_executed"] == STEPS
    assert_same_end(tmp_path, whole, EVERYTHING)


def test_a_run_in_many_parts_ends_bitwise_like_one(tmp_path, bench, whole):
    done = [stop_after(tmp_path, bench, 7) for _ in range(5)]
    assert done == [7, 14, 21, 28, 35]
    result, said = go_on(tmp_path, bench)
    assert said == []
    assert result["steps_executed"] == STEPS
    assert [line["resumed_at_step"] for line in lines(tmp_path, "attempts.jsonl")] == [
        0,
        *done,
    ]
    assert_same_end(tmp_path, whole, EVERYTHING)


@pytest.mark.parametrize(("seconds", "lost"), [(0.0, 1), (60.0, 10)])
def test_what_is_killed_costs_at_most_an_interval(
    tmp_path, bench, whole, monkeypatch, seconds, lost
):
    often = dataclasses.replace(QUIET, checkpoint_seconds=seconds)
    add = StepCounter.add
    for moment in (4, 23, 31):  # of all the steps executed

        def count_and_die(self, steps, moment=moment):
            add(self, steps)
            if self.executed >= moment:
                raise Killed

        monkeypatch.setattr(StepCounter, "add", count_and_die)
        with pytest.raises(Killed):
            run(EVERYTHING, tmp_path, often, workbench=bench)
    monkeypatch.setattr(StepCounter, "add", add)
    result, said = go_on(tmp_path, bench)
    assert said == []
    assert result["resumed_at_step"] > 0
    assert STEPS < result["steps_executed"] <= STEPS + 3 * lost
    assert_same_end(tmp_path, whole, EVERYTHING)


def test_of_a_corrupt_newest_checkpoint_the_one_before_is_taken_and_that_is_said(
    tmp_path, bench, whole
):
    stop_after(tmp_path, bench, 25)
    newest = tmp_path / "checkpoints" / "25"
    data = max(
        (p for p in newest.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size
    )
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1  # a single bit
    data.write_bytes(content)
    result, said = go_on(tmp_path, bench)
    (line,) = said
    assert "step 25 is not readable" in line
    assert "\n" not in line
    assert result["resumed_at_step"] == 20
    assert result["steps_executed"] == STEPS + 5
    assert_same_end(tmp_path, whole, EVERYTHING)


def no_room(monkeypatch):
    usage = shutil.disk_usage

    def full(path):
        return usage(path)._replace(free=1000)

    monkeypatch.setattr(checkpoint_directory.shutil, "disk_usage", full)


def write_fails(monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_checkpoint", full)


@pytest.mark.parametrize("fill", [no_room, write_fails])
def test_a_full_disk_stops_the_run_and_costs_nothing_that_was_saved(
    tmp_path, bench, whole, fill
):
    stop_after(tmp_path, bench, 15)
    with pytest.MonkeyPatch.context() as patch:
        fill(patch)
        with pytest.raises(UserError, match=r"cannot write .*checkpoint") as refused:
            run(EVERYTHING, tmp_path, workbench=bench)
    assert "\n" not in str(refused.value)
    result, said = go_on(tmp_path, bench)
    assert said == []
    assert result["resumed_at_step"] == 15
    assert_same_end(tmp_path, whole, EVERYTHING)


def test_a_checkpoint_of_another_network_is_refused_and_left_alone(tmp_path, bench):
    write_json(tmp_path / "manifest.json", run_manifest(EVERYTHING, bench))
    shapes = jax.eval_shape(pure_steps(EXPERIMENT, 512).init, np.uint32(0), {})
    other = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    with open_checkpoints(tmp_path / "checkpoints") as checkpoints:
        checkpoints.save(5, other)
    with pytest.raises(UserError, match=r"step 5 .* is of another network, exp") as refused:
        go_on(tmp_path, bench)
    assert "\n" not in str(refused.value)
    with open_checkpoints(tmp_path / "checkpoints", read_only=True) as checkpoints:
        assert checkpoints.steps() == [5]
        assert checkpoints.restore(other).problems == []


def test_a_directory_of_another_experiment_is_refused_with_what_differs(
    tmp_path, bench, whole
):
    write_json(tmp_path / "manifest.json", run_manifest(EVERYTHING, bench))
    for directory in (tmp_path, whole):  # begun, finished
        for changes, said in (
            ({"averaging": None}, r"averaging: \{.* there, None here"),
            ({"seed": 4}, "seed: 3 there, 4 here"),
            ({"dataset": "digits"}, "dataset: 'synthetic' there, 'digits' here"),
        ):
            with pytest.raises(UserError, match=said) as refused:
                run(dataclasses.replace(EVERYTHING, **changes), directory, QUIET)
            assert "nothing was changed" in str(refused.value)


def test_replicas_of_another_number_are_refused(tmp_path):
    """Only with batch normalisation of each device do the numbers depend on it."""
    replicas = EXPERIMENTS["replicas"]
    one, two = (Workbench(dataclasses.replace(QUIET, devices=n)) for n in (1, 2))
    write_json(tmp_path / "manifest.json", run_manifest(replicas, one))
    with pytest.raises(UserError, match=r"replicas: 1 there, 2 here\)") as refused:
        run(replicas, tmp_path, workbench=two)
    assert "\n" not in str(refused.value)
    manifests = [run_manifest(EVERYTHING, bench)["identity"] for bench in (one, two)]
    assert manifests[0] == manifests[1]


def test_flags_that_change_no_number_leave_a_finished_run_finished(whole, bench):
    before = {p: p.stat().st_mtime_ns for p in whole.rglob("*")}
    flags = dataclasses.replace(QUIET, stop_after=1, devices=2, parallel="pmap")
    result = run(EVERYTHING, whole, workbench=Workbench(flags))
    assert result == run(EVERYTHING, whole, workbench=bench)
    assert {p: p.stat().st_mtime_ns for p in whole.rglob("*")} == before
