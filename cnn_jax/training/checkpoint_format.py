"""One checkpoint on the disk: arrays as Orbax stores them, and what is said of them.

```
about.json   step, validation error, shape of each leaf, size and CRC-32 of each file
state/       the arrays, by Orbax, each under its path: ``params.conv1.kernel``
```

Orbax finds a missing file, but not a flipped bit in an array; the CRC does. The table of
leaves tells a damaged checkpoint from a sound one of another network.
"""

import json
import logging
import math
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from cnn_jax.errors import UserError
from cnn_jax.training.checkpoint_directory import sync_directory

FORMAT = 1
ABOUT = "about.json"
STATE = "state"

Arrays = dict[str, np.ndarray]


class UnreadableError(Exception):
    """A checkpoint is damaged: something is missing, cut off or changed."""


class Leaf(NamedTuple):
    """What is known of one array."""

    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.shape} {self.dtype}"


class Written(NamedTuple):
    """What is known of one file: bytes, and their CRC-32."""

    size: int
    crc32: int


@dataclass(frozen=True)
class About:
    """What ``about.json`` says.

    Attributes:
        step: steps taken.
        validation_error: a fraction; None where it was not measured, or was not finite.
        leaves: by path, in the state's order.
        files: of Orbax, by their path from the checkpoint's directory.
    """

    step: int
    validation_error: float | None
    leaves: Mapping[str, Leaf]
    files: Mapping[str, Written]


def flatten(state: Any) -> dict[str, Any]:
    """Return the leaves of ``state`` by path, ``params.conv1.kernel``.

    Raises:
        ValueError: two leaves have one path.
    """
    leaves = [
        (jax.tree_util.keystr(path, simple=True, separator="."), leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(state)
    ]
    named = dict(leaves)
    if len(named) < len(leaves):
        raise ValueError("two leaves of the state have the same path")
    return named


def write_checkpoint(
    path: Path, step: int, arrays: Arrays, validation_error: float | None
) -> None:
    """Write a checkpoint as the new directory ``path``, whose parent must exist.

    Args:
        path: it is complete, and on the disk, when this returns; not before.
        step: steps taken.
        arrays: as from :func:`flatten`.
        validation_error: a fraction, or None.
    """
    import orbax.checkpoint as ocp

    path.mkdir()
    # Orbax refuses arrays without elements; their shape says all.
    filled = {name: leaf for name, leaf in arrays.items() if leaf.size}
    with _orbax() as checkpointer:
        checkpointer.save((path / STATE).absolute(), args=ocp.args.PyTreeSave(filled))
    finite = validation_error is not None and math.isfinite(validation_error)
    facts = {
        "format": FORMAT,
        "step": step,
        "validation_error": validation_error if finite else None,
        "leaves": {
            name: [str(leaf.dtype), list(leaf.shape)] for name, leaf in arrays.items()
        },
        "files": _files(path / STATE, path),
    }
    with (path / ABOUT).open("w", encoding="utf-8") as file:
        json.dump({**facts, "crc32": _crc32_of_facts(facts)}, file)
        file.flush()
        os.fsync(file.fileno())
    sync_directory(path)


def read_about(path: Path) -> About:
    """Return what is said of the checkpoint in ``path``.

    Raises:
        UnreadableError: it is damaged.
        UserError: another version of cnn_jax wrote it, or it may not be read.
    """
    try:
        facts = json.loads((path / ABOUT).read_bytes())
        crc32 = facts.pop("crc32")
        if crc32 != _crc32_of_facts(facts):
            raise UnreadableError(f"{ABOUT} was changed after it was written")
        if facts["format"] != FORMAT:
            raise _other_version(path)
        return About(
            facts["step"],
            facts["validation_error"],
            {n: Leaf(dtype, tuple(s)) for n, (dtype, s) in facts["leaves"].items()},
            {n: Written(*numbers) for n, numbers in facts["files"].items()},
        )
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        if (path / "default").is_dir():  # cnn_jax 0.1 left the layout to Orbax
            raise _other_version(path) from error
        raise UnreadableError(f"{ABOUT} is missing") from error
    except OSError as error:
        raise UserError(
            f"cannot read the checkpoint in {path}: {error.strerror}; nothing was changed"
        ) from error
    except UserError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableError(f"{ABOUT} is cut off or garbled") from error


def read_arrays(path: Path, about: About) -> Arrays:
    """Return the arrays of the checkpoint in ``path``, every byte checked.

    Raises:
        UnreadableError: it is damaged.
    """
    import orbax.checkpoint as ocp

    # First all files, because Orbax tells of some damage in its own threads, by tracebacks.
    try:
        there = _files(path / STATE, path)
    except OSError as error:
        raise UnreadableError(first_line(error)) from error
    for name, written in about.files.items():
        if there.get(name) != written:
            what = "was changed after it was written" if name in there else "is missing"
            raise UnreadableError(f"{name} {what}")
    filled = [name for name, leaf in about.leaves.items() if 0 not in leaf.shape]
    as_numpy = {name: ocp.RestoreArgs(restore_type=np.ndarray) for name in filled}
    try:
        with _orbax() as checkpointer:
            restored = checkpointer.restore(
                (path / STATE).absolute(),
                args=ocp.args.PyTreeRestore(restore_args=as_numpy),
            )
    except MemoryError:
        raise
    except Exception as error:  # Orbax and TensorStore raise many kinds
        raise UnreadableError(first_line(error)) from error
    empty = {
        n: np.zeros(leaf.shape, leaf.dtype)
        for n, leaf in about.leaves.items()
        if 0 in leaf.shape
    }
    return {**restored, **empty}


def first_difference(about: About, like: Mapping[str, Any]) -> str | None:
    """Return the first leaf in which a checkpoint is not like ``like``, None if none is.

    Args:
        about: of the checkpoint.
        like: arrays or shapes with dtypes, by path.
    """
    here = {name: Leaf(str(leaf.dtype), tuple(leaf.shape)) for name, leaf in like.items()}
    for name in (*here, *about.leaves):
        if name not in about.leaves:
            return f"{name} is not there, {here[name]} here"
        if name not in here:
            return f"{name} is {about.leaves[name]} there, not here"
        if about.leaves[name] != here[name]:
            return f"{name} is {about.leaves[name]} there, {here[name]} here"
    return None


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, or its type if it says nothing."""
    return str(error).strip().splitlines()[0] if str(error).strip() else repr(error)


@contextmanager
def _orbax() -> Iterator[Any]:
    """Open Orbax for this process alone: no barrier waits for another process."""
    import orbax.checkpoint as ocp

    logging.getLogger("absl").setLevel(logging.CRITICAL)
    me = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(primary_host=me, active_processes={me})
    # Normally distributed weights compress by 8 %, which takes longer than it saves.
    handler = ocp.PyTreeCheckpointHandler(
        use_compression=False, multiprocessing_options=alone
    )
    with ocp.Checkpointer(handler, multiprocessing_options=alone) as checkpointer:
        yield checkpointer


def _files(directory: Path, root: Path) -> dict[str, Written]:
    """Read the files below ``directory``; their names are paths from ``root``."""
    found = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            size = crc32 = 0
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    size, crc32 = size + len(block), zlib.crc32(block, crc32)
            found[path.relative_to(root).as_posix()] = Written(size, crc32)
    return found


def _crc32_of_facts(facts: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(facts, sort_keys=True).encode())


def _other_version(path: Path) -> UserError:
    return UserError(
        f"the checkpoint in {path} was written by another version of cnn_jax; nothing was "
        f"changed; choose another place with --out"
    )
