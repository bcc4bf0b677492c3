"""A run is a function of its experiment: interrupted or not, seed by seed."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from cnn_jax import UserError
from cnn_jax.data.order import batch_positions
from cnn_jax.experiment import program as program_module
from cnn_jax.experiment.load import load_run
from cnn_jax.experiment.program import Workbench, evaluate_split
from cnn_jax.experiment.run import run
from cnn_jax.optim.optimizers import Sgd
from cnn_jax.optim.schedules import Constant
from cnn_jax.training.losses import cross_entropy
from cnn_jax.training.progress import Silent
from tests.tiny import EXPERIMENT, QUIET, variant

TIMES = {
    "wall_seconds",
    "images_per_second",
    "attempts",
    "resumed_at_step",
    "steps_executed",
}


class Killed(BaseException):
    """Ends a run like a kill: nothing is cleaned up on the way."""


class KillAt(Silent):
    """Kills the run at the n-th epoch's row, after it was written."""

    def __init__(self, epoch):
        self.left = epoch

    def epoch(self, row):
        self.left -= 1
        if self.left == 0:
            raise Killed


def numbers(result):
    return {key: value for key, value in result.items() if key not in TIMES}


def rows(directory):
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in TIMES} for line in lines]


@pytest.fixture(scope="module")
def bench():
    """Data and compiled program for all tests of this file."""
    return Workbench(QUIET)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, bench):
    directory = tmp_path_factory.mktemp("whole")
    return directory, run(EXPERIMENT, directory, workbench=bench)


def test_a_run_that_was_killed_ends_bitwise_as_if_it_had_not_been(
    tmp_path, bench, uninterrupted
):
    whole, expected = uninterrupted
    for epoch in (1, 2, 2):  # before any checkpoint, after the first, after the second
        with pytest.raises(Killed):
            run(EXPERIMENT, tmp_path, workbench=bench, progress=KillAt(epoch))
    result = run(EXPERIMENT, tmp_path, workbench=bench)
    assert numbers(result) == numbers(expected)
    assert rows(tmp_path) == rows(whole)
    assert result["resumed_at_step"] == 21  # ceil(2 * 512 / 50)
    interval = 11  # steps of the longest epoch
    assert result["steps"] < result["steps_executed"] <= result["steps"] + 3 * interval
    assert [attempt["resumed_at_step"] for attempt in result["attempts"]] == [0, 0, 11, 21]


def test_checkpoints_between_epochs_resume_with_the_epochs_partial_sums(
    tmp_path, bench, uninterrupted
):
    whole, expected = uninterrupted
    often = replace(QUIET, checkpoint_seconds=0.0)
    with pytest.raises(Killed):
        run(EXPERIMENT, tmp_path, often, workbench=bench, progress=KillAt(2))
    result = run(EXPERIMENT, tmp_path, often, workbench=bench)
    assert result["resumed_at_step"] == 20
    assert numbers(result) == numbers(expected)
    assert rows(tmp_path) == rows(whole)


def test_a_finished_run_is_only_read(tmp_path, uninterrupted, monkeypatch):
    whole, expected = uninterrupted
    monkeypatch.setattr(program_module, "compile_program", None)
    assert run(EXPERIMENT, whole, QUIET) == expected


def test_half_written_lines_and_unreadable_checkpoints_cost_only_their_steps(
    tmp_path, bench, uninterrupted
):
    whole, expected = uninterrupted
    with pytest.raises(Killed):
        run(EXPERIMENT, tmp_path, workbench=bench, progress=KillAt(3))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 31, "epo')
    newest = max((tmp_path / "checkpoints").glob("[0-9]*"), key=lambda p: int(p.name))
    for path in newest.rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    said = []
    listener = Silent()
    listener.note = said.append
    result = run(EXPERIMENT, tmp_path, workbench=bench, progress=listener)
    assert any(f"step {newest.name} is not readable" in line for line in said)
    assert result["resumed_at_step"] == 11
    assert numbers(result) == numbers(expected)
    assert rows(tmp_path) == rows(whole)


def test_all_seeds_of_an_arm_share_one_compilation(tmp_path):
    traced = []

    def counted(logits, labels):
        traced.append(logits.shape)
        return cross_entropy(logits, labels)

    counted.__qualname__, counted.__module__ = "cross_entropy", "cnn_jax.training.losses"
    bench = Workbench(QUIET)
    results = [
        run(
            variant(loss=counted, epochs=1, seed=seed),
            tmp_path / str(seed),
            workbench=bench,
        )
        for seed in range(3)
    ]
    # One trace of the training step, one of the evaluation step per size of a split:
    # 500 of 512 padded, 128 and 128.
    assert sorted(traced) == [(50, 10), (128, 10), (500, 10)]
    assert len({result["parameters_sha256"] for result in results}) == 3


def test_a_loss_that_is_nan_stops_the_run_with_the_step(tmp_path):
    explosive = variant(schedule=Constant(rate=1e12), optimizer=Sgd(momentum=0.9))
    bench = Workbench(QUIET)
    result = run(explosive, tmp_path, workbench=bench)
    assert result["status"] == "diverged"
    assert 1 <= result["diverged_at_step"] <= 5
    assert result["test_error"] is None
    assert result["steps"] == result["diverged_at_step"] + 1
    assert result["parameters_sha256"] is None
    # The same step is found again by stepping through by hand.
    data, compiled = bench.data(explosive), bench.program(explosive)
    state = compiled.init(np.uint32(explosive.seed))
    for step in range(result["diverged_at_step"] + 1):
        positions = positions_of(explosive, step, data.sizes["train"])
        state, metrics = compiled.steps.one(state, data.train, positions)
        finite = np.isfinite(float(metrics.loss_sum))
        assert finite == (step < result["diverged_at_step"])


def positions_of(experiment, step, examples):
    positions = batch_positions(experiment.seed, step, experiment.batch_size, examples)
    return positions.reshape(1, -1)  # in one piece


def test_several_steps_in_one_dispatch_are_the_same_steps(
    tmp_path, monkeypatch, uninterrupted
):
    _, expected = uninterrupted
    monkeypatch.setattr(program_module, "steps_per_dispatch", lambda: 4)
    bench = Workbench(QUIET)
    result = run(EXPERIMENT, tmp_path, workbench=bench)
    assert result["steps"] == expected["steps"]
    # A scan is compiled on its own, so float32 sums may be ordered otherwise.
    mine, theirs = (load_run(d).variables for d in (tmp_path, uninterrupted[0]))
    for a, b in zip(jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)
    again = tmp_path / "again"
    with pytest.raises(Killed):
        run(
            EXPERIMENT,
            again,
            replace(QUIET, checkpoint_seconds=0.0),
            workbench=bench,
            progress=KillAt(2),
        )
    resumed = run(EXPERIMENT, again, workbench=bench)
    assert resumed["parameters_sha256"] == result["parameters_sha256"]


def test_a_loaded_run_gives_the_error_that_was_reported(uninterrupted):
    directory, expected = uninterrupted
    loaded = load_run(directory)
    assert loaded.experiment == EXPERIMENT
    split = Workbench(QUIET).dataset("synthetic").read((8, 8, 1)).test
    pixels = split.images.astype(np.float32) / 255
    images = (pixels - loaded.preprocessing.mean) / loaded.preprocessing.deviation
    logits = loaded.model.apply(loaded.variables, images, train=False)
    assert (np.argmax(logits, -1) != split.labels).sum() == expected["test_wrong"]


def test_every_example_of_a_split_counts_once_whatever_the_batch(bench, monkeypatch):
    compiled = bench.program(EXPERIMENT)
    state = compiled.init(np.uint32(0))
    found = []
    for size in (1000, 500, 7):
        monkeypatch.setattr("cnn_jax.experiment.feed.EVAL_BATCH", size)
        data = program_module.place_data(
            EXPERIMENT, bench.dataset("synthetic"), bench.devices
        )
        found.append(evaluate_split(compiled, state, data.train_batches, data.train.facts))
    assert {(f.wrong, f.examples) for f in found} == {(found[0].wrong, 512)}
    np.testing.assert_allclose([f.loss for f in found], found[0].loss, rtol=1e-5)


def test_an_out_that_holds_another_run_is_refused_and_left_alone(uninterrupted):
    directory, _ = uninterrupted
    before = (directory / "result.json").read_bytes()
    with pytest.raises(UserError, match="batch_size: 50 there, 25 here"):
        run(variant(batch_size=25), directory, QUIET)
    assert (directory / "result.json").read_bytes() == before


def test_reading_a_run_changes_nothing_and_tells_what_is_not_finished(
    tmp_path, bench, uninterrupted
):
    directory, _ = uninterrupted
    before = sorted((str(p), p.stat().st_mtime_ns) for p in directory.rglob("*"))
    load_run(directory)
    assert sorted((str(p), p.stat().st_mtime_ns) for p in directory.rglob("*")) == before
    with pytest.raises(Killed):
        run(EXPERIMENT, tmp_path, workbench=bench, progress=KillAt(2))
    with pytest.raises(UserError, match="is not finished"):
        load_run(tmp_path)
    with pytest.raises(UserError, match="not a run directory"):
        load_run(tmp_path / "nowhere")


def test_sigkill_loses_at_most_one_checkpoint_interval(tmp_path, bench, uninterrupted):
    whole, expected = uninterrupted
    program = (
        "import sys; sys.path.insert(0, sys.argv[2]);"
        "from tests.tiny import *; from cnn_jax.experiment.run import run;"
        "run(EXPERIMENT, sys.argv[1], Where(progress='plain', checkpoint_seconds=0.0))"
    )
    root = str(Path(__file__).parents[2])
    # As many threads as here: XLA's sums depend on how many there are, and each simulated
    # device above the number of cores adds one.
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": str(jax.device_count())}
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path), root], env=environment
    )
    counter = tmp_path / "steps_executed"
    deadline = time.monotonic() + 60
    while not (counter.exists() and int(counter.read_text() or 0) >= 5):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    result = run(EXPERIMENT, tmp_path, workbench=bench)
    assert result["resumed_at_step"] > 0
    assert result["steps_executed"] <= result["steps"] + 1
    assert rows(tmp_path) == rows(whole)
    assert numbers(result) == numbers(expected)
