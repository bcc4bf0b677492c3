"""Collect what files declare, and look it up by name.

A file declares a dictionary (``MODELS``); nobody registers anything. Two files that
declare one name are an error, and a name that does not exist is answered with near
ones.
"""

import difflib
import importlib
import pkgutil
import re
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import TypeVar

from cnn_jax.errors import UserError

T = TypeVar("T")

NAME = re.compile(r"[a-z0-9][a-z0-9_]*")


def collect(package: ModuleType, attribute: str) -> dict[str, T]:
    """Merge the dictionaries called ``attribute`` of all modules of ``package``.

    Raises:
        ValueError: two modules declare one name, or a name is not ``[a-z0-9][a-z0-9_]*``.
    """
    merged: dict[str, T] = {}
    declared_in: dict[str, str] = {}
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda i: i.name):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        for name, value in getattr(module, attribute, {}).items():
            if name in merged:
                raise ValueError(
                    f"{name!r} is declared in {declared_in[name]} and in {info.name}"
                )
            check_name(name, what=f"{attribute} of {info.name}")
            merged[name], declared_in[name] = value, info.name
    return dict(sorted(merged.items()))


def check_name(name: str, *, what: str) -> None:
    """Raise ``ValueError`` unless ``name`` is lower case letters, digits and ``_``."""
    if not NAME.fullmatch(name):
        raise ValueError(f"{what}: name {name!r} does not match [a-z0-9][a-z0-9_]*")


def unknown(name: str, allowed: Iterable[str], *, what: str) -> UserError:
    """Return the error for a ``name`` that is not among ``allowed``, with near ones."""
    names = sorted(allowed)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(near)}? " if near else ""
    return UserError(f"unknown {what} {name!r}; {hint}(known: {', '.join(names)})")


def lookup(declared: Mapping[str, T], name: str, *, what: str) -> T:
    """Return ``declared[name]``.

    Raises:
        UserError: no such name; the message holds near names and all names.
    """
    try:
        return declared[name]
    except KeyError:
        raise unknown(name, declared, what=what) from None
