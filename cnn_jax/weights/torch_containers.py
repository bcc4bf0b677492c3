"""The two containers of ``torch.save``: a zip archive, and pickles one after another.

zip (torch 1.6 and later)
    Everything stored as it is. ``NAME/data.pkl`` describes the tensors, ``NAME/data/KEY``
    has the elements of one storage, ``NAME/byteorder`` their byte order.
legacy
    A magic number, the version 1001, facts about the machine, the description of the
    tensors, the keys of the storages, each a pickle; then, in the order of the keys, the
    number of elements in 64 bits and the elements. All numbers are little-endian.

Nothing is ever written to disk, and no more memory is taken than the file is long.

Source: PyTorch 2.13, ``torch/serialization.py`` (``_save``, ``_load``, ``_legacy_save``,
    ``_legacy_load``), ``torch/csrc/StorageMethods.cpp``.
"""

import contextlib
import io
import os
import struct
import zipfile
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from cnn_jax.weights.torch_pickle import MAX_BYTES, Pickle, load_pickle
from cnn_jax.weights.torch_tensors import Storage, UnreadableError, shown

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_VERSION = 1001

ENCRYPTED = 1  # a member's flag
_NAMES_SHOWN = 3


class ZipContainer:
    """The zip format."""

    def __init__(self, file: io.BufferedReader) -> None:
        """Read the directory and the description.

        Raises:
            UnreadableError: it is no such archive, or truncated or damaged.
        """
        with _zip_errors():
            self._archive = zipfile.ZipFile(file)
            members = self._archive.infolist()
        self._root = _root([member.filename for member in members])
        _check(members, _size(file))
        self._members = {member.filename: member for member in members}
        order = self._member("byteorder") if self._has("byteorder") else b"little"
        if order not in (b"little", b"big"):
            raise UnreadableError(f"its byte order is {order[:20]!r}")
        self.byte_order: Literal["little", "big"] = "big" if order == b"big" else "little"
        if self._members[f"{self._root}/data.pkl"].file_size > MAX_BYTES:
            raise UnreadableError(f"its pickle is longer than {MAX_BYTES} bytes")
        self.value = load_pickle(self._member("data.pkl")).value

    def read(self, storage: Storage) -> np.ndarray:
        """Return the bytes of a storage, uint8.

        Raises:
            UnreadableError: it is missing, damaged, or of another size.
        """
        name = f"data/{storage.key}"
        if not self._has(name):
            raise UnreadableError(f"it is damaged: it has no {shown(name)}")
        content = self._member(name)
        if len(content) != storage.nbytes:
            raise UnreadableError(f"it is damaged: {shown(name)} has {len(content)} bytes")
        return np.frombuffer(content, np.uint8)

    def _has(self, name: str) -> bool:
        return f"{self._root}/{name}" in self._members

    def _member(self, name: str) -> bytes:
        with _zip_errors():
            return self._archive.read(self._members[f"{self._root}/{name}"])


class LegacyContainer:
    """The format before torch 1.6."""

    byte_order: Literal["little", "big"] = "little"

    def __init__(self, file: io.BufferedReader) -> None:
        """Read the description and find the storages.

        Raises:
            UnreadableError: it is no such file, or truncated or damaged.
        """
        self._file = file
        self._end = _size(file)
        self._position = 0
        if self._pickle().value != LEGACY_MAGIC:
            raise UnreadableError("it is a pickle, but not one of torch.save")
        version = self._pickle().value
        if version != LEGACY_VERSION:
            raise UnreadableError(f"its version is not {LEGACY_VERSION}")
        self._pickle()  # facts about the machine; the storages don't depend on them
        described = self._pickle()
        self.value = described.value
        self._starts = self._find_storages(self._pickle().value, described.storages)

    def read(self, storage: Storage) -> np.ndarray:
        """Return the bytes of a storage, uint8."""
        content = np.zeros(storage.nbytes, np.uint8)
        self._file.seek(self._starts[storage.key])
        self._file.readinto(content.data)
        return content

    def _pickle(self) -> Pickle:
        self._file.seek(self._position)
        read = load_pickle(self._file.read(MAX_BYTES))
        self._position += read.length
        return read

    def _find_storages(self, keys: Any, storages: dict[str, Storage]) -> dict[str, int]:
        """Return where the elements of each storage begin."""
        if type(keys) is not list or not all(type(key) is str for key in keys):
            raise UnreadableError("it is damaged: the keys of its storages")
        if len(keys) != len(storages) or set(keys) != set(storages):
            raise UnreadableError("it is damaged: the keys are not those of its storages")
        starts = {}
        for key in keys:
            start = self._position + 8
            self._file.seek(self._position)
            count = self._file.read(8)
            if start + storages[key].nbytes > self._end:
                raise UnreadableError(
                    f"it is truncated: storage {shown(key)} reaches beyond its end, byte "
                    f"{self._end}"
                )
            if int.from_bytes(count, "little", signed=True) != storages[key].elements:
                raise UnreadableError(f"it is damaged: the size of storage {shown(key)}")
            starts[key] = start
            self._position = start + storages[key].nbytes
        if self._position != self._end:
            raise UnreadableError(
                f"it is damaged: it goes on behind its last storage, byte {self._position}"
            )
        return starts


def _size(file: io.BufferedReader) -> int:
    return os.fstat(file.fileno()).st_size


def _root(names: list[str]) -> str:
    """Return the folder in which an archive of ``torch.save`` has everything."""
    roots = [
        name.removesuffix("/data.pkl")
        for name in names
        if name.endswith("/data.pkl") and name.count("/") == 1
    ]
    if len(roots) == 1 and f"{roots[0]}/constants.pkl" in names:
        raise UnreadableError(
            "it is a TorchScript program, not a file of tensors; load it with torch and "
            "save its state_dict()"
        )
    if len(roots) == 1:
        return roots[0]
    if "model.weights.h5" in names:
        raise UnreadableError(
            "it is a whole Keras model; unpack model.weights.h5 from it and read that"
        )
    if names and all(name.endswith(".npy") for name in names):
        raise UnreadableError("it is a NumPy archive")
    inside = ", ".join(map(shown, names[:_NAMES_SHOWN])) or "nothing"
    raise UnreadableError(f"it is a zip archive of something else (it holds {inside})")


def _check(members: list[zipfile.ZipInfo], size: int) -> None:
    """Refuse members that could be larger together than the file, or mean two things."""
    if len({member.filename for member in members}) != len(members):
        raise UnreadableError("it is damaged: two members of its archive have one name")
    if any(member.flag_bits & ENCRYPTED for member in members):
        raise UnreadableError("its archive is encrypted")
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise UnreadableError(
            "its archive is packed; torch.save stores everything as it is"
        )
    if sum(member.file_size for member in members) > size:
        raise UnreadableError("it is damaged: its members are larger than the file")


@contextlib.contextmanager
def _zip_errors() -> Iterator[None]:
    """Turn what ``zipfile`` raises for a damaged archive into one error."""
    try:
        yield
    except (
        zipfile.BadZipFile,  # a wrong check sum too
        EOFError,
        LookupError,
        NotImplementedError,
        OSError,
        OverflowError,
        RuntimeError,
        ValueError,
        struct.error,
    ) as error:
        reason = shown(str(error)) or type(error).__name__
        raise UnreadableError(f"it is truncated or damaged: {reason}") from None
