"""Checkpoints of a training state, written in the background.

``save`` returns as soon as the state is in the host's memory; a thread writes it. The
next ``save`` first waits for that thread, so at most one checkpoint is in flight and, when
``save`` returns, the checkpoint before it is complete. A kill therefore costs at most the
steps since the last save but one began. A loop that promises to lose no more than an
interval saves every half interval; one that promises a single step calls ``wait`` after
each ``save``.

A checkpoint gets its name, ``<step>``, by a rename when it is complete; a kill leaves
``<step>.writing`` or ``<step>.deleting``, which the next writer sweeps up. The newest
``last`` are kept, and of those with a validation error the ``best``. Should the newest not
be readable, the one before it is used, and that is said. Reading changes nothing on the
disk.

Several processes share one directory: the first writes, all may read. Values are read as
NumPy arrays; whoever places them on devices decides how many there are.
"""

import contextlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import jax
import numpy as np

from cnn_jax.errors import UserError
from cnn_jax.training.checkpoint_directory import (
    check_room,
    complete_steps,
    new_checkpoint,
    remove_checkpoint,
    step_path,
    sweep,
)
from cnn_jax.training.checkpoint_format import (
    About,
    Arrays,
    UnreadableError,
    first_difference,
    first_line,
    flatten,
    read_about,
    read_arrays,
    write_checkpoint,
)
from cnn_jax.training.parallel import fetch

State = TypeVar("State")

LAST = 2
BEST = 1


class Restored(NamedTuple, Generic[State]):
    """What was read.

    Attributes:
        state: with NumPy arrays; None where no checkpoint is readable.
        problems: one line for each checkpoint that was passed over.
    """

    state: State | None
    problems: list[str]


class Checkpoints:
    """The checkpoints in one directory."""

    def __init__(
        self,
        directory: Path,
        *,
        read_only: bool = False,
        last: int = LAST,
        best: int = BEST,
    ) -> None:
        """Open ``directory``; whoever may write makes it and sweeps up a killed save.

        Args:
            directory: of the checkpoints alone.
            read_only: nothing on the disk is changed.
            last: how many of the newest to keep, at least 1.
            best: how many of those with the smallest validation error to keep.

        Raises:
            ValueError: ``last`` or ``best`` is too small.
        """
        if last < 1 or best < 0:
            raise ValueError(f"last={last}, best={best}: last >= 1, best >= 0 are allowed")
        self._directory = directory
        self._read_only = read_only
        self._primary = jax.process_index() == 0
        self._last, self._best = last, best
        self._unreadable: set[int] = set()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._in_flight: tuple[int, Future[None]] | None = None
        if self._primary and not read_only:
            directory.mkdir(parents=True, exist_ok=True)
            sweep(self._directory)

    def steps(self) -> list[int]:
        """Return the steps that have a complete checkpoint, readable or not, in order."""
        return complete_steps(self._directory)

    def best_step(self) -> int | None:
        """Return the step with the smallest validation error; of equal ones the last."""
        ranked = self._ranked([])
        return ranked[0] if ranked else None

    def validation_error(self, step: int) -> float | None:
        """Return the validation error stored with the checkpoint of ``step``.

        Raises:
            UserError: there is no such checkpoint, or it is damaged.
        """
        self._check_is_there(step)
        try:
            return read_about(step_path(self._directory, step)).validation_error
        except UnreadableError as error:
            raise UserError(_not_readable(step, error)) from error

    def save(self, step: int, state: Any, *, validation_error: float | None = None) -> None:
        """Copy ``state`` and begin to write it; waits for the save before this one.

        Every process calls it, only the first one copies and writes. A readable checkpoint
        of that step is left as it is.

        Args:
            step: steps taken.
            state: arrays; they may be changed or given away once this returns.
            validation_error: a fraction; without it a checkpoint is never among the best.

        Raises:
            UserError: the save before this one failed, or the disk is too full for one.
            ValueError: opened to read only.
        """
        if self._read_only:
            raise ValueError(f"the checkpoints in {self._directory} are open to read only")
        if not self._primary:
            return
        self.wait()
        if step in self.steps() and step not in self._unreadable:
            return
        arrays = {name: _owned(leaf) for name, leaf in flatten(fetch(state)).items()}
        check_room(self._directory, sum(leaf.nbytes for leaf in arrays.values()))
        error = None if validation_error is None else float(validation_error)
        self._in_flight = step, self._worker.submit(self._write, step, arrays, error)

    def wait(self, seconds: float | None = None) -> None:
        """Return when nothing is being written any more, or after so many seconds.

        Args:
            seconds: None to wait as long as it takes.

        Raises:
            UserError: it could not be written; told once.
        """
        if self._in_flight is None:
            return
        step, future = self._in_flight
        try:
            error = future.exception(seconds)
        except TimeoutError:
            return
        self._in_flight = None
        if error is not None:
            raise UserError(
                f"cannot write the checkpoint of step {step} to {self._directory}: "
                f"{first_line(error)}"
            ) from error

    def restore(
        self, like: State, step: int | Literal["best"] | None = None
    ) -> Restored[State]:
        """Read a state.

        Args:
            like: a state, or shapes and dtypes of one.
            step: None for the newest readable one, ``best`` for the readable one with the
                smallest validation error, or that of a step.

        Raises:
            UserError: the checkpoint is of another network, experiment or version; or the
                one that was asked for by its step or as the best is not there, or damaged.
        """
        self.wait()
        problems: list[str] = []
        leaves = flatten(like)
        for candidate in self._candidates(step, problems):
            try:
                about = read_about(step_path(self._directory, candidate))
                self._check_alike(about, leaves)
                arrays = read_arrays(step_path(self._directory, candidate), about)
            except UnreadableError as error:
                problems.append(_not_readable(candidate, error))
                self._unreadable.add(candidate)
                continue
            structure = jax.tree.structure(like)
            state = jax.tree.unflatten(structure, [arrays[name] for name in leaves])
            return Restored(state, problems)
        if step is not None:
            raise UserError(f"{self._directory}: {'; '.join(problems)}")
        return Restored(None, problems)

    def close(self) -> None:
        """Finish what is being written, then stop the thread.

        Raises:
            UserError: it could not be written.
        """
        try:
            self.wait()
        finally:
            self._worker.shutdown()

    def _write(self, step: int, arrays: Arrays, validation_error: float | None) -> None:
        """Runs in the thread."""
        with new_checkpoint(self._directory, step) as path:
            write_checkpoint(path, step, arrays, validation_error)
        self._unreadable.discard(step)
        readable = [s for s in self.steps() if s not in self._unreadable]
        kept = {*readable[-self._last :], *self._ranked([])[: self._best]}
        for old in {*self.steps()} - kept:
            remove_checkpoint(self._directory, old)

    def _candidates(
        self, step: int | Literal["best"] | None, problems: list[str]
    ) -> list[int]:
        if step is None:
            return self.steps()[::-1]
        if step == "best":
            ranked = self._ranked(problems)
            if not ranked:
                problems.append("no checkpoint has a validation error")
            return ranked
        self._check_is_there(step)
        return [step]

    def _ranked(self, problems: list[str]) -> list[int]:
        """Return the steps with a validation error, the best first."""
        measured = []
        for step in self.steps():
            try:
                error = read_about(step_path(self._directory, step)).validation_error
            except UnreadableError as reason:
                problems.append(_not_readable(step, reason))
                continue
            if error is not None and step not in self._unreadable:
                measured.append((error, -step))
        return [-negated for _, negated in sorted(measured)]

    def _check_is_there(self, step: int) -> None:
        there = self.steps()
        if step not in there:
            listed = ", ".join(map(str, there)) or "none"
            raise UserError(
                f"{self._directory} has no checkpoint of step {step}; it has: {listed}"
            )

    def _check_alike(self, about: About, leaves: dict[str, Any]) -> None:
        difference = first_difference(about, leaves)
        if difference is not None:
            raise UserError(
                f"the checkpoint of step {about.step} in {self._directory} is of another "
                f"network, experiment or version: {difference}; nothing was changed"
            )


@contextlib.contextmanager
def open_checkpoints(
    directory: Path, *, read_only: bool = False, last: int = LAST, best: int = BEST
) -> Iterator[Checkpoints]:
    """Open the checkpoints in ``directory``; at the end wait for what is being written.

    Raises:
        UserError: at the end, if it could not be written; an error on the way comes first.
    """
    checkpoints = Checkpoints(directory, read_only=read_only, last=last, best=best)
    try:
        yield checkpoints
    except BaseException as error:
        try:
            checkpoints.close()
        except UserError as second:
            error.add_note(str(second))
        raise
    checkpoints.close()


def _not_readable(step: int, reason: UnreadableError) -> str:
    return f"the checkpoint of step {step} is not readable ({reason})"


def _owned(leaf: np.ndarray) -> np.ndarray:
    """Return memory that nobody writes to: on a CPU ``leaf`` may be the device's own."""
    ours = leaf.flags.owndata and not leaf.flags.writeable
    return leaf if ours else leaf.copy()
