"""Two processes that train together are one process with two devices, stops included.

Every test starts processes and gives them minutes; one that hangs fails the test.
"""

import json
import signal

import pytest

from cnn_jax.training.checkpoint_directory import complete_steps
from cnn_jax.training.run_directory import locked
from tests.experiment.commands import (
    executed,
    finish,
    run_command,
    start_two,
    wait_for_steps,
)
from tests.experiment.interruptible import (
    EXPERIMENTS,
    assert_near_end,
    assert_same_end,
    lines,
    result_of,
)

pytestmark = pytest.mark.slow

STEPS = 40


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture(scope="module")
def one(tmp_path_factory, cache):
    """The directory of the same run in one process with two devices."""

    def train(name, parallel):
        key = f"{name}-{parallel}"
        if key not in done:
            done[key] = tmp_path_factory.mktemp(key)
            ended = run_command(
                *command(name, done[key], parallel, "--devices", 2), devices=2, cache=cache
            )
            assert ended.code == 0, ended.err
        return done[key]

    done = {}
    return train


def command(name, out, parallel="jit", *more):
    flags = ["--progress", "none", "--parallel", parallel, "--out", out, *more]
    if EXPERIMENTS[name].precision == "f64":
        flags += ["--precision", "f64"]
    return ["train", name, *flags]


def compare(directory, whole, name):
    """float64 shows that nothing is different but the order of sums."""
    rtol = 1e-10 if EXPERIMENTS[name].precision == "f64" else 1e-5
    assert_near_end(directory, whole, EXPERIMENTS[name], rtol=rtol)


@pytest.mark.parametrize("parallel", ["jit", "pmap"])
def test_two_processes_are_one_with_two_devices(tmp_path, cache, one, parallel):
    both = finish(*start_two(*command("everything", tmp_path, parallel), cache=cache))
    assert [ended.code for ended in both] == [0, 0], both
    assert "test error" in both[0].out
    assert str(tmp_path) in both[0].out
    assert both[1].out == "", "only the first process speaks"
    assert [ended.err for ended in both] == ["", ""]
    assert result_of(tmp_path)["attempts"][0]["devices"] == 2
    assert_same_end(tmp_path, one("everything", parallel), EXPERIMENTS["everything"])


def test_both_killed_they_go_on_bitwise(tmp_path, cache, one):
    options = {"cache": cache, "step_seconds": 0.05}
    processes = start_two(*command("everything", tmp_path), **options)
    wait_for_steps(tmp_path, 25, *processes)
    for process in processes:
        process.kill()
    finish(*processes)
    assert complete_steps(tmp_path / "checkpoints") == [10, 20]
    both = finish(*start_two(*command("everything", tmp_path), cache=cache))
    assert [ended.code for ended in both] == [0, 0], both
    result = result_of(tmp_path)
    assert result["resumed_at_step"] == 20
    assert STEPS < result["steps_executed"] <= STEPS + 10
    assert [row["step"] for row in lines(tmp_path)] == [10, 20, 30, 40]
    assert_same_end(tmp_path, one("everything", "jit"), EXPERIMENTS["everything"])


@pytest.mark.parametrize("told", [0, 1])
def test_a_signal_to_one_stops_both_at_the_same_step(tmp_path, cache, one, told):
    options = {"cache": cache, "step_seconds": 0.05}
    processes = start_two(*command("everything", tmp_path), **options)
    wait_for_steps(tmp_path, 3, *processes)
    processes[told].send_signal(signal.SIGTERM)
    both = finish(*processes)
    assert [ended.code for ended in both] == [75, 75], both
    step = executed(tmp_path)
    assert 3 <= step < STEPS
    assert complete_steps(tmp_path / "checkpoints")[-1] == step
    said = f"stopped at step {step} (SIGTERM), saved; the same command goes on"
    for ended in both:  # each host's log tells why
        assert ended.err.splitlines() == [f"cnn-jax: {said}"]
        assert ended.out == ""
    ended = finish(*start_two(*command("everything", tmp_path), cache=cache))
    assert [e.code for e in ended] == [0, 0], ended
    assert result_of(tmp_path)["steps_executed"] == STEPS
    assert_same_end(tmp_path, one("everything", "jit"), EXPERIMENTS["everything"])


@pytest.mark.parametrize("name", ["everything", "double"])
@pytest.mark.parametrize("devices", [1, 4])
def test_what_two_processes_saved_goes_on_in_one_and_back(
    tmp_path, cache, one, name, devices
):
    ended = finish(
        *start_two(*command(name, tmp_path, "jit", "--stop-after", 15), cache=cache)
    )
    assert [e.code for e in ended] == [75, 75], ended
    step = executed(tmp_path)
    more = ("--devices", devices, "--stop-after", 9)
    alone = run_command(
        *command(name, tmp_path, "jit", *more), devices=devices, cache=cache
    )
    assert alone.code == 75, alone
    assert f"stopped at step {step + 9} (--stop-after), saved" in alone.err
    ended = finish(*start_two(*command(name, tmp_path), cache=cache))
    assert [e.code for e in ended] == [0, 0], ended
    result = result_of(tmp_path)
    assert result["steps_executed"] == STEPS
    assert [a["devices"] for a in result["attempts"]] == [2, devices, 2]
    compare(tmp_path, one(name, "jit"), name)


@pytest.mark.parametrize(
    "other", [("--batch-size", 26), ("--dataset", "digits"), ("--seed", 9)]
)
def test_processes_that_differ_are_refused_and_nobody_waits(tmp_path, cache, other):
    out = tmp_path / "run"
    both = finish(*start_two(*command("everything", out), other=other, cache=cache))
    assert [ended.code for ended in both] == [2, 2], both
    for ended in both:
        (line,) = ended.err.splitlines()
        assert "differs between the processes: process 1 has another" in line
    assert not out.exists()


def test_a_directory_in_use_ends_both(tmp_path, cache):
    with locked(tmp_path):
        both = finish(*start_two(*command("everything", tmp_path), cache=cache))
    assert [ended.code for ended in both] == [2, 2], both
    assert "is in use by another run" in both[0].err
    assert "another process could not start" in both[1].err
    assert [len(ended.err.splitlines()) for ended in both] == [1, 1]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock"]


def test_what_hinders_one_ends_both(tmp_path, cache):
    out = tmp_path / "run"
    other = ("--devices", 1)  # all devices of all processes take part
    both = finish(*start_two(*command("everything", out), other=other, cache=cache))
    assert [ended.code for ended in both] == [2, 2], both
    assert "another process could not start" in both[0].err
    assert "--devices 1: the 2 processes of this job have 2 devices" in both[1].err
    assert [len(ended.err.splitlines()) for ended in both] == [1, 1]
    assert not (out / "checkpoints").exists()


# In one process, where the checkpoint does not know either what wrote it.
@pytest.mark.parametrize("name", ["everything", "double"])
@pytest.mark.parametrize(
    ("first", "then"),
    [
        ((4, "jit"), (1, "jit")),
        ((1, "jit"), (4, "pmap")),
        ((4, "pmap"), (2, "jit")),
        ((2, "jit"), (2, "pmap")),
    ],
)
def test_a_checkpoint_goes_on_on_other_devices(tmp_path, cache, one, name, first, then):
    for (devices, parallel), more, code in (
        (first, ("--stop-after", 15), 75),
        (then, (), 0),
    ):
        ended = run_command(
            *command(name, tmp_path, parallel, "--devices", devices, *more),
            devices=devices,
            cache=cache,
        )
        assert ended.code == code, ended
    attempts = json.loads((tmp_path / "result.json").read_text())["attempts"]
    assert [(a["devices"], a["parallel"]) for a in attempts] == [first, then]
    assert attempts[1]["resumed_at_step"] == 15
    compare(tmp_path, one(name, "jit"), name)
