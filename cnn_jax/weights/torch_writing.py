"""Write a ``state_dict`` that ``torch.load(path, weights_only=True)`` opens, without torch.

The zip format of ``torch_containers``; the same arrays in the same order give the same
bytes.

Source: PyTorch 2.13, ``torch/serialization.py`` (``_save``), ``torch/_utils.py``
    (``_rebuild_tensor_v2``), ``caffe2/serialize/inline_container.h`` (the records and their
    alignment).
"""

import struct
import zipfile
from collections.abc import Mapping
from itertools import accumulate
from operator import mul
from pathlib import Path
from typing import BinaryIO

import numpy as np

from cnn_jax.weights.atomic_file import open_atomically
from cnn_jax.weights.torch_tensors import STORAGES

STORAGE_TYPES = {
    dtype: kind for kind, dtype in STORAGES.items() if kind != "UntypedStorage"
}
"""torch's type of storage for each of NumPy's types that can be written."""

ROOT = "archive"
ALIGNMENT = 64  # bytes; torch maps storages into memory as they stand in the file
VERSION = b"3\n"  # of the format; torch refuses an archive without it

_LOCAL_HEADER = 30  # bytes in front of a member's name
_EXTRA_HEAD, _ZIP64_EXTRA = 4, 20
_ZIP64 = 1 << 31


def write_torch(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as a torch ``state_dict``, in their order, atomically.

    Args:
        path: of the file; the usual extension is ``.pth``.
        arrays: by torch's names; in torch's layout. One array at a time is copied.

    Raises:
        UserError: the file can't be written.
        ValueError: there is no array, or one of a type that is not in ``STORAGE_TYPES``.
    """
    if not arrays:
        raise ValueError("there are no arrays to write")
    pickled = _pickled(arrays)
    with open_atomically(path) as file, zipfile.ZipFile(file, "w") as archive:
        _write(archive, file, "data.pkl", pickled)
        _write(archive, file, "byteorder", b"little")
        for number, array in enumerate(arrays.values()):
            _write(archive, file, f"data/{number}", _little_endian(np.asarray(array)))
        _write(archive, file, "version", VERSION)


def _little_endian(array: np.ndarray) -> memoryview:
    array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return array.reshape(-1).view(np.uint8).data


def _write(
    archive: zipfile.ZipFile, file: BinaryIO, name: str, content: bytes | memoryview
) -> None:
    """Add a member whose content begins at a multiple of ``ALIGNMENT``."""
    member = zipfile.ZipInfo(f"{ROOT}/{name}")  # its date is 1980: the same bytes each time
    member.create_system = 0
    large = len(content) >= _ZIP64
    start = file.tell() + _LOCAL_HEADER + len(member.filename) + _EXTRA_HEAD
    padding = -(start + large * _ZIP64_EXTRA) % ALIGNMENT
    member.extra = struct.pack("<2sH", b"FB", padding) + bytes(padding)
    with archive.open(member, "w", force_zip64=large) as stream:
        stream.write(content)


def _pickled(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return the pickle of an OrderedDict of tensors, one storage for each.

    It is assembled here, instruction by instruction, because Python's pickler wants the
    functions that a pickle names to exist.
    """
    items = b"".join(
        _text(name) + _tensor(array, number, name)
        for number, (name, array) in enumerate(arrays.items())
    )
    return b"\x80\x02" + _ordered_dict() + b"(" + items + b"u."


def _tensor(array: np.ndarray, number: int, name: str) -> bytes:
    kind = STORAGE_TYPES.get(np.dtype(array.dtype).newbyteorder("="))
    if kind is None:
        allowed = ", ".join(str(dtype) for dtype in STORAGE_TYPES)
        raise ValueError(f"{name} is {array.dtype}; a torch file has {allowed}")
    strides = tuple(accumulate(array.shape[:0:-1], mul, initial=1))[::-1]
    storage = _tuple(
        _text("storage"),
        _global("torch", kind),
        _text(str(number)),
        _text("cpu"),
        _integer(array.size),
    )
    arguments = _tuple(
        storage + b"Q",
        _integer(0),
        _tuple(*map(_integer, array.shape)),
        _tuple(*map(_integer, strides[: array.ndim])),
        b"\x89",  # requires_grad=False
        _ordered_dict(),  # no hooks
    )
    return _global("torch._utils", "_rebuild_tensor_v2") + arguments + b"R"


def _global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def _ordered_dict() -> bytes:
    return _global("collections", "OrderedDict") + b")R"


def _tuple(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def _text(text: str) -> bytes:
    encoded = text.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def _integer(value: int) -> bytes:
    if value < 1 << 31:
        return b"J" + struct.pack("<i", value)
    return b"\x8a\x08" + struct.pack("<q", value)
