"""``run``: train one experiment in a directory, or go on where it was interrupted."""

import hashlib
import json
import statistics
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnn_jax.data.order import batch_positions
from cnn_jax.errors import UserError
from cnn_jax.experiment.declaration import (
    Experiment,
    Where,
    encode_experiment,
    first_difference,
    identity,
)
from cnn_jax.experiment.program import PlacedData, Program, Workbench, evaluate_split
from cnn_jax.experiment.provenance import now, provenance
from cnn_jax.training.checkpoint import open_checkpoints
from cnn_jax.training.loop import Hooks, fit
from cnn_jax.training.parallel import fetch
from cnn_jax.training.progress import Progress, make_progress
from cnn_jax.training.run_directory import (
    StepCounter,
    cannot_write,
    locked,
    make_directory,
    read_json,
    write_json,
)
from cnn_jax.training.state import TrainState
from cnn_jax.training.writers import JsonLines, TensorBoard, read_rows

Result = dict[str, Any]


def run(
    experiment: Experiment,
    workdir: Path | str,
    where: Where | None = None,
    *,
    workbench: Workbench | None = None,
    progress: Progress | None = None,
    title: str = "run",
    study_file: str | None = None,
) -> Result:
    """Train ``experiment`` in ``workdir`` and return what ``result.json`` holds.

    A directory that holds the finished run is only read; one that holds a part of it is
    gone on with, and ends bitwise as if it had never been interrupted.

    Args:
        experiment: what to train.
        workdir: made if it is not there; see ``training/run_directory.py``.
        where: data directory, progress, checkpoint interval; the workbench's if not given.
        workbench: shares data and compiled programs between runs; made if not given.
        progress: display to use; made from ``where`` if not given.
        title: of the run in the display.
        study_file: name of a user's study file in the parent directory, which
            ``load_run`` needs where the experiment names functions of it.

    Raises:
        UserError: the directory holds another run or is in use, the data is missing or
            broken, or the disk is full.
    """
    workdir, bench = Path(workdir), workbench or Workbench(where or Where())
    where = where or bench.where
    display = progress or make_progress(where.progress)
    try:
        dataset = bench.dataset(experiment.dataset)
        manifest = {
            "kind": "run",
            "identity": identity(experiment, dataset.fingerprint),
            "experiment": encode_experiment(experiment),
            "study_file": study_file,
            "dataset": {
                "name": dataset.name,
                "label": dataset.label,
                "classes": list(dataset.classes),
                "fingerprint": dataset.fingerprint,
            },
        }
        check_directory(workdir, manifest)
        finished = read_json(workdir / "result.json")
        if finished is not None:
            return finished
        make_directory(workdir)
        with locked(workdir):
            check_directory(workdir, manifest)  # again: it may have been filled just now
            if not (workdir / "manifest.json").exists():
                write_json(workdir / "manifest.json", manifest | provenance())
            return _train(experiment, workdir, where, bench, display, title)
    except OSError as error:
        raise cannot_write(workdir, error) from error
    finally:
        if progress is None:
            display.close()


def check_directory(workdir: Path, manifest: Mapping[str, Any]) -> None:
    """Refuse a directory that holds something other than ``manifest`` says.

    Raises:
        UserError: with the first field that differs.
    """
    there = read_json(workdir / "manifest.json")
    if there is None or there.get("identity") == manifest["identity"]:
        return
    if there.get("kind") != manifest["kind"]:
        reason = f"a {there.get('kind')}, not a {manifest['kind']}"
    else:
        parts = ("study", "setting", "experiment", "dataset")
        differing = (first_difference(there.get(p), manifest.get(p), p) for p in parts)
        reason = next((d for d in differing if d), "another identity")
    raise UserError(
        f"{workdir} holds a different {there.get('kind', 'thing')} ({reason}); nothing was "
        f"changed; choose another place with --out"
    )


def _train(
    experiment: Experiment,
    workdir: Path,
    where: Where,
    bench: Workbench,
    display: Progress,
    title: str,
) -> Result:
    data, program = bench.data(experiment), bench.program(experiment)
    with ExitStack() as stack:
        checkpoints = stack.enter_context(open_checkpoints(workdir / "checkpoints"))
        seed = np.uint32(experiment.seed)
        state, problems = checkpoints.restore(jax.eval_shape(program.init, seed))
        for problem in problems:
            display.note(f"{title}: {problem}; the one before it is used")
        if state is None:
            state = program.init(seed)
            save_facts(workdir, data)
        resumed_at_step = int(state.step)
        counter = StepCounter(workdir / "steps_executed")
        stack.callback(counter.close)
        attempts = [
            *read_rows(workdir / "attempts.jsonl"),
            _attempt(resumed_at_step, counter),
        ]
        with (workdir / "attempts.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(attempts[-1]) + "\n")

        log = JsonLines(workdir / "metrics.jsonl", up_to_step=resumed_at_step)
        stack.callback(log.close)
        board = TensorBoard(workdir / "tensorboard", rows=log.rows)
        stack.callback(board.close)
        earlier = log.rows[-1]["wall_seconds"] if log.rows else 0.0
        began = time.perf_counter()

        def write_row(row: Mapping[str, Any]) -> None:
            seconds = round(earlier + time.perf_counter() - began, 3)
            for writer in (log, board):
                writer.write({**row, "wall_seconds": seconds})

        display.start(title, program.plan.total_steps, resumed_at_step)
        state = fit(
            state,
            program.steps,
            data.train,
            lambda step: batch_positions(
                experiment.seed, step, experiment.batch_size, data.sizes["train"]
            ),
            program.plan,
            Hooks(
                validate=lambda s: evaluate_split(
                    program, s, data.validation_batches, data.train.facts
                ),
                log=write_row,
                save=lambda s: checkpoints.save(int(s.step), s),
                executed=counter.add,
                rate=lambda step: float(program.schedule(step)),
                checkpoint_seconds=where.checkpoint_seconds,
            ),
            display,
        )
        result = {
            **_outcome(program, state, data),
            "dataset": data.dataset.label,
            "seed": experiment.seed,
            "sizes": data.sizes,
            "steps": int(state.step),
            "resumed_at_step": resumed_at_step,
            "attempts": attempts,
            "steps_executed": counter.executed,
            "images_per_second": _median_speed(log.rows),
            "wall_seconds": round(earlier + time.perf_counter() - began, 3),
        }
    write_json(workdir / "result.json", result)
    display.finish(_line(result))
    return result


def _attempt(resumed_at_step: int, counter: StepCounter) -> dict[str, Any]:
    return {
        "step": resumed_at_step,
        "resumed_at_step": resumed_at_step,
        "steps_executed_before": counter.executed,
        "started": now(),
    }


def _outcome(program: Program, state: TrainState, data: PlacedData) -> Result:
    facts = data.train.facts
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    common = {"parameters": parameters, "parameters_sha256": parameters_sha256(state)}
    if int(state.diverged_at) >= 0:
        empty = dict.fromkeys(
            ("test_error", "test_wrong", "test_examples", "test_loss", "train_error")
        )
        none = {**empty, "validation_error": None}
        at = int(state.diverged_at)
        return {"status": "diverged", "diverged_at_step": at, **none, **common}
    train = evaluate_split(program, state, data.train_batches, facts)
    validation = evaluate_split(program, state, data.validation_batches, facts)
    test = evaluate_split(program, state, data.test_batches, facts)
    return {
        "status": "finished",
        "diverged_at_step": None,
        "test_error": test.error,
        "test_wrong": test.wrong,
        "test_examples": test.examples,
        "test_loss": test.loss,
        "train_error": train.error,
        "validation_error": validation.error,
        **common,
    }


def _median_speed(rows: list[dict[str, Any]]) -> float | None:
    speeds = [row["images_per_second"] for row in rows if row["images_per_second"]]
    return round(statistics.median(speeds), 1) if speeds else None


def _line(result: Result) -> str:
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


def save_facts(workdir: Path, data: PlacedData) -> None:
    """Write mean and deviation of the pixels, which the trained network needs."""
    preprocessing = fetch(data.train.facts.preprocessing)
    np.savez(workdir / "preprocessing.npz", **preprocessing._asdict())
