"""Decoded images on a disk, so that later epochs need no decoding.

DIR/KEY/
  train-00000.u8    uint8 [rows, H, W, C] as it lies in memory: ``np.memmap`` reads it
  train-00001.u8    every file of a split has ``rows_per_file`` images, but the last
  train.json        what they are; written when all of them are there

KEY is of all that decides on the pixels: the dataset's fingerprint, the subset, the size
and the decoder. A file appears under its name only when it is whole, so that what was
interrupted goes on with the files that are missing.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnn_jax.data.dataset import Pictures
from cnn_jax.errors import UserError
from cnn_jax.types import ImageShape

FILE_BYTES = 2**30
FORMAT = 1


class CacheKey(NamedTuple):
    """What decides on the pixels.

    Attributes:
        fingerprint: of the dataset.
        train_examples: size of the subset of the training split; None for all of it.
        shape: height, width, channels.
        decoder: name and version of what decodes.
    """

    fingerprint: str
    train_examples: int | None
    shape: ImageShape
    decoder: str


class CachedSplit:
    """The files of one split.

    Attributes:
        examples: in the split.
        rows_per_file: images in every file but the last.
    """

    def __init__(self, root: Path, key: CacheKey, split: str, examples: int) -> None:
        """Name the files of ``split`` under ``root``; nothing is read or written."""
        digest = hashlib.sha256(json.dumps([FORMAT, *key]).encode()).hexdigest()
        self._directory, self._split, self._key = root / digest[:16], split, key
        self.examples = examples
        self.rows_per_file = max(1, FILE_BYTES // self._image_bytes)

    @property
    def _image_bytes(self) -> int:
        return int(np.prod(self._key.shape))

    @property
    def _index(self) -> dict[str, Any]:
        told = {"format": FORMAT, "split": self._split, "examples": self.examples}
        return told | {"rows_per_file": self.rows_per_file} | self._key._asdict()

    def _file(self, number: int) -> Path:
        return self._directory / f"{self._split}-{number:05}.u8"

    def files(self) -> Iterator[tuple[int, int, int]]:
        """Yield number, first example and one past the last example of every file."""
        for number, first in enumerate(range(0, self.examples, self.rows_per_file)):
            yield number, first, min(first + self.rows_per_file, self.examples)

    def missing(self) -> list[tuple[int, int, int]]:
        """Return those of ``files`` that are not there or not whole."""

        def size(number: int) -> int:
            with contextlib.suppress(OSError):
                return self._file(number).stat().st_size
            return -1

        return [
            (number, first, end)
            for number, first, end in self.files()
            if size(number) != (end - first) * self._image_bytes
        ]

    @contextlib.contextmanager
    def alone(self, wait: Callable[[], None]) -> Iterator[None]:
        """Let no other process write this split at the same time.

        Args:
            wait: is called if another one does, before this one waits for it.

        Raises:
            UserError: nothing can be written there.
        """
        with self._writing():
            self._directory.mkdir(parents=True, exist_ok=True)
            lock = (self._directory / f".{self._split}.lock").open("wb")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                wait()
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def check_room(self) -> None:
        """Refuse to begin what the disk can't hold.

        Raises:
            UserError: with what is needed and what is free.
        """
        needed = sum(end - first for _, first, end in self.missing()) * self._image_bytes
        free = shutil.disk_usage(self._directory).free
        if needed > free:
            raise UserError(
                f"--cache {self._directory.parent}: the decoded images of {self._split} "
                f"need {needed / 2**30:.1f} GiB more, and {free / 2**30:.1f} GiB are free"
            )

    def write(
        self,
        number: int,
        blocks: Iterable[np.ndarray],
        written: Callable[[int], None],
    ) -> None:
        """Write one file.

        Args:
            number: of the file.
            blocks: its images in order, uint8 [n, H, W, C].
            written: told how many images were written.

        Raises:
            UserError: the disk is full; the files that are whole stay.
        """
        path = self._file(number)
        temporary = path.with_name(f".{path.name}.part")
        try:
            with self._writing(), temporary.open("wb") as file:
                for block in blocks:
                    file.write(np.ascontiguousarray(block).data)
                    written(len(block))
                file.flush()
                os.fsync(file.fileno())
                os.replace(temporary, path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def finish(self) -> None:
        """Write the index, which says that all files are there."""
        path = self._directory / f"{self._split}.json"
        temporary = path.with_name(f".{path.name}.part")
        with self._writing():
            temporary.write_text(json.dumps(self._index, indent=1) + "\n")
            os.replace(temporary, path)

    def pictures(self, original: Pictures) -> Pictures:
        """Return the same pictures, decoded already."""
        files = tuple(str(self._file(number)) for number, _, _ in self.files())
        return original._replace(
            decode=partial(_read_image, files, self.rows_per_file, self._key.shape)
        )

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            reason = "the disk is full" if full else error.strerror or str(error)
            raise UserError(
                f"--cache {self._directory.parent}: cannot write: {reason}; what is whole "
                f"stays, and the same command goes on with the rest"
            ) from None


def _read_image(
    files: tuple[str, ...], rows: int, shape: ImageShape, position: int
) -> np.ndarray:
    # Read, not mapped: mapped pages would count as this process's memory.
    file, row = divmod(position, rows)
    size = int(np.prod(shape))
    image = np.fromfile(files[file], np.uint8, size, offset=row * size)
    return image.reshape(shape)
