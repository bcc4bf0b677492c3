"""Datasets from a tree of image files: ``image-folder``, and ``cifar10`` in such a tree.

The files stay where they are until they are decoded, but for those of a packed archive
(.tar.gz, .tar.xz), which are unpacked into memory.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from cnn_jax.data.collection import Collection, EncodedImages, Part, open_collection
from cnn_jax.data.dataset import Dataset
from cnn_jax.data.decoding import LOSSLESS, open_picture
from cnn_jax.data.fingerprint import fingerprint_of_files
from cnn_jax.data.jpeg_quality import quality_of
from cnn_jax.data.stored_files import StoredFiles
from cnn_jax.data.tree import Tree, read_tree
from cnn_jax.errors import UserError

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
    images of other sizes and pixel formats are brought to the requested shape. Where there
    is no ``validation/<class>/*``, validation is taken out of ``train`` by
    ``validation_by_name``: 10 % by hash of the name. Where there is no ``test/``,
    ``validation/`` is the test split.

    Raises:
        UserError: there is no such tree, or it is not as it should be.
    """
    return open_collection(find_image_folder(data_dir))


def find_image_folder(data_dir: Path | None) -> Collection:
    """Return the examples of ``image-folder``; see ``open_image_folder``."""
    tree = read_tree(data_dir, "image-folder")
    return collect_tree(tree, name="image-folder", label=f"image-folder {tree.name}")


def find_cifar10_tree(data_dir: Path | None) -> Collection:
    """Return the examples of a tree of 32x32 images with the classes of CIFAR-10.

    As in ``open_image_folder``; but where ``train`` holds the whole 50,000 images,
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
    train = tree.files["train"]
    encoding = encoding_of(train)
    return collect_tree(
        tree,
        name="cifar10",
        label=f"CIFAR-10 ({encoding})" if encoding else "CIFAR-10",
        side=CIFAR10_SIDE,
        validation=CIFAR10_VALIDATION if len(train) >= CIFAR10_TRAIN else None,
    )


def validation_by_name(names: Iterable[str], count: int | None = None) -> np.ndarray:
    """Choose the validation images by their names, bool [N].

    The first 8 bytes of SHA-256 over ``class/filename`` are a fraction of 2**64. Chosen are
    the names below 10 %; with ``count``, that many names with the smallest fractions. At
    least one image is chosen. So a choice does not depend on the order of the files, and
    (without ``count``) adding files moves none between the splits.
    """
    encoded = (name.encode("utf-8", "surrogateescape") for name in names)
    digests = [hashlib.sha256(name).digest()[:8] for name in encoded]
    hashes = np.array([int.from_bytes(digest, "big") for digest in digests], np.uint64)
    if count is None:
        limit = 2**64 * VALIDATION_PERCENT // 100
        count = max(int(np.sum(hashes < limit)), 1)
    chosen = np.zeros(len(hashes), bool)
    chosen[np.argsort(hashes, kind="stable")[:count]] = True
    return chosen


def hold_out_by_name(
    images: EncodedImages, where: str, count: int | None = None
) -> np.ndarray:
    """Return ``validation_by_name`` for files that are called ``train/class/filename``.

    Raises:
        UserError: nothing would be left to train on.
    """
    names = (images.name(i).removeprefix("train/") for i in range(len(images)))
    held_out = validation_by_name(names, count)
    if held_out.all():
        raise UserError(
            f"{where}train holds {len(images)} images, all of which fall into"
            " the validation split; expected more"
        )
    return held_out


def encoding_of(files: StoredFiles) -> str | None:
    """Return what lossy encoding the images went through, e.g. ``"JPEG 75"``.

    Judged by the first JPEG among the files, or by the first file if there is none.
    "JPEG" alone stands for tables that are not the standard ones; None for a lossless
    format.

    Raises:
        UserError: that file can't be decoded.
    """
    every = (files.read(position) for position in range(len(files)))
    jpegs = (file for file in every if file.content.startswith(b"\xff\xd8"))
    picture = open_picture(next(jpegs, None) or files.read(0))
    if picture.format in LOSSLESS:
        return None
    if picture.format != "JPEG":
        return str(picture.format)
    quality = quality_of(picture.quantization)  # type: ignore[attr-defined]
    return "JPEG" if quality is None else f"JPEG {quality}"


def collect_tree(
    tree: Tree,
    *,
    name: str,
    label: str,
    side: int | None = None,
    validation: int | None = None,
) -> Collection:
    """Return the examples of a tree.

    Args:
        tree: of image files.
        name: of the dataset.
        label: of the dataset, for people.
        side: height and width that all images must have; None for any.
        validation: how many images of ``train`` to hold out where there is no validation
            folder besides the test split; None for 10 %.

    Raises:
        UserError: nothing would be left to train on, or a file can't be read.
    """
    made_of, rule = fingerprint_of_files(*tree.files.values())
    complete = {"test", "validation"} <= set(tree.files)
    return Collection(
        name=name,
        label=label,
        classes=tree.classes,
        channels=3,
        fingerprint=made_of,
        fingerprint_rule=rule,
        parts={
            split: Part(files, tree.labels[split]) for split, files in tree.files.items()
        },
        held_out=None
        if complete
        else hold_out_by_name(tree.files["train"], tree.where, validation),
        side=side,
    )
