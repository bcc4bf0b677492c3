"""One way to write an experiment as JSON, and the one way to read it back.

    None, bool, int, float, str      themselves
    tuple                            a list
    frozen dataclass, Linen module   {"class": "module:name", "fields": {...}}
    class, function                  {"name": "module:name"}
    functools.partial                {"partial": ..., "arguments": [...], "keywords": {...}}

Whatever has no stable name (a lambda, a local function, an array) is refused when it is
written. Reading imports only from ``cnn_jax`` and from modules that the caller names.
"""

import dataclasses
import hashlib
import importlib
import json
import math
from collections.abc import Iterable
from functools import partial
from types import FunctionType
from typing import Any

from cnn_jax.errors import UserError

_LINEN_FIELDS = {"parent", "name"}  # of a module: where it hangs, not what it is


def encode(value: Any, where: str = "value") -> Any:
    """Return ``value`` as something ``json.dumps`` takes.

    Args:
        value: built from the kinds in the table above.
        where: what it is, for the error.

    Raises:
        UserError: something that has no stable name; the message says where it stands.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise UserError(f"{where} is {value}; a finite number is needed")
        return value
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return [encode(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, partial):
        return {
            "partial": encode(value.func, f"{where}.func"),
            "arguments": encode(value.args, f"{where}.args"),
            "keywords": {
                key: encode(item, f"{where}.{key}") for key, item in value.keywords.items()
            },
        }
    if isinstance(value, type | FunctionType):
        return {"name": _path(value, where)}
    if dataclasses.is_dataclass(value):
        names = {field.name for field in dataclasses.fields(value) if field.init}
        if names >= _LINEN_FIELDS:
            names -= _LINEN_FIELDS
        return {
            "class": _path(type(value), where),
            "fields": {
                name: encode(getattr(value, name), f"{where}.{name}")
                for name in sorted(names)
            },
        }
    raise UserError(
        f"{where} is a {type(value).__name__}, which has no stable name; use numbers, "
        f"text, tuples, frozen dataclasses, plain functions of a module (those of "
        f"cnn_jax.layers.activations rather than jax's compiled ones), or functools.partial"
    )


def decode(data: Any, modules: Iterable[str] = ()) -> Any:
    """Return the value that ``encode`` wrote.

    Args:
        data: what ``json.loads`` gave.
        modules: further modules whose classes and functions may be used.

    Raises:
        UserError: a name from any other module, or one that does not exist there.
    """
    read = partial(decode, modules=tuple(modules))
    if isinstance(data, list):
        return tuple(read(item) for item in data)
    if not isinstance(data, dict):
        return data
    if "partial" in data:
        keywords = {key: read(item) for key, item in data["keywords"].items()}
        return partial(read(data["partial"]), *read(data["arguments"]), **keywords)
    if "name" in data:
        return _find(data["name"], modules)
    fields = {key: read(item) for key, item in data["fields"].items()}
    built: Any = _find(data["class"], modules)
    if not (isinstance(built, type) and dataclasses.is_dataclass(built)):
        raise UserError(f"{data['class']} is not a dataclass")
    make: Any = built
    try:
        return make(**fields)
    except TypeError as error:
        raise UserError(f"cannot rebuild {data['class']}: {error}") from None


def digest(data: Any) -> str:
    """Return the SHA-256 (hex) of ``data`` as JSON with sorted keys; 15.0 counts as 15."""
    return hashlib.sha256(json.dumps(_whole(data), sort_keys=True).encode()).hexdigest()


def _whole(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _whole(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_whole(value) for value in data]
    return int(data) if isinstance(data, float) and data.is_integer() else data


def _path(thing: Any, where: str) -> str:
    if "<" in thing.__qualname__ or thing.__module__ == "__main__":
        raise UserError(
            f"{where} is {thing.__module__}:{thing.__qualname__}, which cannot be found "
            f"again by name; define it at the top level of a module"
        )
    return f"{thing.__module__}:{thing.__qualname__}"


def _find(path: str, modules: Iterable[str]) -> Any:
    module, _, name = path.partition(":")
    refused = UserError(f"{path} is no class or function of cnn_jax or of the saved study")
    if module.split(".")[0] != "cnn_jax" and module not in modules:
        raise refused
    try:
        value: Any = importlib.import_module(module)
        for part in name.split("."):
            value = getattr(value, part)
    except (ImportError, AttributeError):
        raise UserError(f"{path} does not exist in this version of cnn_jax") from None
    # What a module imported from elsewhere is not its own: no way to os or subprocess.
    if not isinstance(value, type | FunctionType) or _path(value, path) != path:
        raise refused
    return value
