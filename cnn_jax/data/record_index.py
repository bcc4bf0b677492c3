"""What stands beside a dataset of records, so that it opens without reading all of them.

``cnn-jax data prepare`` writes it into the dataset's directory, where TFDS passes it over:
the labels and names of all examples, which of them are for validation, and the fingerprint
of the files that the dataset was made of. It holds as long as the shards are those that it
was written with. Of a large dataset that another program prepared, the labels are kept in
the user's cache directory.
"""

import contextlib
import hashlib
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnn_jax.data.fingerprint import WHOLE

FILE = "cnn_jax_index.npz"
PLAN = "cnn_jax_plan.json"  # of an unfinished preparation
TAIL = 1 << 16  # bytes; there lie the offsets of a shard's records
PIECE = 1 << 24  # bytes read at once

SHARDS = "metadata and shards"
SHARD_ENDS = "metadata, and sizes and last 64 KiB of the shards (more than 1 GiB in all)"


class Index(NamedTuple):
    """What is known of the examples.

    Attributes:
        labels: by split of TFDS, int32 [N].
        names: by split, UTF-8 bytes [N]; splits whose examples are numbered are missing.
        held_out: of ``train``, for validation, bool [N]; None where TFDS has a split.
        label: of the dataset, for people.
        fingerprint: of the files that the dataset was made of.
        rule: what that is made of.
    """

    labels: Mapping[str, np.ndarray]
    names: Mapping[str, np.ndarray]
    held_out: np.ndarray | None
    label: str
    fingerprint: str
    rule: str


def shards_fingerprint(directory: Path) -> tuple[str, str]:
    """Return the SHA-256 (hex) of a prepared dataset's own files, and by which rule.

    Up to 1 GiB in all, names and contents; of more, names, sizes and last 64 KiB.

    Raises:
        OSError: a file can't be read.
    """
    files = [p for p in directory.iterdir() if p.is_file() and p.name not in (FILE, PLAN)]
    ordered = sorted(files, key=lambda path: path.name)
    sizes = [path.stat().st_size for path in ordered]
    whole = sum(sizes) <= WHOLE
    digest = hashlib.sha256()
    for path, size in zip(ordered, sizes, strict=True):
        digest.update(f"{path.name}\0{size}\0".encode())
        with path.open("rb") as file:
            file.seek(0 if whole else max(size - TAIL, 0))
            while piece := file.read(PIECE):
                digest.update(piece)
    return digest.hexdigest(), SHARDS if whole else SHARD_ENDS


def write_index(directory: Path, index: Index, shards: str) -> None:
    """Write the index of a dataset.

    Args:
        directory: of the dataset.
        index: what to write.
        shards: ``shards_fingerprint`` of its files.

    Raises:
        OSError: it can't be written.
    """
    arrays: dict[str, Any] = {
        f"labels/{split}": labels for split, labels in index.labels.items()
    }
    arrays |= {f"names/{split}": names for split, names in index.names.items()}
    if index.held_out is not None:
        arrays["held_out"] = index.held_out
    facts = np.array([shards, index.label, index.fingerprint, index.rule])
    with (directory / FILE).open("wb") as file:
        np.savez_compressed(file, facts=facts, **arrays)
        file.flush()
        os.fsync(file.fileno())


def read_index(directory: Path, shards: str) -> Index | None:
    """Return the index of a dataset; None where none fits its shards."""
    try:
        with np.load(directory / FILE, allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
        written_with, label, made_of, rule = (str(fact) for fact in arrays.pop("facts"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if written_with != shards:
        return None
    return Index(
        labels=_below("labels/", arrays),
        names=_below("names/", arrays),
        held_out=arrays.get("held_out"),
        label=label,
        fingerprint=made_of,
        rule=rule,
    )


def cached_labels(shards: str) -> dict[str, np.ndarray]:
    """Return the labels of a dataset that were kept before, by split; maybe none."""
    try:
        with np.load(_cache(shards), allow_pickle=False) as found:
            return {split: found[split] for split in found.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return {}


def cache_labels(shards: str, labels: Mapping[str, np.ndarray]) -> None:
    """Keep the labels of a dataset, if the user's cache directory can be written."""
    path = _cache(shards)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        with temporary.open("wb") as file:
            arrays: dict[str, Any] = dict(labels)
            np.savez_compressed(file, **arrays)
        os.replace(temporary, path)


def _cache(shards: str) -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "cnn_jax" / f"labels-{shards[:32]}.npz"


def _below(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
