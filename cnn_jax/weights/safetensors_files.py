"""Read and write safetensors files.

Reading is left to the ``safetensors`` library. Its writer copies memory as it lies, also
that of a transposed array, and puts metadata in an order that changes from run to run; so a
file is written here: the length of the header in 64 bits, the header as JSON, the elements.

Source: safetensors, README, "Format".
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from cnn_jax.errors import UserError
from cnn_jax.weights.atomic_file import open_atomically
from cnn_jax.weights.file_kinds import open_file

DTYPES: Mapping[np.dtype[Any], str] = {
    np.dtype("float64"): "F64",
    np.dtype("float32"): "F32",
    np.dtype("float16"): "F16",
    np.dtype(jnp.bfloat16): "BF16",
    np.dtype("int64"): "I64",
    np.dtype("int32"): "I32",
    np.dtype("int16"): "I16",
    np.dtype("int8"): "I8",
    np.dtype("uint64"): "U64",
    np.dtype("uint32"): "U32",
    np.dtype("uint16"): "U16",
    np.dtype("uint8"): "U8",
    np.dtype("bool"): "BOOL",
}
"""The name in the header of each type that can be written."""

_ALIGNMENT = 8  # bytes, of the first element; larger types come first


def read_safetensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the arrays of a file by name, sorted, and its metadata.

    Raises:
        UserError: the library is missing, the file can't be read, is truncated or damaged,
            or has a type that NumPy hasn't.
    """
    try:
        import safetensors
    except ImportError:
        raise UserError(
            f"{path} is read with safetensors; pip install 'cnn_jax[weights]'"
        ) from None
    open_file(path).close()
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in sorted(file.keys())}
            return arrays, dict(file.metadata() or {})
    except (safetensors.SafetensorError, OSError, TypeError, AttributeError) as error:
        reason = str(error).replace("\n", " ")
        raise UserError(f"{path} can't be read: {reason}") from None


def write_safetensors(
    path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> None:
    """Write arrays and metadata, atomically; the same content gives the same bytes.

    Args:
        path: of the file.
        arrays: by name; one at a time is copied.
        metadata: strings only, as the format wants.

    Raises:
        UserError: the file can't be written.
        ValueError: an array is of a type that is not in ``DTYPES``, is called
            ``__metadata__``, or metadata are no strings.
    """
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    if not all(isinstance(item, str) for pair in metadata.items() for item in pair):
        raise ValueError(f"metadata are strings, not {dict(metadata)!r}")
    # In this order every element is aligned.
    names = sorted(arrays, key=lambda name: (-np.dtype(arrays[name].dtype).itemsize, name))
    position = 0
    for name in names:
        array = arrays[name]
        dtype = DTYPES.get(np.dtype(array.dtype).newbyteorder("="))
        if dtype is None or name == "__metadata__":
            allowed = ", ".join(str(dtype) for dtype in DTYPES)
            raise ValueError(f"{name} is {array.dtype}; a safetensors file has {allowed}")
        end = position + array.nbytes
        header[name] = {
            "dtype": dtype,
            "shape": list(array.shape),
            "data_offsets": [position, end],
        }
        position = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    with open_atomically(path) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            array = np.asarray(arrays[name])
            little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            file.write(little.reshape(-1).view(np.uint8).data)
