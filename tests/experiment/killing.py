"""Trains a run in processes that are killed at random moments until it is finished.

python -m tests.experiment.killing EXPERIMENT DIRECTORY KILLS CHECKPOINT_SECONDS CACHE

Prints as JSON what came of it. Every attempt is forked after the imports, which take
longest, and before JAX has started any device.
"""

import json
import os
import random
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path

import jax
import orbax.checkpoint  # noqa: F401  (imported before the forks)

from cnn_jax.experiment.declaration import Where
from cnn_jax.experiment.run import run
from cnn_jax.training.checkpoint import Checkpoints
from cnn_jax.training.checkpoint_directory import WRITING, complete_steps
from cnn_jax.training.progress import Silent
from tests.experiment.commands import executed
from tests.experiment.interruptible import EXPERIMENTS


def attempt(experiment, directory, checkpoint_seconds):
    """One attempt; notes each save and each thing that was said."""
    listener = Silent()
    with (
        directory.with_name("saves").open("a", 1) as saves,
        directory.with_name("said").open("a", 1) as said,
    ):
        listener.note = lambda line: said.write(f"{line}\n")
        save = Checkpoints.save

        def noted(self, step, state, **options):
            saves.write(f"{step}\n")  # it begins here
            save(self, step, state, **options)

        Checkpoints.save = noted
        where = Where(progress="none", checkpoint_seconds=checkpoint_seconds)
        run(EXPERIMENTS[experiment], directory, where, progress=listener)


def fork(*arguments):
    child = os.fork()
    if child:
        return child
    try:
        attempt(*arguments)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def kill(child, directory, until, seconds):
    """Wait for that many executed steps and some seconds more, then kill.

    Returns whether it was still at work.
    """
    deadline = time.monotonic() + 120
    while executed(directory) < until:
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        if time.monotonic() > deadline:
            sys.exit("no progress")
        time.sleep(0.001)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def train_and_kill(experiment, directory, kills, checkpoint_seconds):
    """Kill so many attempts, then let one finish.

    Returns, for each kill, the steps that it cost, whether a checkpoint was half written,
    and the most steps from a save to the next but one, which a kill may cost.
    """
    moments = random.Random(20)
    saves = directory.with_name("saves")
    saves.touch()
    found = {"lost": [], "half_written": [], "between_saves": []}
    for done in range(kills):
        before, resumed = executed(directory), newest(directory)
        begun = len(saves.read_text().split())
        # Some before the first step, during a save, or between two.
        until = before + moments.randrange(9)
        child = fork(experiment, directory, checkpoint_seconds)
        if not kill(
            child, directory, until, moments.uniform(0.0, 0.05 + 2.5 * checkpoint_seconds)
        ):
            sys.exit(f"it ended after {done} kills")
        reached = resumed + executed(directory) - before
        # The state that it began with, those whose saves it began, and the one it died at.
        states = [resumed, *map(int, saves.read_text().split()[begun:]), reached]
        found["lost"].append(reached - newest(directory))
        found["between_saves"].append(
            max(b - a for a, b in zip(states, [*states[2:], reached], strict=False))
        )
        found["half_written"].append(any(directory.glob(f"checkpoints/*{WRITING}")))
    child = fork(experiment, directory, checkpoint_seconds)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        sys.exit("the last attempt failed")
    return found


def newest(directory):
    return max(complete_steps(directory / "checkpoints"), default=0)


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of forks
    name, place, kills, seconds, cache = sys.argv[1:]
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_compilation_cache_dir", cache)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    found = train_and_kill(name, Path(place), int(kills), float(seconds))
    sys.stdout.write(json.dumps(found))
