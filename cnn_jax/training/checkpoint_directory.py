"""The names in a directory of checkpoints; each change is one rename.

```
<step>            a complete checkpoint
<step>.writing    one that is being written
<step>.deleting   one that is being deleted
```

A kill leaves the last two as they are; nobody reads them, the next writer sweeps them up.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from cnn_jax.errors import UserError

WRITING = ".writing"
DELETING = ".deleting"
SPARE_BYTES = 200_000  # of Orbax itself


def step_path(directory: Path, step: int) -> Path:
    """Return where the checkpoint of ``step`` is, if there is one."""
    return directory / str(step)


def complete_steps(directory: Path) -> list[int]:
    """Return the steps that have a complete checkpoint, in order."""
    if not directory.is_dir():
        return []
    names = (path.name for path in directory.iterdir())
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


@contextlib.contextmanager
def new_checkpoint(directory: Path, step: int) -> Iterator[Path]:
    """Give a path to write to; what lies there at the end becomes the checkpoint.

    After an error nothing of it stays, and a checkpoint of that step that was there before
    stays as it was.
    """
    writing = directory / f"{step}{WRITING}"
    try:
        yield writing
    except BaseException:
        shutil.rmtree(writing, ignore_errors=True)  # it may fill the disk
        raise
    if step_path(directory, step).exists():
        remove_checkpoint(directory, step)
    writing.rename(step_path(directory, step))
    sync_directory(directory)


def remove_checkpoint(directory: Path, step: int) -> None:
    """Take the name away first, so that a kill leaves no half of a checkpoint."""
    deleting = directory / f"{step}{DELETING}"
    step_path(directory, step).rename(deleting)
    # What a network file system still holds open goes with the next sweep.
    shutil.rmtree(deleting, ignore_errors=True)


def check_room(directory: Path, array_bytes: int) -> None:
    """Refuse before the writing threads do so, each with a traceback of its own.

    Args:
        directory: of the checkpoints.
        array_bytes: of the arrays that are to be written.

    Raises:
        UserError: the disk is too full, or ``directory`` is gone.
    """
    needed = array_bytes + SPARE_BYTES
    try:
        free = shutil.disk_usage(directory).free
    except FileNotFoundError as error:
        raise UserError(f"cannot write a checkpoint: {directory} was removed") from error
    if free < needed:
        raise UserError(
            f"cannot write a checkpoint of {needed:,} bytes to {directory}: the disk has "
            f"{free:,} left; make room and give the same command again"
        )


def sweep(directory: Path) -> None:
    """Remove what a kill has left."""
    for path in directory.iterdir():
        if path.suffix in (WRITING, DELETING):
            shutil.rmtree(path, ignore_errors=True)


def sync_directory(path: Path) -> None:
    """Bring a directory's entries to the disk, so that a power cut keeps their order."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
