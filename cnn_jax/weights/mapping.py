"""From the arrays of another library's file to our variables, and back.

A source says, entry by entry, under which key an array stands in the file, where it stands
in our variables, and how it is laid out there. The checks and both directions are here,
once for every source: nothing is loaded unless everything fits.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from cnn_jax.errors import UserError
from cnn_jax.layers.tracing import trace_variables
from cnn_jax.types import Variables

Arrays = Mapping[str, np.ndarray]
"""What a file of weights holds: arrays by key."""

_NAMED = 3  # keys that an error names; it counts the others


def _same(array: np.ndarray) -> np.ndarray:
    return array


@dataclass(frozen=True)
class Layout:
    """How one array is laid out in a file, and how in our variables.

    Attributes:
        ours: from the file's array to ours; it moves numbers and changes none.
        theirs: the inverse.
    """

    ours: Callable[[np.ndarray], np.ndarray] = _same
    theirs: Callable[[np.ndarray], np.ndarray] = _same


AS_IT_IS = Layout()


class Entry(NamedTuple):
    """One array.

    Attributes:
        key: in the file.
        path: in the variables, e.g. ``("params", "conv1", "kernel")``.
        layout: how to turn one into the other.
    """

    key: str
    path: tuple[str, ...]
    layout: Layout = AS_IT_IS


# Tracing a deep network takes a second, and reading one file needs the result three times.
expected_variables = lru_cache(maxsize=32)(trace_variables)
"""``layers.tracing.trace_variables``, remembered; not to be changed."""


def to_variables(
    arrays: Arrays,
    entries: Iterable[Entry],
    expected: Variables,
    *,
    ignored: Iterable[str] = (),
) -> Variables:
    """Return our variables, NumPy arrays, from the arrays of a file.

    Args:
        arrays: of the file.
        entries: one for each array of ``expected``.
        expected: the variables' shapes and types, from ``expected_variables``.
        ignored: keys that the file may have and that are not read.

    Raises:
        UserError: keys that are missing or superfluous, a wrong shape or a wrong type; one
            line that names them and says what is needed.
        ValueError: the entries are not those of the variables.
    """
    entries = tuple(entries)
    shapes = _shapes(entries, expected)
    wanted = {entry.key for entry in entries}
    problems = [
        *_listed("missing", sorted(wanted - set(arrays))),
        *_listed("superfluous", sorted(set(arrays) - wanted - set(ignored))),
    ]
    for entry in entries:
        if entry.key not in arrays:
            continue
        found = arrays[entry.key]
        shape = entry.layout.theirs(
            np.broadcast_to(np.float32(0), shapes[entry.path])
        ).shape
        if found.shape != shape or found.dtype != np.float32:
            problems.append(
                f"{entry.key} is {found.dtype} {list(found.shape)}; float32 {list(shape)} "
                f"is needed"
            )
    if problems:
        more = f"; and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
        raise UserError("; ".join(problems[:_NAMED]) + more)
    flat = {entry.path: entry.layout.ours(arrays[entry.key]) for entry in entries}
    return unflatten_dict(flat)


def to_arrays(
    variables: Variables, entries: Iterable[Entry], expected: Variables
) -> dict[str, np.ndarray]:
    """Return the arrays of a file, in the order of the entries: ``to_variables``' inverse.

    Args:
        variables: float32 arrays.
        entries: one for each array of ``expected``.
        expected: the variables' shapes and types.

    Raises:
        UserError: the variables are of another network; one line that says where.
        ValueError: the entries are not those of the variables.
    """
    entries = tuple(entries)
    shapes = _shapes(entries, expected)
    flat = flatten_dict(variables)
    problems = [
        *_listed("missing", sorted("/".join(path) for path in set(shapes) - set(flat))),
        *_listed("superfluous", sorted("/".join(path) for path in set(flat) - set(shapes))),
    ]
    for path, shape in shapes.items():
        if path in flat and (flat[path].shape != shape or flat[path].dtype != np.float32):
            problems.append(
                f"{'/'.join(path)} is {flat[path].dtype} {list(flat[path].shape)}; float32 "
                f"{list(shape)} is needed"
            )
    if problems:
        raise UserError("; ".join(problems[:_NAMED]))
    return {
        entry.key: entry.layout.theirs(np.asarray(flat[entry.path])) for entry in entries
    }


def _shapes(
    entries: tuple[Entry, ...], expected: Variables
) -> dict[tuple[str, ...], tuple[int, ...]]:
    shapes = {path: leaf.shape for path, leaf in flatten_dict(expected).items()}
    paths = [entry.path for entry in entries]
    if len(set(paths)) != len(paths) or set(paths) != set(shapes):
        raise ValueError(
            f"entries and variables differ: {sorted(set(paths) ^ set(shapes))[:_NAMED]}"
        )
    return shapes


def _listed(what: str, keys: list[str]) -> list[str]:
    if not keys:
        return []
    more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    return [f"{what}: {', '.join(keys[:_NAMED])}{more}"]
