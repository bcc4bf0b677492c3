"""Checkpoints of a training state, by Orbax.

A save returns when the checkpoint is complete, so a kill costs at most the steps since
the last one. The newest two are kept: should the newest not be readable, the one before
it is used, and that is said. Reading changes nothing on the disk.
"""

import contextlib
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np

from cnn_jax.errors import UserError
from cnn_jax.training.parallel import fetch, place

State = TypeVar("State")

KEPT = 2
SPARE_BYTES = 200_000  # Orbax's own files


class Checkpoints:
    """The checkpoints in one directory."""

    def __init__(self, directory: Path, *, read_only: bool = False) -> None:
        """Open or create ``directory``; unless ``read_only``, a killed save is swept up."""
        import orbax.checkpoint as ocp

        self._ocp = ocp
        logging.getLogger("absl").setLevel(logging.CRITICAL)
        self._directory = directory
        self._unreadable: set[int] = set()
        self._manager = ocp.CheckpointManager(
            directory.absolute(),
            options=ocp.CheckpointManagerOptions(
                max_to_keep=None if read_only else KEPT,
                enable_async_checkpointing=False,
                create=not read_only,
                read_only=read_only,
            ),
        )

    def save(self, step: int, state: Any) -> None:
        """Write ``state`` as the checkpoint of ``step``; waits for the disk.

        Raises:
            UserError: the disk does not take it.
        """
        if step in self._unreadable:
            self._manager.delete(step)
            self._unreadable.remove(step)
        elif step in self._manager.all_steps():
            return
        # NumPy arrays: Orbax then needs half the time that device arrays take.
        arrays = fetch(state)
        self._check_room(arrays)
        try:
            self._manager.save(step, args=self._ocp.args.StandardSave(arrays))
        except Exception as error:
            reason = str(error).strip().splitlines()[0] if str(error) else repr(error)
            raise UserError(
                f"cannot write the checkpoint of step {step} to {self._directory}: {reason}"
            ) from error

    def _check_room(self, arrays: Any) -> None:
        """Refuse before Orbax's threads do so, each with a traceback of its own."""
        needed = sum(leaf.nbytes for leaf in jax.tree.leaves(arrays)) + SPARE_BYTES
        free = shutil.disk_usage(self._directory).free
        if free < needed:
            raise UserError(
                f"cannot write a checkpoint of {needed:,} bytes to {self._directory}: the "
                f"disk has {free:,} left; make room and give the same command again"
            )

    def restore(self, like: State) -> tuple[State | None, list[str]]:
        """Return the newest readable state, and one line for each unreadable one.

        Args:
            like: a state, or shapes and dtypes of one.
        """
        problems = []
        target = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), like)
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                restored = self._manager.restore(
                    step, args=self._ocp.args.StandardRestore(target)
                )
            except Exception as error:
                reason = str(error).strip().splitlines()[0] if str(error) else repr(error)
                problems.append(f"the checkpoint of step {step} is not readable ({reason})")
                self._unreadable.add(step)
                continue
            return place(restored), problems
        return None, problems

    def close(self) -> None:
        """Release the directory."""
        self._manager.close()


@contextlib.contextmanager
def open_checkpoints(directory: Path, *, read_only: bool = False) -> Iterator[Checkpoints]:
    """Open the checkpoints in ``directory`` and close them at the end."""
    checkpoints = Checkpoints(directory, read_only=read_only)
    try:
        yield checkpoints
    finally:
        checkpoints.close()
