"""Write shards of records so that a dataset is whole or not there."""

import contextlib
import errno
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnn_jax.data.collection import Collection, Part
from cnn_jax.data.prepare_records import Serialize
from cnn_jax.data.record_index import PLAN, Index, shards_fingerprint, write_index
from cnn_jax.data.records import array_record, count_records
from cnn_jax.data.stored_files import StoredFiles
from cnn_jax.errors import UserError

SHARD_BYTES = 1 << 29
"""About how large a shard is: ImageNet has 270, and a process may have 1,024 files."""
OPTIONS = "group_size:1"  # each record can be read by itself
BATCH = 256  # records that are encoded at once
FULL = (errno.ENOSPC, errno.EDQUOT)

Progress = Callable[[int, int | None, str], object]
"""(done, of how many or None, what is being done)."""


class Shard(NamedTuple):
    """One file of records: the examples ``start`` to ``stop`` of a split."""

    file: str
    split: str
    start: int
    stop: int


def write_dataset(
    collection: Collection,
    layout: Serialize,
    home: Path,
    progress: Progress,
    *,
    resume: bool,
    shard_bytes: int,
) -> Path:
    """Write a dataset, and return its directory ``home/VERSION``.

    Args:
        collection: the examples.
        layout: of the records, and the metadata.
        home: directory of all versions.
        progress: is told how many examples are done.
        resume: whether to go on where an earlier call stopped.
        shard_bytes: about how large a shard is.

    Raises:
        UserError: it is there already; it was begun from other files, or is being written
            by another process; there is too little space; an image does not decode.
    """
    final = home / layout.version
    incomplete = home / f"{layout.version}.incomplete"
    if final.exists():
        raise UserError(f"{final} is already there; remove it to prepare it again")
    shards = plan_shards(collection, layout.name, shard_bytes)
    plan = {
        "fingerprint": collection.fingerprint,
        "shards": [list(shard) for shard in shards],
    }
    try:
        if not resume and incomplete.exists():
            shutil.rmtree(incomplete)
        incomplete.mkdir(parents=True, exist_ok=True)
        with _planned(incomplete, plan):
            _check_space(collection, incomplete)
            _write_shards(collection, layout, incomplete, shards, progress)
            progress(sum(s.stop - s.start for s in shards), None, "writing the index")
            _write_metadata(layout, incomplete, shards)
            _write_index(collection, incomplete)
            os.rename(incomplete, final)
        (final / PLAN).unlink()
        _sync(home)
    except OSError as error:
        raise _failed(error.filename or incomplete, incomplete, error) from None
    return final


def plan_shards(collection: Collection, name: str, shard_bytes: int) -> list[Shard]:
    """Return the shards of all splits: as many as their size asks for, equally long."""
    shards = []
    for split, (images, labels, _) in collection.parts.items():
        size = images.nbytes if isinstance(images, np.ndarray) else _size(images)
        count = max(1, min(-(-size // shard_bytes), len(labels)))
        ends = [len(labels) * number // count for number in range(count + 1)]
        shards += [
            Shard(f"{name}-{split}.array_record-{n:05d}-of-{count:05d}", split, start, stop)
            for n, (start, stop) in enumerate(itertools.pairwise(ends))
        ]
    return shards


@contextlib.contextmanager
def _planned(incomplete: Path, plan: dict[str, Any]) -> Iterator[None]:
    """Hold the directory for one process, and see that it has been begun by this plan."""
    import fcntl

    path = incomplete / PLAN
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{incomplete} is being written by another process") from None
        file.seek(0)
        try:
            begun = json.loads(file.read() or "null")
        except ValueError:
            begun = None  # killed before it was written
        if begun not in (None, plan):
            raise UserError(
                f"{incomplete} was begun from other files or with other shards; remove it"
                " to begin anew"
            )
        if begun is None:
            file.truncate(0)
            json.dump(plan, file)
            file.flush()
            os.fsync(file.fileno())
        yield


def _write_shards(
    collection: Collection,
    layout: Serialize,
    incomplete: Path,
    shards: list[Shard],
    progress: Progress,
) -> None:
    total = sum(shard.stop - shard.start for shard in shards)
    done = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for shard in shards:
            path = incomplete / shard.file
            count = shard.stop - shard.start
            if not (path.is_file() and count_records(path) == count):
                part = collection.parts[shard.split]
                what = f"{layout.name} {shard.split}"
                told = _from(progress, done, total, what)
                _write_shard(path, shard, part, layout, collection.side, pool, told)
            done += count
            progress(done, total, f"{layout.name} {shard.split}")


def _from(
    progress: Progress, before: int, total: int, what: str
) -> Callable[[int], object]:
    return lambda done: progress(before + done, total, what)


def _write_shard(
    path: Path,
    shard: Shard,
    part: Part,
    layout: Serialize,
    side: int | None,
    pool: ThreadPoolExecutor,
    told: Callable[[int], object],
) -> None:
    """Write one shard under another name, and give it its own when it is whole."""

    def record(position: int) -> bytes:
        return layout.record(shard.split, part, position, side)

    partial = path.with_name(f"{path.name}.part")
    try:
        writer = array_record().ArrayRecordWriter(str(partial), OPTIONS)
        for start in range(shard.start, shard.stop, BATCH):
            stop = min(start + BATCH, shard.stop)
            for content in pool.map(record, range(start, stop)):
                writer.write(content)
            told(stop - shard.start)
        writer.close()
    except RuntimeError as error:  # all that ArrayRecord raises
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise _failed(partial, path.parent, error) from None
    _sync(partial)
    os.replace(partial, path)


def _write_metadata(layout: Serialize, directory: Path, shards: list[Shard]) -> None:
    """Write what TFDS needs to know beside the shards."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.naming import ShardedFileTemplate

    template = ShardedFileTemplate(
        data_dir=tfds.core.Path(directory),
        dataset_name=layout.name,
        filetype_suffix="array_record",
    )
    splits = []
    for split in dict.fromkeys(shard.split for shard in shards):
        own = [shard for shard in shards if shard.split == split]
        splits.append(
            tfds.core.SplitInfo(
                name=split,
                shard_lengths=[shard.stop - shard.start for shard in own],
                num_bytes=sum((directory / s.file).stat().st_size for s in own),
                filename_template=template.replace(split=split),
            )
        )
    tfds.folder_dataset.write_metadata(
        data_dir=directory,
        features=layout.features,
        split_infos=splits,
        version=layout.version,
        filename_template=template,
        check_data=False,
        disable_shuffling=True,
        **layout.facts,
    )
    for path in directory.iterdir():
        _sync(path)


def _write_index(collection: Collection, directory: Path) -> None:
    parts = collection.parts
    index = Index(
        labels={split: part.labels for split, part in parts.items()},
        names={
            split: part.images.names
            for split, part in parts.items()
            if isinstance(part.images, StoredFiles)
        },
        held_out=collection.held_out,
        label=collection.label,
        fingerprint=collection.fingerprint,
        rule=collection.fingerprint_rule,
    )
    write_index(directory, index, shards_fingerprint(directory)[0])


def _check_space(collection: Collection, directory: Path) -> None:
    """Refuse files that can't fit; how small PNGs will be is not known before."""
    files = [
        p.images for p in collection.parts.values() if isinstance(p.images, StoredFiles)
    ]
    there = sum(path.stat().st_size for path in directory.iterdir())
    needed = sum(int(some.sizes.sum()) for some in files) - there
    free = shutil.disk_usage(directory).free
    if needed > free:
        raise UserError(
            f"{directory}: {needed / 2**30:.1f} GiB are needed,"
            f" {free / 2**30:.1f} GiB are free; nothing was written"
        )


def _size(images: Any) -> int:
    return int(images.sizes.sum())


def _failed(path: Path | str, incomplete: Path, error: Exception) -> UserError:
    reason = getattr(error, "strerror", None) or str(error).split(";")[0]
    full = getattr(error, "errno", None) in FULL or "No space left" in reason
    what = "the disk is full" if full else f"can't be written: {reason}"
    return UserError(
        f"{path}: {what}; what is whole is kept in {incomplete}, the same command goes on"
    )


def _sync(path: Path) -> None:
    """Wait until a file or directory is on the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
