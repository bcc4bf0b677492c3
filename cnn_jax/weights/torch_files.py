"""Read the files of ``torch.save`` without torch: tensors only, nothing is executed.

See ``torch_containers`` for the two formats and ``torch_pickle`` for what a description may
hold.
"""

import sys
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.errors import UserError
from cnn_jax.weights.file_kinds import ALLOWED, PICKLE, ZIP, described, open_file
from cnn_jax.weights.torch_containers import (
    LegacyContainer,
    ZipContainer,
)
from cnn_jax.weights.torch_tensors import Tensor, UnreadableError, shown

STATE_DICT_KEYS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "model_ema",
    "state_dict_ema",
    "ema",
    "net",
    "network",
    "weights",
    "params",
)
"""Where training scripts keep a network's tensors beside the optimizer's."""

_KEYS_SHOWN = 10
_LONGEST_EMPTY = 1 << 31


def read_torch(path: Path) -> dict[str, np.ndarray]:
    """Return the tensors of a file of ``torch.save``, by name, in the file's order.

    The file holds a ``state_dict``, or a dict with one under exactly one of
    ``STATE_DICT_KEYS``. Tensors that share a storage share their memory; all are read-only.

    Raises:
        UserError: the file can't be read, is no file of ``torch.save``, is truncated or
            damaged, asks for anything that no file of tensors needs, or holds no
            ``state_dict`` or several. One line; nothing was executed.
    """
    with open_file(path) as file:
        head = file.peek(1024)[:1024]
        try:
            if head.startswith(ZIP):
                return _arrays(ZipContainer(file))
            if head.startswith(PICKLE):
                return _arrays(LegacyContainer(file))
        except UnreadableError as error:
            raise UserError(f"{path} can't be read as a torch file: {error}") from None
    raise UserError(f"{path} is {described(path, head)}; {ALLOWED}")


def _arrays(container: ZipContainer | LegacyContainer) -> dict[str, np.ndarray]:
    swap = container.byte_order != sys.byteorder
    storages: dict[str, tuple[np.dtype[Any], np.ndarray]] = {}
    arrays = {}
    for name, tensor in _state_dict(container.value).items():
        key, dtype = tensor.storage.key, tensor.dtype
        try:
            if key not in storages:
                raw = container.read(tensor.storage)
                storages[key] = dtype, _checked(raw, dtype, swap=swap)
            if storages[key][0] != dtype:
                raise UnreadableError("another tensor has its storage as another type")
            arrays[name] = _view(tensor, storages[key][1])
        except UnreadableError as error:
            raise UnreadableError(f"tensor {shown(name)}: {error}") from None
    return arrays


def _state_dict(value: Any) -> dict[str, Tensor]:
    """Return the only dict of tensors at one of the usual places."""
    if type(value) is not dict or not value:
        raise UnreadableError(
            "it holds no dict of tensors; save model.state_dict(), not the model"
        )
    if _are_tensors(value):
        return value
    found = [key for key in STATE_DICT_KEYS if _are_tensors(value.get(key))]
    if len(found) == 1:
        return value[found[0]]
    keys = ", ".join(shown(str(key)) for key in list(value)[:_KEYS_SHOWN])
    more = ", ..." if len(value) > _KEYS_SHOWN else ""
    if found:
        problem = f"several of its keys are a dict of tensors: {', '.join(found)}"
    else:
        problem = (
            "it is no dict of tensors by name, nor is there one under the key "
            f"{', '.join(STATE_DICT_KEYS[:-1])} or {STATE_DICT_KEYS[-1]}"
        )
    raise UnreadableError(f"{problem} (its keys: {keys}{more})")


def _are_tensors(value: Any) -> bool:
    return (
        type(value) is dict
        and bool(value)
        and all(type(key) is str for key in value)
        and all(type(item) is Tensor for item in value.values())
    )


def _checked(raw: np.ndarray, dtype: np.dtype[Any], *, swap: bool) -> np.ndarray:
    """Return a storage's bytes with each element in this machine's order, read-only."""
    if raw.size % dtype.itemsize:
        raise UnreadableError("its storage is no whole number of elements")
    if dtype == np.dtype(bool) and raw.max(initial=0) > 1:
        raise UnreadableError("a boolean in its storage is neither 0 nor 1")
    if swap:
        raw = raw.reshape(-1, dtype.itemsize)[:, ::-1].reshape(-1)
    raw.flags.writeable = False
    return raw


def _view(tensor: Tensor, raw: np.ndarray) -> np.ndarray:
    """Return a tensor as a view of its storage's bytes.

    A tensor with more elements than its storage (``Tensor.expand``) is refused: a short
    file could claim any size.
    """
    shape, width = tensor.shape, tensor.dtype.itemsize
    elements = raw.size // width
    if 0 in shape:
        if max(shape) > _LONGEST_EMPTY:
            raise UnreadableError("it has no elements, but a size that no tensor has")
        return np.zeros(shape, tensor.dtype)
    if prod(shape) > elements:
        raise UnreadableError(
            "it has more elements than its storage; save it as tensor.contiguous()"
        )
    # A size of 1 may have any stride, even one that NumPy's 64 bits don't hold.
    strides = [
        step if size > 1 else 1 for size, step in zip(shape, tensor.strides, strict=True)
    ]
    reach = sum((size - 1) * step for size, step in zip(shape, strides, strict=True))
    if tensor.offset + reach >= elements:
        raise UnreadableError("it reaches beyond the end of its storage")
    return np.ndarray(
        shape,
        tensor.dtype,
        raw.data,
        tensor.offset * width,
        tuple(step * width for step in strides),
    )
