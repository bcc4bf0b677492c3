"""What came out of a run: its errors, its speed, and a digest of its parameters."""

import hashlib
import math
import statistics
from typing import Any

import jax

from cnn_jax.experiment.feed import Feed
from cnn_jax.experiment.program import Program, evaluate_split
from cnn_jax.training.parallel import fetch
from cnn_jax.training.state import TrainState

Result = dict[str, Any]


def outcome(program: Program, state: TrainState, feed: Feed) -> Result:
    """Return errors on all splits, each example counted once, or where the run diverged."""
    facts = feed.data.facts
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    if int(state.diverged_at) >= 0:
        return _diverged(parameters, int(state.diverged_at))
    train = evaluate_split(program, state, feed.batches("train"), facts)
    validation = evaluate_split(program, state, feed.batches("validation"), facts)
    if not math.isfinite(train.loss + validation.loss):  # the very last update did it
        return _diverged(parameters, int(state.step))
    test = evaluate_split(program, state, feed.batches("test"), facts)
    return {
        "status": "finished",
        "diverged_at_step": None,
        "test_error": test.error,
        "test_wrong": test.wrong,
        "test_examples": test.examples,
        "test_loss": test.loss if math.isfinite(test.loss) else None,
        "train_error": train.error,
        "validation_error": validation.error,
        "steps": int(state.step),
        "parameters": parameters,
        "parameters_sha256": parameters_sha256(state),
    }


def _diverged(parameters: int, step: int) -> Result:
    """Return the outcome of a run whose loss was not finite at ``step``.

    When the loop noticed it depends on the clock, so nothing of its last state is told.
    """
    nothing = ("test_error", "test_wrong", "test_examples", "test_loss", "train_error")
    return {
        "status": "diverged",
        "diverged_at_step": step,
        **dict.fromkeys(nothing),
        "validation_error": None,
        "steps": step + 1,
        "parameters": parameters,
        "parameters_sha256": None,
    }


def median_speed(rows: list[dict[str, Any]]) -> float | None:
    """Return the median over epochs of the training speed in images a second."""
    speeds = [row["images_per_second"] for row in rows if row["images_per_second"]]
    return round(statistics.median(speeds), 1) if speeds else None


def median_waiting(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the median over epochs of the part of the time that was waited for data.

    Nothing where the data lies on the devices.
    """
    waited = [row["waiting_fraction"] for row in rows if "waiting_fraction" in row]
    return {"waiting_fraction": round(statistics.median(waited), 4)} if waited else {}


def told_in_a_line(result: Result) -> str:
    """Return what came out of a run, for people."""
    if result["status"] == "diverged":
        return f"the loss stopped being finite at step {result['diverged_at_step']}"
    return (
        f"test error {result['test_error']:.2%} "
        f"({result['test_wrong']} of {result['test_examples']} wrong), "
        f"{result['wall_seconds']:.1f} s"
    )


def parameters_sha256(state: TrainState) -> str:
    """Return the SHA-256 (hex) of parameters and batch statistics.

    Over sorted paths: path, dtype, shape, and the little-endian bytes. Two runs with one
    digest are bitwise equal.
    """
    tree = {"params": state.params, "batch_stats": state.batch_stats}
    leaves = {
        jax.tree_util.keystr(path): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(fetch(tree))
    }
    sha = hashlib.sha256()
    for path, leaf in sorted(leaves.items()):
        sha.update(f"{path} {leaf.dtype} {leaf.shape}".encode())
        sha.update(leaf.astype(leaf.dtype.newbyteorder("<")).tobytes())
    return sha.hexdigest()
