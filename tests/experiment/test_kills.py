"""SIGKILL at random moments: a run loses an interval at most, and no bit of its end."""

import json
import subprocess
import sys

import jax
import pytest

from tests.experiment.commands import ROOT
from tests.experiment.interruptible import (
    EXPERIMENTS,
    assert_same_end,
    last_state,
    lines,
    result_of,
    rows,
)

STEPS = {"longer": 197, "wide_longer": 296}  # ceil(20 or 30 * 512 / 52)
KILLS = 20


def train(experiment, directory, cache, *, kills=0, checkpoint_seconds=60.0):
    command = [sys.executable, "-m", "tests.experiment.killing", experiment]
    command += map(str, (directory, kills, checkpoint_seconds, cache))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# Every step is saved, and waited for; or a large state is written while training goes on.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "checkpoint_seconds"), [("longer", 0.0), ("wide_longer", 0.4)]
)
def test_killed_at_twenty_random_moments_a_run_ends_as_if_it_had_not_been(
    tmp_path, name, checkpoint_seconds
):
    whole, directory = tmp_path / "whole" / "run", tmp_path / "killed" / "run"
    for parent in (whole.parent, directory.parent):
        parent.mkdir()
    cache = tmp_path / "cache"
    train(name, whole, cache)
    found = train(
        name, directory, cache, kills=KILLS, checkpoint_seconds=checkpoint_seconds
    )
    result = result_of(directory)
    steps = STEPS[name]
    told = {"N": steps, "executed": result["steps_executed"], **found}
    print(told)  # noqa: T201  (with -s: the figures)
    assert (directory.parent / "said").read_text() == "", "a checkpoint was not readable"
    assert len(found["lost"]) == KILLS
    assert result["steps"] == steps == result_of(whole)["steps"]
    # Really resumed: each kill cost what was not saved, and that is an interval at most.
    assert result["steps_executed"] == steps + sum(found["lost"])
    intervals = found["between_saves"] if checkpoint_seconds else [1] * KILLS
    assert all(a <= b for a, b in zip(found["lost"], intervals, strict=True)), told
    assert len(lines(directory, "attempts.jsonl")) == len(result["attempts"])
    assert result["resumed_at_step"] > 0
    ends = [row["step"] for row in rows(directory)]
    assert ends == sorted({*ends})
    assert ends == [row["step"] for row in rows(whole)]
    if name == "wide_longer":
        leaves = jax.tree.leaves(last_state(directory, EXPERIMENTS[name]))
        assert sum(leaf.nbytes for leaf in leaves) > 100e6
        assert sum(found["half_written"]) >= 5
    assert_same_end(directory, whole, EXPERIMENTS[name])
