"""What a file is, by its first bytes; names and extensions may say anything."""

import io
import re
from pathlib import Path
from typing import Literal

from cnn_jax.data.archive import is_archive
from cnn_jax.errors import UserError

FileKind = Literal["torch", "safetensors", "keras"]

ALLOWED = "weights are read from torch (.pth), safetensors and Keras (.h5) files"

_HEAD = 1024

ZIP = (b"PK\x03\x04", b"PK\x05\x06")
PICKLE = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))

_KNOWN = (
    (
        b"version https://git-lfs",
        "a git-lfs pointer; `git lfs pull` fetches the file",
    ),
    (b"\x93NUMPY", "a NumPy array without a name"),
    (b"\x1f\x8b", "packed with gzip; unpack it first"),
    (b"\xfd7zXZ\x00", "packed with xz; unpack it first"),
    (b"BZh", "packed with bzip2; unpack it first"),
    (b"Rar!", "packed with rar; unpack it first"),
    (b"7z\xbc\xaf", "packed with 7z; unpack it first"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"%PDF", "a PDF document"),
    (b"\x7fELF", "a program"),
)


def open_file(path: Path) -> io.BufferedReader:
    """Open a file for reading.

    Raises:
        UserError: there is none, it is no plain file, it can't be read, or it is empty.
    """
    try:
        if path.is_dir():
            raise UserError(f"{path} is a directory; {ALLOWED}")
        if path.exists() and not path.is_file():
            raise UserError(f"{path} is a device or a pipe; {ALLOWED}")
        file = path.open("rb")
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from None
    if not file.peek(1):
        file.close()
        raise UserError(f"{path} is empty; {ALLOWED}")
    return file


def file_kind(path: Path) -> FileKind:
    """Return which reader a file is for.

    Raises:
        UserError: none; the message says what the file seems to be.
    """
    with open_file(path) as file:
        head = file.read(_HEAD)
    # First, because a header of 640 bytes has the length 0x280, like a pickle's beginning.
    if head[6:9] == b"\0\0{":
        return "safetensors"
    if head.startswith(ZIP + PICKLE):
        return "torch"
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "keras"
    raise UserError(f"{path} is {described(path, head)}; {ALLOWED}")


def described(path: Path, head: bytes) -> str:
    """Say what a file is that no reader takes.

    Args:
        path: of the file.
        head: its first bytes.
    """
    for magic, description in _KNOWN:
        if head.startswith(magic):
            if is_archive(path):
                break
            return description
    if is_archive(path):
        return (
            "a tar archive; unpack it, or, if torch before 0.1.10 wrote it, load it with "
            "torch and save it again"
        )
    asked = re.match(rb"\(?c([\w.]+)\n([\w.]+)\n", head)
    if asked:
        names = ".".join(part.decode("ascii", "replace") for part in asked.groups())
        return f"a pickle that asks for {names}; refused, and nothing was executed"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "a web page, as a failed download leaves it"
    if text.startswith((b"{", b"[")):
        return "JSON"
    return "text" if head.isascii() and b"\0" not in head else "of no known kind"
