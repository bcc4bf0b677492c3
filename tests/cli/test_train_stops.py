"""The command line in processes of its own: exit codes and the one line that is said."""

import signal

import pytest

from cnn_jax.training.checkpoint_directory import complete_steps
from tests.experiment.commands import (
    executed,
    finish,
    run_command,
    start,
    wait_for_steps,
)
from tests.experiment.interruptible import (
    EVERYTHING,
    STUDY,
    assert_same_end,
    result_of,
)

pytestmark = pytest.mark.slow

STEPS = 40
SLOWLY = 0.05


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("compiled")


def train(out, *more):
    return ["train", "everything", "--out", out, "--progress", "none", *more]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, cache):
    """The directory of the run that nobody interrupted."""
    directory = tmp_path_factory.mktemp("whole")
    ended = run_command(*train(directory), cache=cache)
    assert (ended.code, ended.err) == (0, "")
    assert "resumed_at_step 0" in ended.out
    return directory


def stopped_line(step, reason):
    return f"cnn-jax: stopped at step {step} ({reason}), saved; the same command goes on\n"


@pytest.mark.parametrize(
    ("number", "reason", "code"),
    [
        (signal.SIGTERM, "SIGTERM", 75),
        (signal.SIGUSR1, "SIGUSR1", 75),
        (signal.SIGINT, "Ctrl-C", 130),
    ],
)
def test_a_signal_saves_and_the_same_command_goes_on(
    tmp_path, cache, whole, number, reason, code
):
    process = start(*train(tmp_path), cache=cache, step_seconds=SLOWLY)
    wait_for_steps(tmp_path, 13, process)
    process.send_signal(number)
    (ended,) = finish(process)
    step = executed(tmp_path)
    assert ended == (code, "", stopped_line(step, reason))
    assert 13 <= step < STEPS
    assert complete_steps(tmp_path / "checkpoints")[-1] == step
    ended = run_command(*train(tmp_path), cache=cache)
    assert (ended.code, ended.err) == (0, "")
    assert f"resumed_at_step {step}" in ended.out
    assert result_of(tmp_path)["steps_executed"] == STEPS
    assert_same_end(tmp_path, whole, EVERYTHING)


def test_budgets_stop_and_the_same_command_goes_on(tmp_path, cache, whole):
    ended = run_command(*train(tmp_path, "--stop-after", 12), cache=cache)
    assert ended == (75, "", stopped_line(12, "--stop-after"))
    ended = run_command(*train(tmp_path, "--stop-after", 12), cache=cache)
    assert ended == (75, "", stopped_line(24, "--stop-after"))
    ended = run_command(*train(tmp_path, "--time-limit", "0.1s"), cache=cache)
    assert ended == (75, "", stopped_line(25, "the time limit"))
    ended = run_command(*train(tmp_path, "--stop-after", 15), cache=cache)
    assert ended.code == 0, "the last step is no stop"
    assert result_of(tmp_path)["steps_executed"] == STEPS
    assert_same_end(tmp_path, whole, EVERYTHING)


def test_a_signal_in_a_study_stops_it_and_it_goes_on(tmp_path, cache, whole):
    command = ["study", STUDY.name, "--out", tmp_path, "--progress", "none"]
    process = start(*command, cache=cache, step_seconds=SLOWLY)
    wait_for_steps(tmp_path / "full-seed1", 13, process)  # in the second run
    process.send_signal(signal.SIGTERM)
    (ended,) = finish(process)
    step = executed(tmp_path / "full-seed1")
    assert ended == (75, "", stopped_line(step, "SIGTERM"))
    assert not (tmp_path / "full-seed1" / "result.json").exists()
    assert not (tmp_path / "results.json").exists()
    first = (tmp_path / "full-seed0" / "result.json").stat().st_mtime_ns
    ended = run_command(*command, cache=cache)
    assert (ended.code, ended.err) == (0, "")
    assert (tmp_path / "full-seed0" / "result.json").stat().st_mtime_ns == first
    assert result_of(tmp_path / "full-seed1")["resumed_at_step"] == step
    assert (tmp_path / "report.html").exists()


def test_a_signal_before_the_first_step_leaves_a_run_that_can_begin(tmp_path, cache, whole):
    process = start(*train(tmp_path), cache=cache)
    while not (tmp_path / "attempts.jsonl").exists():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    (ended,) = finish(process)
    step = executed(tmp_path)
    assert ended == (75, "", stopped_line(step, "SIGTERM"))
    assert run_command(*train(tmp_path), cache=cache).code == 0
    assert_same_end(tmp_path, whole, EVERYTHING)
