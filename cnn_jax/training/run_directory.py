"""A run's directory: whose it is, who works in it, and what a kill cannot spoil.

manifest.json    what is run here; written first
metrics.jsonl    one line an epoch
attempts.jsonl   one line each time the run was started
checkpoints/     the newest states, and the best
result.json      written last; a directory that has it is never opened again
"""

import contextlib
import errno
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cnn_jax.errors import UserError


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that a kill leaves the old content or the new, never a part."""
    # One name, so that what a kill leaves behind is overwritten by the next attempt.
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write ``value`` as indented JSON, atomically."""
    write_atomically(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the content of a JSON file, None if there is no such file.

    Raises:
        UserError: the file is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UserError(f"{path} is not readable JSON: {error}") from None


def make_directory(directory: Path) -> None:
    """Create a directory and check that it can be written.

    Raises:
        UserError: it is a file, read-only, or the disk is full.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory) as probe:
            probe.write(b"0" * 4096)
            probe.flush()
    except OSError as error:
        raise cannot_write(directory, error) from None


def cannot_write(path: Path, error: OSError) -> UserError:
    """Return the error for a place that takes no data, with the reason in words."""
    reasons = {
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "the disk quota is used up",
        errno.EROFS: "the file system is read-only",
        errno.EACCES: "permission denied",
        errno.EPERM: "permission denied",
        errno.EEXIST: "it is a file, not a directory",
        errno.ENOTDIR: "a part of the path is a file, not a directory",
    }
    reason = reasons.get(error.errno or 0, error.strerror or str(error))
    return UserError(f"cannot write to {path}: {reason}; choose another place with --out")


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold a directory for this process; released even by a kill.

    Raises:
        UserError: another process works there.
    """
    path = directory / ".lock"
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise cannot_write(directory, error) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(
                f"{directory} is in use by another run; wait for it, or choose another "
                f"place with --out"
            ) from None
        yield
    finally:
        os.close(handle)


class StepCounter:
    """Counts the steps executed over all attempts, exactly, through any kill.

    The count is written over itself with one system call a dispatch (about a
    microsecond); what has reached the kernel survives the process.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the file at ``path``."""
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self.executed = int(os.read(self._handle, 32) or b"0")

    def add(self, steps: int) -> None:
        """Count ``steps`` more."""
        self.executed += steps
        os.pwrite(self._handle, b"%020d\n" % self.executed, 0)

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)
