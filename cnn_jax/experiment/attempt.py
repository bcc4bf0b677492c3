"""One attempt at a run: take up the newest checkpoint, train on, record what came out."""

import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnn_jax.data.order import batch_positions
from cnn_jax.experiment.declaration import Experiment, Where
from cnn_jax.experiment.outcome import Result, median_speed, outcome, told_in_a_line
from cnn_jax.experiment.program import PlacedData, Program, Workbench, evaluate_split
from cnn_jax.experiment.provenance import now
from cnn_jax.experiment.start import starting_weights
from cnn_jax.optim.plateau import plateau_of
from cnn_jax.training.checkpoint import Checkpoints, open_checkpoints
from cnn_jax.training.hosts import (
    AGREE_EVERY_DISPATCHES,
    any_process,
    from_first,
    is_first,
    one_reason,
)
from cnn_jax.training.interruption import Interrupted
from cnn_jax.training.loop import Hooks, fit
from cnn_jax.training.parallel import fetch
from cnn_jax.training.progress import Progress
from cnn_jax.training.run_directory import StepCounter, write_json
from cnn_jax.training.state import TrainState
from cnn_jax.training.writers import JsonLines, TensorBoard

WAIT_SECONDS = 0.5
"""How long training waits at most for a checkpoint before it goes on beside the writing."""


def train(
    experiment: Experiment,
    workdir: Path,
    where: Where,
    bench: Workbench,
    display: Progress,
    title: str,
) -> Result:
    """Train to the end of the experiment and write ``result.json``.

    Args:
        experiment: what to train.
        workdir: taken hold of by the first process.
        where: checkpoint interval, and when to stop early.
        bench: data, devices and program.
        display: shows progress.
        title: of the run in the display.

    Raises:
        Interrupted: it was asked to stop; the state is saved.
    """
    data, program = bench.data(experiment), bench.program(experiment)
    total = program.plan.total_steps
    with ExitStack() as stack:
        stack.enter_context(bench.interruption)
        if not is_first():  # the same files, for nobody
            workdir = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        checkpoints = stack.enter_context(open_checkpoints(workdir / "checkpoints"))
        state = _begin(experiment, program, checkpoints, display, title)
        resumed_at_step = int(state.step)
        if resumed_at_step == 0:
            _save_facts(workdir, data)
        counter = StepCounter(workdir / "steps_executed")
        stack.callback(counter.close)
        attempts = JsonLines(workdir / "attempts.jsonl", up_to_step=total)
        stack.callback(attempts.close)
        attempts.write(_attempt(resumed_at_step, counter, program))
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

        def executed(steps: int) -> None:
            counter.add(steps)
            bench.executed += steps

        def save(state: TrainState, validation_error: float | None) -> None:
            step = int(state.step)
            checkpoints.save(step, state, validation_error=validation_error)
            # A small one is worth waiting for: then a kill costs less.
            checkpoints.wait(None if where.checkpoint_seconds == 0 else WAIT_SECONDS)

        display.start(title, total, resumed_at_step)
        stack.enter_context(bench.interruption.between_steps())
        state, reason = fit(
            state,
            program.steps,
            data.train,
            program.plan,
            Hooks(
                positions=lambda step: _positions(experiment, program, data, step),
                place_positions=program.devices.place_positions,
                place=program.devices.place,
                validate=lambda s: evaluate_split(
                    program, s, data.validation_batches, data.train.facts
                ),
                next_plateau=_next_plateau(experiment, program),
                log=write_row,
                save=save,
                executed=executed,
                rate=lambda step: float(program.schedule(step)),
                stop=bench.reason_to_stop,
                agree=one_reason,
                agree_every=AGREE_EVERY_DISPATCHES if jax.process_count() > 1 else 1,
                checkpoint_seconds=where.checkpoint_seconds,
            ),
            display,
        )
        checkpoints.wait()
        if reason is not None:
            any_process(False)  # all leave together, when the first one has saved
            display.finish(f"saved at step {int(state.step)} of {total}: {reason}")
            raise Interrupted(reason, int(state.step))
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


def _begin(
    experiment: Experiment,
    program: Program,
    checkpoints: Checkpoints,
    display: Progress,
    title: str,
) -> TrainState:
    """Return the newest saved state, or the one before the first step."""
    seed = np.uint32(experiment.seed)
    like = jax.eval_shape(program.init, seed)
    saved, problems = checkpoints.restore(like)
    for problem in problems:
        display.note(f"{title}: {problem}; going back to the one before, or to step 0")
    if not any_process(saved is not None):
        start = experiment.start_from
        given = {} if start is None else starting_weights(start, experiment.model)
        return program.init(seed, program.devices.place(given))
    if saved is None:  # another process has read it
        saved = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), like)
    return program.devices.place(from_first(saved))


def _positions(
    experiment: Experiment, program: Program, data: PlacedData, step: int
) -> np.ndarray:
    """Return the training examples of a step, int32 [pieces, rows]."""
    size, examples = experiment.batch_size, data.sizes["train"]
    return batch_positions(experiment.seed, step, size, examples).reshape(
        program.pieces, -1
    )


def _next_plateau(experiment: Experiment, program: Program) -> Any:
    plateau = plateau_of(experiment.schedule)
    return None if plateau is None else program.devices.compile(plateau.update)


def _attempt(
    resumed_at_step: int, counter: StepCounter, program: Program
) -> dict[str, Any]:
    return {
        "step": resumed_at_step,
        "resumed_at_step": resumed_at_step,
        "steps_executed_before": counter.executed,
        "devices": program.devices.count,
        "parallel": program.devices.strategy,
        "started": now(),
    }


def _save_facts(workdir: Path, data: PlacedData) -> None:
    """Write mean and deviation of the pixels, which the trained network needs."""
    preprocessing = fetch(data.train.facts.preprocessing)
    np.savez(workdir / "preprocessing.npz", **preprocessing._asdict())
