"""What a reader finds in the files of a dataset, before it is split and decoded."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import NamedTuple, Protocol

import numpy as np

from cnn_jax.data.dataset import Dataset, Pictures, Split, Splits
from cnn_jax.data.decoding import ImageFile, decode_image, decode_images
from cnn_jax.data.pixels import check_shape, fit_grey
from cnn_jax.errors import UserError
from cnn_jax.types import ImageShape

CHUNK = 1024  # encoded files in memory at once, where they are not kept there


class EncodedImages(Protocol):
    """Image files that are read one at a time; can be pickled and read from threads."""

    def __len__(self) -> int:
        """Return how many there are."""
        ...

    def read(self, position: int) -> ImageFile:
        """Return one of them, encoded."""
        ...

    def name(self, position: int) -> str:
        """Return what to call it: unique, and the same however the images are packed."""
        ...

    def take(self, positions: np.ndarray) -> "EncodedImages":
        """Return some of them; ``positions`` are numbers, or bool [N]."""
        ...


class Part(NamedTuple):
    """Examples that belong together in the files.

    Attributes:
        images: uint8 [N, H, W, C], or encoded.
        labels: int32 [N].
        coarse_labels: int32 [N] of CIFAR-100.
    """

    images: np.ndarray | EncodedImages
    labels: np.ndarray
    coarse_labels: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Collection:
    """A dataset as its files have it.

    Attributes:
        name: as on the command line.
        label: for people.
        classes: names in the order of the labels.
        channels: 1 for grey images, 3 for colour.
        fingerprint: SHA-256 (hex).
        fingerprint_rule: what it is made of.
        parts: ``train``, and ``test`` or ``validation`` or both; what else there is
            (``extra`` of SVHN) is not read from here.
        held_out: which examples of ``train`` are for validation, bool [N]; not used where
            there are ``validation`` and ``test``.
        side: height and width that all encoded images must have; None for any.
        grey: height and width of grey images that are treated as those of MNIST are
            (``pixels.fit_grey``); None for all others.
        coarse_classes: of CIFAR-100.
    """

    name: str
    label: str
    classes: tuple[str, ...]
    channels: int
    fingerprint: str
    fingerprint_rule: str
    parts: Mapping[str, Part]
    held_out: np.ndarray | None = None
    side: int | None = None
    grey: tuple[int, int] | None = None
    coarse_classes: tuple[str, ...] = ()

    def part(self, split: str) -> Part:
        """Return the examples of ``train``, ``validation`` or ``test``.

        Without a ``test`` of its own, the files' ``validation`` is the test split, as that
        of ImageNet is in all papers. Without a ``validation`` besides the test split, the
        examples ``held_out`` of ``train`` are the validation split.
        """
        if {"validation", "test"} <= set(self.parts):
            return self.parts[split]
        if split == "test":
            return self.parts["test" if "test" in self.parts else "validation"]
        train, held_out = self.parts["train"], self.held_out
        if held_out is None:
            raise ValueError(f"{self.name} has no validation part and holds nothing out")
        chosen = held_out if split == "validation" else ~held_out
        if isinstance(train.images, np.ndarray):
            return Part(train.images[chosen], train.labels[chosen])
        return Part(train.images.take(chosen), train.labels[chosen])


@dataclass(frozen=True)
class Decode:
    """Decodes one of many files; can be pickled.

    Attributes:
        images: the files.
        channels: 1 or 3.
        size: (height, width) to fit them to; None for their own.
        side: that they must have; None for any.
    """

    images: EncodedImages
    channels: int
    size: tuple[int, int] | None
    side: int | None

    def __call__(self, position: int) -> np.ndarray:
        """Return uint8 [height, width, channels].

        Raises:
            UserError: it can't be read or decoded; the message names it.
        """
        file = self.images.read(position)
        return decode_image(file, self.channels, self.size, side=self.side)


def open_collection(collection: Collection) -> Dataset:
    """Return the dataset; nothing is decoded before ``read``.

    It has ``pictures`` if the images are encoded files, except those of ``grey``.
    """

    def read(shape: ImageShape) -> Splits:
        check_shape(shape)
        parts = {split: collection.part(split) for split in Splits._fields}
        _check_memory(collection.label, sum(len(p.labels) for p in parts.values()), shape)
        return Splits(**{s: _decoded(collection, part, shape) for s, part in parts.items()})

    def pictures(split: str, channels: int, size: tuple[int, int] | None) -> Pictures:
        images, labels, _ = collection.part(split)
        assert not isinstance(images, np.ndarray)
        names = tuple(images.name(position) for position in range(len(labels)))
        return Pictures(Decode(images, channels, size, collection.side), labels, names)

    arrays = any(isinstance(p.images, np.ndarray) for p in collection.parts.values())
    return Dataset(
        name=collection.name,
        label=collection.label,
        classes=collection.classes,
        channels=collection.channels,
        fingerprint=collection.fingerprint,
        fingerprint_rule=collection.fingerprint_rule,
        read=read,
        pictures=None if arrays or collection.grey else pictures,
    )


def hold_out_last(count: int, most: int, where: str) -> np.ndarray:
    """Return which training examples are for validation: the last ones, bool [N].

    Args:
        count: of training examples.
        most: how many to hold out, or a tenth (at least one) where that is less.
        where: what to call them in the message.

    Raises:
        UserError: there are fewer than two.
    """
    if count < 2:
        raise UserError(f"{where} holds {count} training images, expected at least 2")
    return np.arange(count) >= count - min(most, max(count // 10, 1))


def _decoded(collection: Collection, part: Part, shape: ImageShape) -> Split:
    images, labels, _ = part
    if isinstance(images, np.ndarray):
        return Split(_fitted(images, shape), labels)
    wanted = (*collection.grey, 1) if collection.grey else shape
    decoded = np.zeros((len(labels), *wanted), np.uint8)
    for start in range(0, len(labels), CHUNK):
        stop = min(start + CHUNK, len(labels))
        files = [images.read(position) for position in range(start, stop)]
        decoded[start:stop] = decode_images(files, wanted, side=collection.side)
    if collection.grey:
        decoded = fit_grey(decoded[..., 0], shape)
    return Split(decoded, labels)


def _fitted(images: np.ndarray, shape: ImageShape) -> np.ndarray:
    if images.shape[1:] == shape:
        return images
    if images.shape[3] == 1:
        return fit_grey(images[..., 0], shape)
    # As PPM, the plainest of image files: fitted by the one rule for all pictures.
    head = b"P6 %d %d 255\n" % (images.shape[2], images.shape[1])
    files = [ImageFile("", head + image.tobytes()) for image in images]
    return decode_images(files, shape)


def _check_memory(label: str, count: int, shape: ImageShape) -> None:
    """Refuse what can't be in memory before hours of decoding show it."""
    needed = count * prod(shape)
    try:
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return
    if needed > there:
        height, width, channels = shape
        raise UserError(
            f"{label}: {count} images of {height}x{width}x{channels} take"
            f" {needed / 2**30:.0f} GiB, this machine has {there / 2**30:.0f} GiB;"
            " they can only be streamed"
        )
