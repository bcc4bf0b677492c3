"""What a pickle of ``torch.save`` may build: descriptions of tensors, and plain dicts.

Source: PyTorch 2.13, ``torch/_utils.py`` (the arguments of ``_rebuild_tensor`` and so on),
    ``torch/_weights_only_unpickler.py`` (which names a file of tensors needs).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np

_MAX_AXES = 32
_MAX_KEY = 1 << 31
_MAX_SHOWN = 100  # characters of a name from the file in a message


class UnreadableError(Exception):
    """Content that is damaged or refused; the message says what, not in which file."""


@dataclass(frozen=True, slots=True)
class Global:
    """A name that a pickle asks for: never imported, only compared."""

    module: str
    name: str

    def __str__(self) -> str:
        return shown(f"{self.module}.{self.name}")


@dataclass(frozen=True, slots=True)
class Storage:
    """A flat array that tensors are views of.

    Attributes:
        key: its name in the file.
        dtype: of its elements; uint8 if torch calls it untyped.
        elements: their number.
    """

    key: str
    dtype: np.dtype[Any]
    elements: int

    @property
    def nbytes(self) -> int:
        """Its length in bytes."""
        return self.elements * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class Tensor:
    """A view of a storage; the numbers are not negative.

    Attributes:
        storage: what it is a view of.
        offset: of the first element, in elements.
        shape: of the tensor.
        strides: in elements.
        dtype: of the elements.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]


def shown(text: str) -> str:
    """Return a name out of a file for a message: printable, one line, not too long."""
    line = text.encode("unicode_escape").decode("ascii")
    return line if len(line) <= _MAX_SHOWN else f"{line[:_MAX_SHOWN]}..."


# A file may nest its lists so that they hold one another a thousand times over: printing,
# hashing or comparing such a value takes forever. So its type is looked at before anything
# else, and what a call reads through is short, or read once.


def set_item(target: dict[Any, Any], key: Any, value: Any) -> None:
    """Put a pair into a dict.

    Raises:
        UnreadableError: the key is neither a string nor a small integer; large ones can be
            chosen so that they all hash to one number.
    """
    if type(key) is not str and not (_is_int(key) and abs(key) < _MAX_KEY):
        raise UnreadableError(f"its pickle is refused: a dict's key is {_kind(key)}")
    target[key] = value


def storage_of(identity: Any) -> Storage:
    """Return the storage that a persistent identity names.

    Args:
        identity: ``("storage", type, key, device, elements)``; the legacy format adds None,
            or a part of another storage, which is refused.

    Raises:
        UnreadableError: it is anything else, for instance the source code of a module.
    """
    if type(identity) is not tuple or len(identity) not in (5, 6):
        raise UnreadableError("its pickle refers to something that is no storage")
    tag, kind, key, _device, elements, *part = identity
    if type(tag) is not str or tag != "storage" or type(key) is not str:
        raise UnreadableError("its pickle refers to something that is no storage")
    if any(part):
        raise UnreadableError(
            "one of its storages is a part of another, as before torch 0.4; load it with "
            "torch and save it again"
        )
    if type(kind) is not Global or kind.name not in STORAGES:
        raise UnreadableError("its pickle has a storage of unknown type")
    if not _is_int(elements) or elements < 0:
        raise UnreadableError("its pickle has a storage of unknown size")
    return Storage(key, STORAGES[kind.name], elements)


def _is_int(value: Any) -> bool:
    return type(value) is int  # a bool is none


def _kind(value: Any) -> str:
    return f"a {type(value).__name__}"


def _sizes(values: Any) -> tuple[int, ...]:
    if type(values) not in (tuple, list) or len(values) > _MAX_AXES:
        raise UnreadableError(f"a tensor's shape or strides: {_kind(values)}, or too many")
    if not all(_is_int(value) and value >= 0 for value in values):
        raise UnreadableError("a tensor's shape or strides are no numbers from 0 on")
    return tuple(values)


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any) -> Tensor:
    if type(storage) is not Storage or not _is_int(offset) or offset < 0:
        raise UnreadableError("a tensor is described in an unknown way")
    sizes, steps = _sizes(shape), _sizes(strides)
    if len(sizes) != len(steps):
        raise UnreadableError(f"a tensor has {len(sizes)} sizes and {len(steps)} strides")
    return Tensor(storage, offset, sizes, steps, storage.dtype)


def _rebuild_tensor_v2(*args: Any) -> Tensor:
    *view, _requires_grad, _hooks = _without_metadata(args, 6)
    return _rebuild_tensor(*view)


def _rebuild_tensor_v3(*args: Any) -> Tensor:
    *view, _requires_grad, _hooks, dtype = _without_metadata(args, 7)
    if type(dtype) is not Global or dtype.name not in DTYPES:
        raise UnreadableError("a tensor has an unknown type of elements")
    return replace(_rebuild_tensor(*view), dtype=DTYPES[dtype.name])


def _without_metadata(args: tuple[Any, ...], count: int) -> tuple[Any, ...]:
    if any(args[count:]):
        raise UnreadableError("a tensor is marked as conjugate or negative, not resolved")
    return args[:count]


def _rebuild_parameter(tensor: Any, *_state: Any) -> Tensor:
    if type(tensor) is not Tensor:
        raise UnreadableError(f"a parameter is made of {_kind(tensor)}, not of a tensor")
    return tensor


def _ordered_dict(pairs: Any = None) -> dict[Any, Any]:
    """Return a dict; Python 2 gives the pairs here, Python 3 as instructions."""
    made: dict[Any, Any] = {}
    if pairs is None:
        return made
    if type(pairs) is not list:
        raise UnreadableError(f"an OrderedDict is made of {_kind(pairs)}")
    for pair in pairs:
        if type(pair) not in (tuple, list) or len(pair) != 2:
            raise UnreadableError("an OrderedDict is made of something else than pairs")
        set_item(made, *pair)
    pairs.clear()  # so that no second call reads through it again
    return made


CALLS: Mapping[Global, Callable[..., Any]] = {
    Global("collections", "OrderedDict"): _ordered_dict,
    Global("torch", "Size"): _sizes,
    Global("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    Global("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor_v2,
    Global("torch._utils", "_rebuild_tensor_v3"): _rebuild_tensor_v3,
    Global("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    Global("torch._utils", "_rebuild_parameter_with_state"): _rebuild_parameter,
}
"""What a pickle may call, and what is done instead."""

STORAGES: Mapping[str, np.dtype[Any]] = {
    "DoubleStorage": np.dtype("float64"),
    "FloatStorage": np.dtype("float32"),
    "HalfStorage": np.dtype("float16"),
    "BFloat16Storage": np.dtype(jnp.bfloat16),
    "LongStorage": np.dtype("int64"),
    "IntStorage": np.dtype("int32"),
    "ShortStorage": np.dtype("int16"),
    "CharStorage": np.dtype("int8"),
    "ByteStorage": np.dtype("uint8"),
    "BoolStorage": np.dtype("bool"),
    "UntypedStorage": np.dtype("uint8"),
}
"""NumPy's type for each of torch's types of storages."""

DTYPES: Mapping[str, np.dtype[Any]] = {
    dtype.name: dtype
    for dtype in (*STORAGES.values(), *map(np.dtype, ("uint16", "uint32", "uint64")))
}
"""NumPy's type for each of torch's types of elements."""

NAMES = (
    {Global(module, kind) for kind in STORAGES for module in ("torch", "torch.cuda")}
    | {Global("torch.storage", "UntypedStorage")}
    | {Global("torch", name) for name in DTYPES}
)
"""What a pickle may name without calling it."""
