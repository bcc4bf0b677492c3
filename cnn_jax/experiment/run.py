"""``run``: train one experiment in a directory, or go on where it was interrupted."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnn_jax.data.dataset import Dataset
from cnn_jax.data.order import batch_positions
from cnn_jax.errors import UserError
from cnn_jax.experiment.declaration import (
    Experiment,
    Where,
    encode_experiment,
    first_difference,
    identity,
)
from cnn_jax.experiment.outcome import Result, median_speed, outcome, told_in_a_line
from cnn_jax.experiment.program import PlacedData, Workbench, evaluate_split
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
from cnn_jax.training.writers import JsonLines, TensorBoard


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
        manifest = run_manifest(experiment, bench.dataset(experiment.dataset))
        finished = finished_result(workdir, manifest)
        if finished is not None:
            return finished
        bench.program(experiment)  # a recipe that does not fit leaves no directory
        make_directory(workdir)
        with locked(workdir):
            finished = finished_result(workdir, manifest)  # perhaps just now, by another
            if finished is not None:
                return finished
            if not (workdir / "manifest.json").exists():
                manifest["study_file"] = study_file
                write_json(workdir / "manifest.json", manifest | provenance())
            return _train(experiment, workdir, where, bench, display, title)
    except OSError as error:
        raise cannot_write(workdir, error) from error
    finally:
        if progress is None:
            display.close()


def run_manifest(experiment: Experiment, dataset: Dataset) -> dict[str, Any]:
    """Return what a run's ``manifest.json`` says of its experiment and data."""
    return {
        "kind": "run",
        "identity": identity(experiment, dataset.fingerprint),
        "experiment": encode_experiment(experiment),
        "dataset": {
            "name": dataset.name,
            "label": dataset.label,
            "classes": list(dataset.classes),
            "fingerprint": dataset.fingerprint,
        },
    }


def finished_result(workdir: Path, manifest: Mapping[str, Any]) -> Result | None:
    """Return the result of the finished run in ``workdir``, None if it is not finished.

    Raises:
        UserError: the directory holds something else than ``manifest`` says.
    """
    check_directory(workdir, manifest)
    return read_json(workdir / "result.json")


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
        pairs = ((p, _told(there.get(p)), _told(manifest.get(p))) for p in parts)
        differing = (first_difference(a, b, p) for p, a, b in pairs)
        reason = next((d for d in differing if d), "another identity")
    raise UserError(
        f"{workdir} holds a different {there.get('kind', 'thing')} ({reason}); nothing was "
        f"changed; choose another place with --out"
    )


def _told(part: Any) -> Any:
    """Leave out what is no part of the identity."""
    if not isinstance(part, dict) or "fields" not in part:
        return part
    kept = {k: v for k, v in part["fields"].items() if k not in ("question", "source")}
    return {**part, "fields": kept}


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
            display.note(f"{title}: {problem}; going back to the one before, or to step 0")
        if state is None:
            state = program.init(seed)
            _save_facts(workdir, data)
        resumed_at_step = int(state.step)
        counter = StepCounter(workdir / "steps_executed")
        stack.callback(counter.close)
        total = program.plan.total_steps
        attempts = JsonLines(workdir / "attempts.jsonl", up_to_step=total)
        stack.callback(attempts.close)
        attempts.write(_attempt(resumed_at_step, counter))

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

        display.start(title, total, resumed_at_step)
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
            **outcome(program, state, data),
            "dataset": data.dataset.label,
            "seed": experiment.seed,
            "sizes": data.sizes,
            "resumed_at_step": resumed_at_step,
            "attempts": attempts.rows,
            "steps_executed": counter.executed,
            "images_per_second": median_speed(log.rows),
            "wall_seconds": round(earlier + time.perf_counter() - began, 3),
        }
    write_json(workdir / "result.json", result)
    display.finish(told_in_a_line(result))
    return result


def _attempt(resumed_at_step: int, counter: StepCounter) -> dict[str, Any]:
    return {
        "step": resumed_at_step,
        "resumed_at_step": resumed_at_step,
        "steps_executed_before": counter.executed,
        "started": now(),
    }


def _save_facts(workdir: Path, data: PlacedData) -> None:
    """Write mean and deviation of the pixels, which the trained network needs."""
    preprocessing = fetch(data.train.facts.preprocessing)
    np.savez(workdir / "preprocessing.npz", **preprocessing._asdict())
