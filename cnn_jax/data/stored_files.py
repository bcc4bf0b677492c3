"""Encoded image files that are read one at a time, from a folder, an archive or memory."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import IO, NamedTuple

import numpy as np

from cnn_jax.data.decoding import ImageFile
from cnn_jax.errors import UserError


class Stretch(NamedTuple):
    """Bytes that lie in a file on disk."""

    path: str
    offset: int
    size: int


Stored = bytes | Stretch
"""The content of a file: in memory, or where it lies."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredFiles:
    """Many encoded files, in columns, so that a million of them are cheap to hand on.

    It can be pickled, and it may be read from several threads and processes: no file is
    held open.

    Attributes:
        where: what stands before a name in a message; without an archive or contents, the
            files lie there.
        names: UTF-8 bytes [N].
        sizes: bytes of each file, int64 [N].
        archive: file in which all of them lie; None for files of their own.
        offsets: in the archive, int64 [N].
        contents: of files that are in memory.
    """

    where: str
    names: np.ndarray
    sizes: np.ndarray
    archive: str | None = None
    offsets: np.ndarray | None = None
    contents: tuple[bytes, ...] | None = None

    def __len__(self) -> int:
        """Return how many files there are."""
        return len(self.names)

    def read(self, position: int) -> ImageFile:
        """Return one file, encoded.

        Raises:
            UserError: it can't be read any more.
        """
        called = self.where + self.name(position)
        if self.contents is not None:
            return ImageFile(called, self.contents[position])
        size = int(self.sizes[position])
        if self.archive is None or self.offsets is None:
            return ImageFile(called, read_stored(Stretch(called, 0, size)))
        place = Stretch(self.archive, int(self.offsets[position]), size)
        return ImageFile(called, read_stored(place))

    def name(self, position: int) -> str:
        """Return the name of one file, e.g. ``"cat/0.png"``."""
        return bytes(self.names[position]).decode("utf-8", "surrogateescape")

    def take(self, positions: np.ndarray) -> "StoredFiles":
        """Return some of the files; ``positions`` are numbers, or bool [N]."""
        chosen = np.arange(len(self))[positions]
        return replace(
            self,
            names=self.names[chosen],
            sizes=self.sizes[chosen],
            offsets=None if self.offsets is None else self.offsets[chosen],
            contents=self.contents and tuple(self.contents[i] for i in chosen),
        )


def stored_files(where: str, files: Iterable[tuple[str, Stored]]) -> StoredFiles:
    """Put named contents into columns.

    Args:
        where: what stands before each name in a message.
        files: (name, content); all are of one kind: in memory, stretches of one archive,
            or files of their own, which are called ``where`` + name.
    """
    named = list(files)
    names = [name.encode("utf-8", "surrogateescape") for name, _ in named]
    contents = [content for _, content in named]
    in_memory = tuple(c for c in contents if isinstance(c, bytes))
    places = [c for c in contents if isinstance(c, Stretch)]
    archive = places[0].path if len({place.path for place in places}) == 1 else None
    return StoredFiles(
        where=where,
        names=np.array(names, np.bytes_) if names else np.zeros(0, "S1"),
        sizes=np.array([_size(content) for content in contents], np.int64),
        archive=archive,
        offsets=np.array([p.offset for p in places], np.int64) if archive else None,
        contents=in_memory or None,
    )


def read_stored(content: Stored) -> bytes:
    """Return a content that may lie on disk.

    Raises:
        UserError: the file can't be read, or is shorter than it was.
    """
    if isinstance(content, bytes):
        return content
    try:
        with open(content.path, "rb", buffering=0) as file:
            found = read_at(file, content.offset, content.size)
    except OSError as error:
        raise UserError(f"{content.path} can't be read: {error.strerror}") from None
    if len(found) < content.size:
        raise UserError(f"{content.path} is shorter than it was when it was opened")
    return found


def read_at(file: IO[bytes], position: int, count: int) -> bytes:
    """Return ``count`` bytes from a position of an open file, fewer where it ends."""
    file.seek(position)
    pieces = []
    while count > 0 and (piece := file.read(count)):  # a raw file may give less at once
        pieces.append(piece)
        count -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _size(content: Stored) -> int:
    return len(content) if isinstance(content, bytes) else content.size
