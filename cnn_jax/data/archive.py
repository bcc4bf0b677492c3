"""Read a tar archive: a plain one where it lies, one packed with gzip or xz into memory.

Nothing is ever written to disk, and an archive with anything but plain files and folders
with relative names is refused before any of it is used.
"""

import contextlib
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from cnn_jax.data.stored_files import Stored, Stretch, read_at
from cnn_jax.data.tar_format import (
    BLOCK,
    SPARSE,
    DamagedError,
    ReadBytes,
    is_header,
    members,
)
from cnn_jax.errors import UserError

GZIP_MAGIC = b"\x1f\x8b"
XZ_MAGIC = b"\xfd7zXZ\x00"

FILE_KINDS = (b"0", b"\0", b"7")
FOLDER = b"5"
REFUSED = {
    b"1": "the hard link",
    b"2": "the symbolic link",
    b"3": "the device",
    b"4": "the device",
    b"6": "the named pipe",
    SPARSE: "the sparse file",
}

Parts = tuple[str, ...]
"""A relative path, one string for each folder and one for the file."""


def is_archive(path: Path) -> bool:
    """Tell whether a file's content begins like a tar archive, packed or not."""
    try:
        with _unpacking(path) as file:
            return is_header(file.read(BLOCK))
    except (OSError, EOFError, zlib.error, DamagedError):
        return False


def first_file(path: Path) -> Parts | None:
    """Return the path of the first file in a tar archive, unpacking hardly more.

    None where that can't be told: no archive, a damaged or an empty one.
    """
    try:
        with _unpacking(path) as file:
            for name, kind, _, _ in members(lambda p, n: read_at(file, p, n), None):
                if kind in FILE_KINDS and not name.endswith("/"):
                    return _parts(name)
    except (OSError, EOFError, zlib.error, DamagedError):
        pass
    return None


def read_archive(path: Path) -> dict[Parts, Stored | None]:
    """Return what a tar archive holds by path; None stands for a folder.

    The files of a plain archive stay where they are (``Stretch``), those of a packed one
    are unpacked into memory (``bytes``). A path that comes twice has its last content, as
    after unpacking.

    Raises:
        UserError: the file can't be read, is no tar archive, is truncated or damaged, or
            has a member that is absolute, leads out by ``..``, or is neither a plain file
            nor a folder.
    """
    try:
        content = _unpacked(path)
        if content is None:
            return read_inner_archive(Stretch(str(path), 0, path.stat().st_size))
        places = _places(lambda p, n: content[p : p + n], len(content), str(path))
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from None
    except DamagedError as error:
        raise _damaged(str(path), error) from None
    return {
        parts: place and content[place.offset : place.offset + place.size]
        for parts, place in places.items()
    }


def read_inner_archive(
    place: Stretch, called: str | None = None
) -> dict[Parts, Stored | None]:
    """Return what a plain tar archive holds that lies in a file, or in another archive.

    Args:
        place: where it lies.
        called: what to call it in messages; None for the path of the file.

    Raises:
        UserError: as ``read_archive`` does.
    """
    called = called or place.path
    try:
        with open(place.path, "rb") as file:

            def read(position: int, count: int) -> bytes:
                count = min(count, place.size - position)
                return read_at(file, place.offset + position, count)

            found = _places(read, place.size, called)
    except OSError as error:
        raise UserError(f"{place.path} can't be read: {error.strerror}") from None
    except DamagedError as error:
        raise _damaged(called, error) from None
    return {
        parts: inner and Stretch(place.path, place.offset + inner.offset, inner.size)
        for parts, inner in found.items()
    }


def _places(read: ReadBytes, length: int, called: str) -> dict[Parts, Stretch | None]:
    places: dict[Parts, Stretch | None] = {}
    for name, kind, offset, size in members(read, length):
        _check(name, kind, called)
        if parts := _parts(name):
            folder = kind == FOLDER or name.endswith("/")
            places[parts] = None if folder else Stretch(called, offset, size)
    return places


def _parts(name: str) -> Parts:
    return tuple(part for part in name.split("/") if part not in ("", "."))


def _damaged(path: str, error: DamagedError) -> UserError:
    return UserError(
        f"{path} is truncated or damaged, or no tar archive (expected a whole .tar,"
        f" .tar.gz or .tar.xz): {error}"
    )


def _unpacked(path: Path) -> bytes | None:
    """Return the content of a packed archive, None for one that is not packed."""
    with path.open("rb") as file:
        start = file.read(len(XZ_MAGIC))
    if start.startswith(GZIP_MAGIC):
        try:
            return gzip.decompress(path.read_bytes())
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DamagedError(f"gzip: {error}") from None
    if start.startswith(XZ_MAGIC):
        try:
            import lzma
        except ImportError:
            raise UserError(f"{path}: this Python can't read xz; unpack it first") from None
        try:
            return lzma.decompress(path.read_bytes())
        except (EOFError, lzma.LZMAError) as error:
            raise DamagedError(f"xz: {error}") from None
    return None


@contextlib.contextmanager
def _unpacking(path: Path) -> Iterator[IO[bytes]]:
    """Open a file so that it is unpacked, if it is packed, as far as it is read."""
    with path.open("rb") as file:
        start = file.read(len(XZ_MAGIC))
        file.seek(0)
        if start.startswith(GZIP_MAGIC):
            with gzip.open(file) as unpacked:
                yield unpacked  # type: ignore[misc]
        elif start.startswith(XZ_MAGIC):
            import lzma

            try:
                with lzma.open(file) as unpacked:
                    yield unpacked
            except lzma.LZMAError as error:
                raise DamagedError(str(error)) from None
        else:
            yield file


def _check(name: str, kind: bytes, path: str) -> None:
    if name.startswith("/"):
        problem = "the absolute name"
    elif ".." in name.split("/"):
        problem = "the name with '..'"
    elif kind not in (*FILE_KINDS, FOLDER):
        problem = REFUSED.get(kind, f"the member of unknown type {kind!r}")
    else:
        return
    raise UserError(
        f"{path} is refused because of {problem} {name!r}; only plain files and folders"
        " with relative names are read"
    )
