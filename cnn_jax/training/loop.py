"""The one training loop."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from cnn_jax.training.metrics import Metrics, Summary, summarize, zero_metrics
from cnn_jax.training.progress import Progress
from cnn_jax.training.state import TrainState
from cnn_jax.training.steps import TrainStep
from cnn_jax.training.train_data import TrainData

READ_EVERY_SECONDS = 0.25
"""How often the loop looks at a loss; looking more often would make the device wait."""


DIVERGED = "the loss is not finite"


class CompiledSteps(NamedTuple):
    """The compiled training steps of one program.

    Attributes:
        one: one step.
        several: ``per_dispatch`` steps, over what each takes, stacked.
        per_dispatch: steps that ``several`` takes at once; with 1 it is never called.
    """

    one: TrainStep
    several: TrainStep
    per_dispatch: int

    def taking(self, count: int) -> TrainStep:
        """Return what takes so many steps at once."""
        return self.one if count == 1 else self.several


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long to train and when to look; a function of the experiment alone.

    Attributes:
        epoch_ends: number of steps after which epoch 1, 2, ... is complete.
        batch_size: examples a step.
        examples: training examples.
    """

    epoch_ends: tuple[int, ...]
    batch_size: int
    examples: int

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.epoch_ends[-1]

    def epoch(self, step: int) -> float:
        """Return the epochs done after ``step`` steps."""
        return step * self.batch_size / self.examples

    def segment(self, step: int) -> tuple[int, int]:
        """Return the first step of the epoch that ``step`` is in, and of the next."""
        index = int(np.searchsorted(self.epoch_ends, step, side="right"))
        return (self.epoch_ends[index - 1] if index else 0), self.epoch_ends[index]

    def dispatch(self, step: int, per_dispatch: int) -> int:
        """Return how many steps to take at once at ``step``.

        It depends on the step alone, not on where an attempt began, so a resumed run
        repeats the very same dispatches.
        """
        first, end = self.segment(step)
        whole = (step - first) % per_dispatch == 0 and step + per_dispatch <= end
        return per_dispatch if whole else 1


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """What the loop does besides training.

    Attributes:
        take: (step, count) -> what that dispatch of ``count`` steps takes, on the devices.
        late: whether ``take`` would have to wait for the next batch; None where it never
            does, because the data lies on the devices.
        place: puts anything else there, whole.
        validate: error on the validation split.
        next_plateau: (plateau state, validation error) -> plateau state, once an epoch;
            None where the learning rate does not depend on the error.
        log: stores the row of an epoch.
        save: starts writing a checkpoint; with the validation error at the end of an epoch.
        executed: counts steps.
        rate: scheduled learning rate of a step, for the log.
        stop: why to stop here, None to go on.
        agree: makes one reason to leave of those of all processes; asked by all at the
            same steps.
        agree_every: dispatches between two such questions.
        checkpoint_seconds: longest time between two checkpoints.
    """

    take: Callable[[int, int], Any]
    late: Callable[[], bool] | None = None
    place: Callable[[Any], Any]
    validate: Callable[[TrainState], Summary]
    next_plateau: Callable[[Any, float], Any] | None = None
    log: Callable[[Mapping[str, Any]], None]
    save: Callable[[TrainState, float | None], None]
    executed: Callable[[int], None]
    rate: Callable[[int], float]
    stop: Callable[[], str | None] = lambda: None
    agree: Callable[[str | None], str | None] = lambda reason: reason
    agree_every: int = 1
    checkpoint_seconds: float = 60.0


class _Stopwatch:
    """Training speed without compilation, validation and checkpoints."""

    def __init__(self) -> None:
        self._since = time.perf_counter()
        self.seconds = 0.0
        self.images = 0
        self._waited = self._counted_wait = 0.0

    def skip(self) -> None:
        """Do not count the time since the last call."""
        self._since, self._waited = time.perf_counter(), 0.0

    def wait(self, seconds: float) -> None:
        """Tell how much of the time since the last call the devices waited for data."""
        self._waited += seconds

    def count(self, images: int) -> None:
        now = time.perf_counter()
        self.seconds += now - self._since
        self._since = now
        self.images += images
        self._counted_wait += self._waited
        self._waited = 0.0

    def told(self, *, streamed: bool) -> dict[str, float]:
        """Return images a second, and the part of the time that was waited for data."""
        seconds = self.seconds if self.seconds > 0 else math.inf
        speed = {"images_per_second": round(self.images / seconds, 1)}
        if streamed:
            speed["waiting_fraction"] = round(self._counted_wait / seconds, 4)
        return speed


def fit(
    state: TrainState,
    steps: CompiledSteps,
    data: TrainData,
    plan: Plan,
    hooks: Hooks,
    progress: Progress,
) -> tuple[TrainState, str | None]:
    """Train from ``state.step`` to the end of the plan.

    Stops early at the first loss that is not finite, or when ``hooks.stop`` says so; then
    a checkpoint is saved first. The host keeps one dispatch ahead and reads metrics one
    dispatch late, so that the device never waits for it.

    Args:
        state: where to start; its memory is given away.
        steps: compiled training steps.
        data: the training split on the device.
        plan: when to stop, validate and log.
        hooks: what to do then.
        progress: shows it.

    Returns:
        The last state, whose ``diverged_at`` tells whether the loss stopped being finite;
        and why training stopped before its time, if it was asked to.
    """
    step = int(state.step)
    pending: Metrics | None = None
    watch, dispatches = _Stopwatch(), 0
    looked = saved = time.perf_counter()
    diverged = False
    while step < plan.total_steps:
        count = plan.dispatch(step, steps.per_dispatch)
        taken = _take(hooks, step, count, pending, watch)
        state, metrics = steps.taking(count)(state, data, taken)
        step += count
        dispatches += 1
        hooks.executed(count)
        if dispatches == 1:  # it compiled
            jax.block_until_ready(metrics)
            watch.skip()
            looked = time.perf_counter()
        else:
            watch.count(count * plan.batch_size)
        if pending is not None:
            # Two dispatches keep the device busy; a stop or a save waits for no more.
            jax.block_until_ready(pending)
            if _since(looked) > READ_EVERY_SECONDS:
                looked = time.perf_counter()
                loss = summarize(pending).loss  # of the dispatch before this one
                watch.count(0)
                speed = watch.told(streamed=hooks.late is not None)
                progress.step(step, plan.epoch(step), loss, *speed.values())
                diverged = diverged or not np.isfinite(loss)
        pending = metrics
        row: dict[str, Any] = {}
        if step in plan.epoch_ends:
            totals = summarize(state.totals)  # waits for the device
            watch.count(0)
            if int(state.diverged_at) >= 0:
                return state, None
            state, row = _end_epoch(state, step, totals, plan, hooks)
            row |= watch.told(streamed=hooks.late is not None)
            hooks.log(row)
            progress.epoch(row)
            watch = _Stopwatch()
        over = step == plan.total_steps
        reason = None if over else _reason_to_leave(hooks, dispatches, diverged)
        if reason == DIVERGED:
            return state, None
        # Half the interval: a kill may find the newest checkpoint half written.
        if row or reason or _since(saved) > hooks.checkpoint_seconds / 2:
            hooks.save(state, row.get("validation_error"))
            saved = time.perf_counter()
            watch.skip()
        if reason:
            return state, reason
    return state, None


def _reason_to_leave(hooks: Hooks, dispatches: int, diverged: bool) -> str | None:
    """Return why to leave before the end; the same in every process."""
    if dispatches % hooks.agree_every:
        return None
    return hooks.agree(DIVERGED if diverged else hooks.stop())


def _since(moment: float) -> float:
    return time.perf_counter() - moment


def _take(
    hooks: Hooks, step: int, count: int, pending: Metrics | None, watch: _Stopwatch
) -> Any:
    """Return what the dispatch takes, and tell the watch if the devices waited for it.

    Data that is late keeps them waiting only from when they have done what they have.
    """
    if hooks.late is None or not hooks.late():
        return hooks.take(step, count)
    jax.block_until_ready(pending)
    idle = time.perf_counter()
    taken = hooks.take(step, count)
    watch.wait(_since(idle))
    return taken


def _end_epoch(
    state: TrainState, step: int, totals: Summary, plan: Plan, hooks: Hooks
) -> tuple[TrainState, dict[str, Any]]:
    """Validate; return the state that goes on, and the row to log."""
    scale = float(state.plateau.scale) if state.plateau else 1.0
    state = state._replace(totals=hooks.place(zero_metrics()))
    validation = hooks.validate(state)
    if hooks.next_plateau is not None:
        plateau = hooks.next_plateau(state.plateau, validation.error)
        state = state._replace(plateau=hooks.place(plateau))
    row = {
        "step": step,
        "epoch": round(plan.epoch(step), 4),
        "train_loss": totals.loss,
        "train_error": totals.error,
        "validation_loss": validation.loss,
        "validation_error": validation.error,
        "rate": hooks.rate(step - 1) * scale,
    }
    return state, row
