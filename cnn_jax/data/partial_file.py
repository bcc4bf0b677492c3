"""A file that is fetched in pieces, and the note of where its first piece came from."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from cnn_jax.errors import UserError


@contextlib.contextmanager
def open_part(path: Path) -> Iterator[IO[bytes]]:
    """Open a partial file at its end; no other process writes it meanwhile.

    Raises:
        UserError: another process is writing it.
    """
    import fcntl

    with path.open("a+b") as storage:
        try:
            fcntl.flock(storage, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{path} is being fetched by another process") from None
        storage.seek(0, os.SEEK_END)
        yield storage


def begin_anew(storage: IO[bytes]) -> int:
    """Forget what is there, and return how many bytes are: 0."""
    storage.truncate(0)
    return 0


def origin_of(path: Path) -> Path:
    """Return where the note about a partial file lies."""
    return path.with_name(f"{path.name}-from")


def remember(origin: Path, url: str, headers: Mapping[str, str]) -> None:
    """Note the address, and the version that the server gives the content, if any.

    A weak ETag may stand for several contents (RFC 9110, 13.1.5); then the date counts.
    """
    tag = headers.get("ETag") or ""
    strong = tag and not tag.startswith("W/")
    version = tag if strong else headers.get("Last-Modified") or ""
    origin.write_text(f"{url}\n{version}\n", encoding="utf-8")


def validator_of(origin: Path, url: str) -> str:
    """Return the noted version; "" for another address, where it means nothing."""
    try:
        noted = origin.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return noted[1] if len(noted) > 1 and noted[0] == url else ""
