"""Experiments with everything on that a resumed run must take up again, and their ends."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np

from cnn_jax import Arm, Study
from cnn_jax.experiment.recipe import pure_steps
from cnn_jax.layers.residual_network import ResidualNetwork
from cnn_jax.layers.rows import Classifier, Conv, Dense, MaxPool
from cnn_jax.optim.plateau import ReduceOnPlateau
from cnn_jax.study.edits import unchanged
from cnn_jax.training.averaging import ExponentialAverage
from cnn_jax.training.checkpoint import open_checkpoints
from tests.tiny import variant

# Every convolution of such a network is batch-normalised.
MODEL = ResidualNetwork(
    num_classes=10,
    input_shape=(8, 8, 1),
    table=(
        Conv("conv1", 4, 3),
        MaxPool("pool1", 2, 2),
        Dense("fc1", 16, dropout=0.5),
        Classifier("out"),
    ),
)

EVERYTHING = variant(
    model=MODEL,
    schedule=ReduceOnPlateau(rate=0.05, patience=1, min_improvement=0.2),
    averaging=ExponentialAverage(decay=0.9),
    epochs=4,
    batch_size=52,  # shared by 1, 2 and 4 devices; 512 / 52: batches straddle epochs
)

# Parameters, velocities and averages of 8.5 million numbers: 102 MB.
WIDE = dataclasses.replace(
    EVERYTHING,
    model=MODEL.clone(
        table=(
            Conv("conv1", 16, 3, padding=1),
            Dense("fc1", 8192, dropout=0.5),
            Classifier("out"),
        )
    ),
)

EXPERIMENTS = {
    "everything": EVERYTHING,
    "longer": dataclasses.replace(EVERYTHING, epochs=20),
    "double": dataclasses.replace(EVERYTHING, precision="f64"),
    "wide": WIDE,
    "wide_longer": dataclasses.replace(WIDE, epochs=30),
    "replicas": dataclasses.replace(EVERYTHING, batch_norm="per_replica"),
}

STUDY = Study(
    name="interruptible",
    title="Interruptible",
    question="Does it go on?",
    source="made for tests",
    settings={"synthetic": EVERYTHING, "larger": WIDE},
    arms={"full": Arm("full", unchanged)},
    baseline="full",
    default_arms=("full",),
    printed="larger",
    seeds=2,
)

TIMES = {
    "wall_seconds",
    "images_per_second",
    "waiting_fraction",
    "attempts",
    "resumed_at_step",
    "steps_executed",
}
"""What differs between two runs that are otherwise bitwise equal."""


def numbers(result):
    """A result without times."""
    return {key: value for key, value in result.items() if key not in TIMES}


def result_of(directory):
    return json.loads((directory / "result.json").read_text())


def lines(directory, name="metrics.jsonl"):
    text = (Path(directory) / name).read_text()
    return [json.loads(line) for line in text.splitlines()]


def rows(directory):
    """The rows of metrics.jsonl without times."""
    return [numbers(row) for row in lines(directory)]


def last_state(directory, experiment):
    """Every array of the newest checkpoint, as NumPy arrays."""
    with jax.enable_x64(experiment.precision == "f64"):
        like = jax.eval_shape(pure_steps(experiment, 512).init, np.uint32(0), {})
    with open_checkpoints(directory / "checkpoints", read_only=True) as checkpoints:
        state, problems = checkpoints.restore(like)
    assert problems == []
    return state


def assert_same_end(directory, whole, experiment):
    """Two finished runs are equal, bit for bit, but for times."""
    assert numbers(result_of(directory)) == numbers(result_of(whole))
    assert rows(directory) == rows(whole)
    for path, leaf, other in _leaves(directory, whole, experiment):
        assert leaf.dtype == other.dtype, path
        assert leaf.tobytes() == other.tobytes(), path


def assert_near_end(directory, whole, experiment, *, rtol):
    """Two finished runs are equal but for the order of sums."""
    for key in ("train_loss", "validation_loss"):
        mine, expected = ([row[key] for row in rows(d)] for d in (directory, whole))
        # Losses are summed in float32 in either precision.
        np.testing.assert_allclose(mine, expected, rtol=max(rtol, 1e-6))
    steps = ([row["step"] for row in rows(d)] for d in (directory, whole))
    assert next(steps) == next(steps)
    for path, leaf, other in _leaves(directory, whole, experiment):
        if "totals" not in str(path):
            scale = np.abs(other).max()  # an entry near 0 is a difference of large ones
            np.testing.assert_allclose(leaf, other, rtol, rtol * scale, err_msg=str(path))


def _leaves(directory, whole, experiment):
    states = (last_state(d, experiment) for d in (directory, whole))
    mine, expected = map(jax.tree_util.tree_leaves_with_path, states)
    for (path, leaf), (_, other) in zip(mine, expected, strict=True):
        yield jax.tree_util.keystr(path), leaf, other
