"""One attempt at a run: take up the newest checkpoint, train on, record what came out."""

import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnn_jax.experiment.declaration import Experiment, Where
from cnn_jax.experiment.feed import Feed, Reading
from cnn_jax.experiment.outcome import (
    Result,
    median_speed,
    median_waiting,
    outcome,
    told_in_a_line,
)
from cnn_jax.experiment.program import Program, Workbench, evaluate_split
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
from cnn_jax.training.progress import LINE_EVERY_SECONDS, Progress
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
        reading = Reading(
            experiment=experiment,
            plan=program.plan,
            pieces=program.pieces,
            per_dispatch=program.steps.per_dispatch,
            first_step=resumed_at_step,
            facts_file=workdir / "facts.npz",
            told=_Preparation(display, title, bench, resumed_at_step).told,
        )
        feed = stack.enter_context(data.open(reading))
        if resumed_at_step == 0:
            _save_facts(workdir, feed)
        counter = StepCounter(workdir / "steps_executed")
        stack.callback(counter.close)
        attempts = JsonLines(workdir / "attempts.jsonl", up_to_step=total)
        stack.callback(attempts.close)
        attempts.write(_attempt(resumed_at_step, counter, program) | data.told)
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
            feed.data,
            program.plan,
            Hooks(
                take=feed.take,
                late=feed.late,
                place=program.devices.place,
                validate=lambda s: evaluate_split(
                    program, s, feed.batches("validation"), feed.data.facts
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
            **outcome(program, state, feed),
            "dataset": data.dataset.label,
            "seed": experiment.seed,
            "sizes": data.sizes,
            "resumed_at_step": resumed_at_step,
            "attempts": attempts.rows,
            "steps_executed": counter.executed,
            "images_per_second": median_speed(log.rows),
            **median_waiting(log.rows),
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


class _Preparation:
    """Tells now and then how far what comes before the first step is."""

    def __init__(self, display: Progress, title: str, bench: Workbench, step: int) -> None:
        self._display, self._title, self._bench, self._step = display, title, bench, step
        self._what, self._last = "", 0.0

    def told(self, what: str, done: int, count: int) -> None:
        """Say so at the start, at most every few seconds, and at the end.

        Raises:
            Interrupted: it is time to stop. Nothing has been trained that must be saved.
        """
        reason = self._bench.reason_to_stop()
        if reason and jax.process_count() == 1:  # one of several would leave alone
            raise Interrupted(reason, self._step)
        old = time.monotonic() - self._last > LINE_EVERY_SECONDS
        if what == self._what and not old and done < count:
            return
        self._what, self._last = what, time.monotonic()
        self._display.note(f"{self._title}: {what}: {done:,} of {count:,}")


def _save_facts(workdir: Path, feed: Feed) -> None:
    """Write mean and deviation of the pixels, which the trained network needs."""
    preprocessing = fetch(feed.data.facts.preprocessing)
    np.savez(workdir / "preprocessing.npz", **preprocessing._asdict())
