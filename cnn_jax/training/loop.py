"""The one training loop."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from cnn_jax.training.metrics import Metrics, Summary, summarize, zero_metrics
from cnn_jax.training.progress import Progress
from cnn_jax.training.state import TrainState
from cnn_jax.training.steps import TrainData, TrainStep

READ_EVERY_SECONDS = 0.25
"""How often the loop looks at a loss; looking more often would make the device wait."""


class CompiledSteps(NamedTuple):
    """The compiled training steps of one program.

    Attributes:
        one: takes positions [batch].
        several: takes positions [per_dispatch, batch].
        per_dispatch: steps that ``several`` takes at once; with 1 it is never called.
    """

    one: TrainStep
    several: TrainStep
    per_dispatch: int


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
        validate: error on the validation split.
        log: stores the row of an epoch.
        save: writes a checkpoint, returns when it is complete.
        executed: counts steps.
        rate: learning rate of a step, for the log.
        checkpoint_seconds: longest time between two checkpoints.
    """

    validate: Callable[[TrainState], Summary]
    log: Callable[[Mapping[str, Any]], None]
    save: Callable[[TrainState], None]
    executed: Callable[[int], None]
    rate: Callable[[int], float]
    checkpoint_seconds: float = 60.0


class _Stopwatch:
    """Training speed without compilation, validation and checkpoints."""

    def __init__(self) -> None:
        self._since = time.perf_counter()
        self.seconds = 0.0
        self.images = 0

    def skip(self) -> None:
        """Do not count the time since the last call."""
        self._since = time.perf_counter()

    def count(self, images: int) -> None:
        now = time.perf_counter()
        self.seconds += now - self._since
        self._since = now
        self.images += images

    def rate(self) -> float:
        """Return images a second."""
        return self.images / self.seconds if self.seconds > 0 else 0.0


def fit(
    state: TrainState,
    steps: CompiledSteps,
    data: TrainData,
    positions: Callable[[int], Any],
    plan: Plan,
    hooks: Hooks,
    progress: Progress,
) -> TrainState:
    """Train from ``state.step`` to the end of the plan, or to the first loss that is NaN.

    Metrics are read one dispatch late, so that the device never waits for the host.

    Args:
        state: where to start; its memory is given away.
        steps: compiled training steps.
        data: the training split on the device.
        positions: training examples of a step, int32 [batch].
        plan: when to stop, validate and log.
        hooks: what to do then.
        progress: shows it.

    Returns:
        The last state; ``diverged_at`` tells whether the loss stopped being finite.
    """
    step = int(state.step)
    pending: Metrics | None = None
    watch, first = _Stopwatch(), True
    looked = saved = time.perf_counter()
    while step < plan.total_steps:
        count = plan.dispatch(step, steps.per_dispatch)
        if count == 1:
            state, metrics = steps.one(state, data, positions(step))
        else:
            rows: Any = np.stack([positions(step + i) for i in range(count)])
            state, metrics = steps.several(state, data, rows)
        step += count
        hooks.executed(count)
        if first:  # the first dispatch compiled
            jax.block_until_ready(metrics)
            watch.skip()
            looked = time.perf_counter()
            first = False
        else:
            watch.count(count * plan.batch_size)
        now = time.perf_counter()
        if pending is not None and now - looked > READ_EVERY_SECONDS:
            looked = now
            loss = summarize(pending).loss  # waits for the dispatch before this one
            watch.count(0)
            progress.step(step, plan.epoch(step), loss, watch.rate())
            if not np.isfinite(loss):
                return state
        pending = metrics
        ended = step in plan.epoch_ends
        if ended:
            totals = summarize(state.totals)  # waits for the device
            watch.count(0)
            if int(state.diverged_at) >= 0:
                return state
            state = state._replace(totals=zero_metrics())
            validation = hooks.validate(state)
            row = {
                "step": step,
                "epoch": round(plan.epoch(step), 4),
                "train_loss": totals.loss,
                "train_error": totals.error,
                "validation_loss": validation.loss,
                "validation_error": validation.error,
                "rate": hooks.rate(step - 1),
                "images_per_second": round(watch.rate(), 1),
            }
            hooks.log(row)
            progress.epoch(row)
            watch = _Stopwatch()
        if ended or now - saved > hooks.checkpoint_seconds:
            hooks.save(state)
            saved = time.perf_counter()
            watch.skip()
    return state
