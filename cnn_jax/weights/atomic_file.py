"""Write a large file piece by piece so that a kill leaves the old file or the new one."""

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

from cnn_jax.errors import UserError


@contextlib.contextmanager
def open_atomically(path: Path) -> Iterator[io.BufferedWriter]:
    """Open a file for writing that takes the place of ``path`` when the block ends well.

    ``training.run_directory.write_atomically`` is for content that is in memory already.

    Raises:
        UserError: the file can't be written; what was there before is still there.
    """
    # One name, so that what a kill leaves behind is overwritten by the next attempt.
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise UserError(f"cannot write {path}: {error.strerror}") from None
        raise
