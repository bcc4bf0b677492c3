"""What is streamed: the pictures of the three splits, from a dataset or from a cache."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.data.dataset import Dataset, Pictures, Splits
from cnn_jax.data.decoding import decoder
from cnn_jax.data.streaming import Batches, Decoded, open_stream
from cnn_jax.data.streaming_cache import CachedSplit, CacheKey
from cnn_jax.data.streaming_measure import measure_in_one_pass
from cnn_jax.data.streaming_order import InTurn, OneAfterTheOther
from cnn_jax.data.subsets import balanced_subset
from cnn_jax.types import ImageShape

RESIDENT_BYTES = 2 * 2**30
BLOCK_IMAGES = 64
"""Images that are decoded together where their order is that of the split."""

Told = Callable[[str, int, int], None]
"""Called with what is done, how many images of it are done, and of how many."""


def fits(dataset: Dataset, shape: ImageShape) -> bool:
    """Return whether the decoded images of all splits may lie in memory.

    That is: they take at most 2 GiB, and at most a quarter of this machine's memory.
    """
    if dataset.pictures is None:
        return True
    height, width, channels = shape
    splits = (dataset.pictures(n, channels, (height, width)) for n in Splits._fields)
    needed = sum(len(split.labels) for split in splits) * int(np.prod(shape))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return needed <= min(RESIDENT_BYTES, memory // 4)


def open_splits(
    dataset: Dataset, shape: ImageShape, train_examples: int | None
) -> dict[str, Pictures]:
    """Return the pictures of each split, the same examples as ``read`` and ``subset`` give.

    Args:
        dataset: where there is no way to open one picture, all are read into memory.
        shape: height, width, channels of the images.
        train_examples: size of the training subset; None for all.

    Raises:
        UserError: a subset larger than the training split.
    """
    height, width, channels = shape
    if dataset.pictures is None:
        read = dataset.read(shape)
        splits = {
            name: Pictures(
                partial(_row, split.images),
                split.labels,
                tuple(f"{dataset.name}, {name}, {i}" for i in range(len(split.labels))),
            )
            for name, split in zip(Splits._fields, read, strict=True)
        }
    else:
        opened = dataset.pictures
        splits = {name: opened(name, channels, (height, width)) for name in Splits._fields}
    train = splits["train"]
    chosen = balanced_subset(train.labels, train_examples)
    if chosen is not None:
        names = tuple(train.names[position] for position in chosen)
        decode = partial(_chosen, train.decode, chosen)
        splits["train"] = Pictures(decode, train.labels[chosen], names)
    return splits


def _row(images: np.ndarray, position: int) -> np.ndarray:
    row: np.ndarray = images[position]
    return row


def _chosen(
    decode: Callable[[int], np.ndarray], chosen: np.ndarray, position: int
) -> np.ndarray:
    return decode(int(chosen[position]))


def cache_splits(
    splits: Mapping[str, Pictures],
    root: Path,
    dataset: Dataset,
    shape: ImageShape,
    train_examples: int | None,
    workers: int,
    told: Told,
) -> dict[str, Pictures]:
    """Decode all splits into files under ``root``, as far as they are not there.

    Returns:
        Pictures that are read from there.

    Raises:
        UserError: the disk is too small or full, or an image does not decode.
    """
    key = CacheKey(dataset.fingerprint, train_examples, shape, decoder())
    cached = {
        name: CachedSplit(root, key, name, len(split.labels))
        for name, split in splits.items()
    }
    for name, files in cached.items():
        if not files.missing():  # then it may be read-only
            continue
        with files.alone(partial(told, "waiting for another process's cache", 0, 1)):
            _fill(name, files, splits, shape, workers, told)
    return {name: cached[name].pictures(split) for name, split in splits.items()}


def _fill(
    name: str,
    files: CachedSplit,
    splits: Mapping[str, Pictures],
    shape: ImageShape,
    workers: int,
    told: Told,
) -> None:
    """Decode what is missing of one split."""
    missing = files.missing()
    if not missing:
        return
    files.check_room()
    parts = tuple(
        InTurn(split=name, examples=end, size=BLOCK_IMAGES, first=first)
        for _, first, end in missing
    )
    batches = Batches(splits=splits, shape=shape, wanted=OneAfterTheOther(parts))
    done, count = 0, sum(end - first for _, first, end in missing)

    def written(images: int) -> None:
        nonlocal done
        done += images
        told(f"decoding {name} into the cache", done, count)

    with open_stream(batches, workers, _present) as stream:
        for (number, _, _), part in zip(missing, parts, strict=True):
            files.write(number, (stream.take() for _ in range(len(part))), written)
    files.finish()


def measure(
    train: Pictures,
    shape: ImageShape,
    measurements: Sequence[Callable[[Any], Any]],
    workers: int,
    told: Told,
) -> list[Any]:
    """Return what each measurement finds in the training images, in one pass over them.

    Args:
        train: the training split.
        shape: height, width, channels.
        measurements: of an array uint8 [N, H, W, C]; see ``streaming_measure``.
        workers: see ``streaming.open_stream``.
        told: is told how far it is.

    Raises:
        UserError: a measurement refuses such images, or an image does not decode.
    """
    count = len(train.labels)
    wanted = InTurn(split="train", examples=count, size=BLOCK_IMAGES)
    batches = Batches(splits={"train": train}, shape=shape, wanted=wanted)
    with open_stream(batches, workers, _present) as stream:

        def blocks() -> Iterator[np.ndarray]:
            done = 0
            for _ in range(len(wanted)):
                block = stream.take()
                yield block
                done += len(block)
                told("measuring the training images", done, count)

        return measure_in_one_pass(measurements, blocks(), count, shape)


def _present(decoded: Iterator[Decoded]) -> Iterator[np.ndarray]:
    """Return the images without padding."""
    for batch in decoded:
        yield np.asarray(batch.images)[batch.present]
