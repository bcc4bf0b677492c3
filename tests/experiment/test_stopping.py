"""Asked to stop, a run or a study saves between two steps, and the same call goes on."""

import dataclasses
import os
import signal

import pytest

from cnn_jax.experiment.program import Workbench
from cnn_jax.experiment.run import run
from cnn_jax.study import runner
from cnn_jax.study.runner import run_study
from cnn_jax.training.checkpoint_directory import complete_steps
from cnn_jax.training.interruption import Interrupted
from cnn_jax.training.run_directory import StepCounter
from tests.experiment.interruptible import STUDY, assert_same_end
from tests.tiny import EXPERIMENT, QUIET

STEPS = 31
TWO_RUNS = dataclasses.replace(
    STUDY, settings={"synthetic": EXPERIMENT}, printed="synthetic"
)


@pytest.fixture(scope="module")
def bench():
    """Data and compiled program for all tests of this file."""
    return Workbench(QUIET)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, bench):
    """The directory of the run that nobody interrupted."""
    directory = tmp_path_factory.mktemp("whole")
    run(EXPERIMENT, directory, workbench=bench)
    return directory


@pytest.fixture
def at_step(monkeypatch):
    """``at_step(n, act)``: act once in the n-th step that is executed from now on."""

    def arrange(moment, act):
        add, seen = StepCounter.add, []

        def count(self, steps):
            add(self, steps)
            seen.append(steps)
            if len(seen) == moment:
                act()

        monkeypatch.setattr(StepCounter, "add", count)

    return arrange


def again(bench):
    """The bench of another command, that has compiled already."""
    fresh = Workbench(bench.where)
    kept = {"_datasets", "_placed", "_program", "_devices"}
    fresh.__dict__.update({k: v for k, v in bench.__dict__.items() if k in kept})
    return fresh


@pytest.mark.parametrize(
    ("number", "reason", "code"),
    [
        (signal.SIGTERM, "SIGTERM", 75),
        (signal.SIGUSR1, "SIGUSR1", 75),
        (signal.SIGINT, "Ctrl-C", 130),
    ],
)
def test_a_signal_saves_the_step_it_came_in(
    tmp_path, bench, whole, at_step, number, reason, code
):
    at_step(13, lambda: os.kill(os.getpid(), number))
    with pytest.raises(Interrupted) as stopped:
        run(EXPERIMENT, tmp_path, workbench=again(bench))
    assert stopped.value.exit_code == code
    assert str(stopped.value) == (
        f"stopped at step 13 ({reason}), saved; the same command goes on"
    )
    assert complete_steps(tmp_path / "checkpoints") == [11, 13]
    assert signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)
    result = run(EXPERIMENT, tmp_path, workbench=again(bench))
    assert (result["resumed_at_step"], result["steps_executed"]) == (13, STEPS)
    assert_same_end(tmp_path, whole, EXPERIMENT)


def test_a_second_ctrl_c_does_not_wait(tmp_path, bench, at_step):
    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    at_step(13, twice)
    with pytest.raises(KeyboardInterrupt):
        run(EXPERIMENT, tmp_path, workbench=again(bench))
    assert complete_steps(tmp_path / "checkpoints") == [11]


def test_a_signal_in_the_last_step_finishes_the_run(tmp_path, bench, whole, at_step):
    at_step(STEPS, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert run(EXPERIMENT, tmp_path, workbench=again(bench))["status"] == "finished"
    assert_same_end(tmp_path, whole, EXPERIMENT)


def test_a_time_limit_stops_between_two_steps(tmp_path, bench, whole):
    short = Workbench(dataclasses.replace(QUIET, time_limit=1e-3))
    short.__dict__.update({k: again(bench).__dict__[k] for k in ("_placed", "_program")})
    with pytest.raises(Interrupted, match="stopped at step 1 \\(the time limit\\)"):
        run(EXPERIMENT, tmp_path, workbench=short)
    run(EXPERIMENT, tmp_path, workbench=again(bench))
    assert_same_end(tmp_path, whole, EXPERIMENT)


@pytest.fixture
def one_bench(monkeypatch, bench):
    """Let every study of this test use what has been compiled."""

    def made(where):
        fresh = Workbench(where)
        given = again(bench).__dict__
        fresh.__dict__.update({k: given[k] for k in ("_placed", "_program")})
        return fresh

    monkeypatch.setattr(runner, "Workbench", made)


def test_a_study_stops_inside_a_run_and_between_runs(
    tmp_path, bench, one_bench, monkeypatch
):
    at = dataclasses.replace(QUIET, stop_after=4)
    with pytest.raises(Interrupted) as stopped:
        run_study(TWO_RUNS, tmp_path, at)
    assert stopped.value.step == 4
    train = runner.run
    trained = []

    def train_and_stop(experiment, workdir, **options):
        result = train(experiment, workdir, **options)
        trained.append((workdir.name, result["resumed_at_step"]))
        os.kill(os.getpid(), signal.SIGTERM)  # between two runs
        return result

    monkeypatch.setattr(runner, "run", train_and_stop)
    with pytest.raises(Interrupted) as stopped:
        run_study(TWO_RUNS, tmp_path, QUIET)
    assert stopped.value.exit_code == 75
    assert trained == [("full-seed0", 4)]
    assert not (tmp_path / "full-seed1").exists()
    assert not (tmp_path / "results.json").exists()

    monkeypatch.setattr(runner, "run", train)
    assert run_study(TWO_RUNS, tmp_path, QUIET).trained == 1
    alone = dataclasses.replace(EXPERIMENT, seed=0)
    run(alone, tmp_path / "alone", workbench=again(bench))
    assert_same_end(tmp_path / "full-seed0", tmp_path / "alone", alone)
