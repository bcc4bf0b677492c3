"""Choose parameters by name: ``conv1/kernel``, ``conv1``, ``fc*``, ``*/bias``.

A parameter's name is its path in the tree, joined by ``/``. A pattern as of ``fnmatch``
(``*``, ``?``, ``[ab]``; ``*`` also runs over ``/``) matches a parameter when it matches the
whole name or that of a scope above it: ``conv1`` is everything below ``conv1``.
"""

import difflib
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any, Literal

import jax

from cnn_jax.errors import UserError

Chosen = Literal["all", "kernels"] | tuple[str, ...]
"""Which parameters: all, those called ``kernel``, or those that a pattern matches."""

_SHOWN = 12


def matching(params: Any, patterns: Iterable[str]) -> Any:
    """Return a tree of bools like ``params``: True where one of the patterns matches.

    Args:
        params: a tree of arrays or shapes.
        patterns: as above; without any, all is False.

    Raises:
        UserError: a pattern that matches no parameter; the message holds near names.
    """
    if isinstance(patterns, str):
        raise ValueError(f"patterns {patterns!r} is one text; a tuple of texts is needed")
    patterns = tuple(patterns)
    names = jax.tree_util.tree_map_with_path(lambda path, _: _name(path), params)
    known = jax.tree.leaves(names)
    for pattern in patterns:
        if not any(_matches(name, pattern) for name in known):
            raise _no_parameter(pattern, known)
    return jax.tree.map(lambda name: any(_matches(name, p) for p in patterns), names)


def chosen(params: Any, on: Chosen) -> Any:
    """Return a tree of bools like ``params``: True where ``on`` chooses the parameter.

    Raises:
        UserError: as ``matching``.
    """
    if on == "all":
        return jax.tree.map(lambda _: True, params)
    if on == "kernels":
        return jax.tree_util.tree_map_with_path(
            lambda path, _: _name(path[-1:]) == "kernel", params
        )
    return matching(params, on)


def check_chosen(on: Chosen) -> None:
    """Raise ``ValueError`` unless ``on`` is one of the two words or a tuple of patterns."""
    if on in ("all", "kernels") or (isinstance(on, tuple) and on):
        return
    raise ValueError(f"on {on!r} is not 'all', 'kernels' or a tuple of patterns")


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _scopes(name: str) -> list[str]:
    """Return the name and those of the scopes above it."""
    parts = name.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _matches(name: str, pattern: str) -> bool:
    return any(fnmatchcase(scope, pattern) for scope in _scopes(name))


def _no_parameter(pattern: str, names: list[str]) -> UserError:
    scopes = sorted({scope for name in names for scope in _scopes(name)})
    near = difflib.get_close_matches(pattern.strip("*/"), scopes, n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(near)}? " if near else ""
    tops = list(dict.fromkeys(name.split("/")[0] for name in names))
    more = f", ... {len(tops) - _SHOWN} more" if len(tops) > _SHOWN else ""
    return UserError(
        f"pattern {pattern!r} matches no parameter; {hint}"
        f"(layers: {', '.join(tops[:_SHOWN])}{more})"
    )
