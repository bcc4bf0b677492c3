"""Datasets from a tree of image files: ``image-folder`` with any classes, and ``cifar10``.

The encoded files are read once and kept, so they must fit into memory; they are decoded
when ``read`` is called.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cnn_jax.data.dataset import Dataset, Pictures, Split, Splits
from cnn_jax.data.decoding import (
    LOSSLESS,
    ImageFile,
    decode_image,
    decode_images,
    open_picture,
)
from cnn_jax.data.fingerprint import fingerprint
from cnn_jax.data.jpeg_quality import quality_of
from cnn_jax.data.tree import Entry, Tree, read_tree
from cnn_jax.errors import UserError
from cnn_jax.types import ImageShape

CIFAR10_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
CIFAR10_SIDE = 32
CIFAR10_TRAIN, CIFAR10_VALIDATION = 50_000, 5_000
VALIDATION_PERCENT = 10


def open_image_folder(data_dir: Path | None) -> Dataset:
    """Open ``image-folder``: a tree ``train/<class>/*``, ``test/<class>/*``, any classes.

    See ``tree.read_tree`` for what ``data_dir`` may be, ``decoding.decode_images`` for how
    images of other sizes and pixel formats are brought to the requested shape. Validation
    is taken out of ``train`` by ``validation_by_name``: 10 % by hash of the name.

    Raises:
        UserError: there is no such tree, or it is not as it should be.
    """
    tree = read_tree(data_dir, "image-folder")
    return _dataset(tree, name="image-folder", label=f"image-folder {tree.name}")


def open_cifar10(data_dir: Path | None) -> Dataset:
    """Open ``cifar10``: a tree of 32x32 images with the ten class names of CIFAR-10.

    Like ``open_image_folder``; but where ``train`` holds the whole 50,000 images,
    validation is exactly the 5,000 whose names have the smallest hashes. The label says
    so if the images were re-encoded with loss: "CIFAR-10 (JPEG 75)".

    Raises:
        UserError: there is no such tree, or it is not as it should be.
    """
    tree = read_tree(data_dir, "cifar10")
    if tree.classes != CIFAR10_CLASSES:
        raise UserError(
            f"{tree.where}train has the classes {', '.join(tree.classes)};"
            f" expected those of CIFAR-10: {', '.join(CIFAR10_CLASSES)}"
            " (image-folder reads any classes)"
        )
    encoding = encoding_of(tree.files("train", tree.train))
    return _dataset(
        tree,
        name="cifar10",
        label=f"CIFAR-10 ({encoding})" if encoding else "CIFAR-10",
        side=CIFAR10_SIDE,
        validation=CIFAR10_VALIDATION if len(tree.train) >= CIFAR10_TRAIN else None,
    )


def validation_by_name(entries: Sequence[Entry], count: int | None = None) -> np.ndarray:
    """Choose the validation images by their names, bool [N].

    The first 8 bytes of SHA-256 over ``class/filename`` are a fraction of 2**64. Chosen are
    the names below 10 %; with ``count``, that many names with the smallest fractions. At
    least one image is chosen. So a choice does not depend on the order of the files, and
    (without ``count``) adding files moves none between the splits.
    """
    hashes = np.array(
        [
            int.from_bytes(hashlib.sha256(_name(entry)).digest()[:8], "big")
            for entry in entries
        ],
        np.uint64,
    )
    if count is None:
        limit = 2**64 * VALIDATION_PERCENT // 100
        count = max(int(np.sum(hashes < limit)), 1)
    chosen = np.zeros(len(entries), bool)
    chosen[np.argsort(hashes, kind="stable")[:count]] = True
    return chosen


def encoding_of(files: Sequence[ImageFile]) -> str | None:
    """Return what lossy encoding the images went through, e.g. ``"JPEG 75"``.

    Judged by the first JPEG among the files, or by the first file if there is none.
    "JPEG" alone stands for tables that are not the standard ones; None for a lossless
    format.

    Raises:
        UserError: that file can't be decoded.
    """
    jpegs = (file for file in files if file.content.startswith(b"\xff\xd8"))
    picture = open_picture(next(jpegs, files[0]))
    if picture.format in LOSSLESS:
        return None
    if picture.format != "JPEG":
        return str(picture.format)
    quality = quality_of(picture.quantization)  # type: ignore[attr-defined]
    return "JPEG" if quality is None else f"JPEG {quality}"


def _name(entry: Entry) -> bytes:
    return f"{entry.folder}/{entry.name}".encode("utf-8", "surrogateescape")


def _dataset(
    tree: Tree,
    *,
    name: str,
    label: str,
    side: int | None = None,
    validation: int | None = None,
) -> Dataset:
    held_out = validation_by_name(tree.train, validation)
    if held_out.all():
        raise UserError(
            f"{tree.where}train holds {len(tree.train)} images, all of which fall into"
            " the validation split; expected more"
        )
    index = {folder: number for number, folder in enumerate(tree.classes)}

    def labels_of(entries: tuple[Entry, ...]) -> np.ndarray:
        return np.array([index[e.folder] for e in entries], np.int32)

    def split(folder: str, entries: tuple[Entry, ...], shape: ImageShape) -> Split:
        images = decode_images(tree.files(folder, entries), shape, side=side)
        return Split(images, labels_of(entries))

    def read(shape: ImageShape) -> Splits:
        train = split("train", tree.train, shape)
        return Splits(
            train=Split(train.images[~held_out], train.labels[~held_out]),
            validation=Split(train.images[held_out], train.labels[held_out]),
            test=split("test", tree.test, shape),
        )

    def pictures(name: str, channels: int, size: tuple[int, int] | None) -> Pictures:
        folder = "test" if name == "test" else "train"
        entries = tree.test
        if folder == "train":
            wanted = held_out if name == "validation" else ~held_out
            entries = tuple(e for e, w in zip(tree.train, wanted, strict=True) if w)
        files = tree.files(folder, entries)
        return Pictures(
            lambda position: decode_image(files[position], channels, size, side=side),
            labels_of(entries),
            tuple(f"{folder}/{entry.folder}/{entry.name}" for entry in entries),
        )

    return Dataset(
        name=name,
        label=label,
        classes=tree.classes,
        channels=3,
        fingerprint=fingerprint(
            (f"{part}/{entry.folder}/{entry.name}", entry.content)
            for part, entries in (("train", tree.train), ("test", tree.test))
            for entry in entries
        ),
        read=read,
        pictures=pictures,
    )
