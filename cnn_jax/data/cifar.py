"""CIFAR-10 and CIFAR-100 in their binary files and in their Python batches.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009, and
    "The CIFAR-10 dataset", binary and Python version: an example is 1 byte of label (CIFAR-
    100: a coarse and a fine one) and 3,072 bytes, the red, green and blue plane of 32x32
    pixels, row by row; the archives ``cifar-10-binary.tar.gz``, ``cifar-10-python.tar.gz``,
    ``cifar-100-binary.tar.gz`` and ``cifar-100-python.tar.gz`` hold one folder each.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnn_jax.data.archive import first_file, is_archive, read_archive
from cnn_jax.data.batch_pickle import UnreadableError, load_batch
from cnn_jax.data.collection import Collection, Part, hold_out_last, open_collection
from cnn_jax.data.data_dir import check_data_dir
from cnn_jax.data.dataset import Dataset, Split
from cnn_jax.data.fingerprint import fingerprint_of_arrays
from cnn_jax.data.image_folder import CIFAR10_CLASSES, find_cifar10_tree
from cnn_jax.data.stored_files import Stored, Stretch, read_stored
from cnn_jax.data.subsets import check_labels
from cnn_jax.errors import UserError

SIDE = 32
PIXELS = 3 * SIDE * SIDE
VALIDATION = 5000
COARSE_CLASSES = 20
NO_IMAGES = np.zeros(0, np.uint8)


class _Version(NamedTuple):
    """The files of one version: for each part of the dataset, and for the class names."""

    train: tuple[str, ...]
    test: tuple[str, ...]
    names: str
    coarse_names: str = ""


NUMBERS = range(1, 6)
VERSIONS = {
    "cifar10": (
        _Version(
            tuple(f"data_batch_{i}.bin" for i in NUMBERS),
            ("test_batch.bin",),
            "batches.meta.txt",
        ),
        _Version(
            tuple(f"data_batch_{i}" for i in NUMBERS), ("test_batch",), "batches.meta"
        ),
    ),
    "cifar100": (
        _Version(
            ("train.bin",), ("test.bin",), "fine_label_names.txt", "coarse_label_names.txt"
        ),
        _Version(("train",), ("test",), "meta"),
    ),
}
EXPECTED = {
    "cifar10": "cifar-10-binary.tar.gz or cifar-10-python.tar.gz, or the folder in it",
    "cifar100": "cifar-100-binary.tar.gz or cifar-100-python.tar.gz, or the folder in it",
}
FOLDERS = {"cifar10": "cifar-10-batches-", "cifar100": "cifar-100-"}
TITLES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}


def open_cifar10(data_dir: Path | None) -> Dataset:
    """Open ``cifar10``: its binary files, its Python batches, or a tree of images.

    Of the two first, ``data_dir`` may be the archive, the folder in it, or a directory
    with one of the two; validation is the last 5,000 training images (of fewer than
    50,000: the last tenth). For a tree, see ``image_folder.find_cifar10_tree``.

    Raises:
        UserError: there is nothing of that kind, or it is not as it should be.
    """
    return open_collection(find_cifar10(data_dir))


def open_cifar100(data_dir: Path | None) -> Dataset:
    """Open ``cifar100``, with its 100 fine labels; otherwise as ``open_cifar10``.

    Raises:
        UserError: there is nothing of that kind, or it is not as it should be.
    """
    return open_collection(find_cifar100(data_dir))


def find_cifar10(data_dir: Path | None) -> Collection:
    """Return the examples of ``cifar10``; see ``open_cifar10``."""
    if data_dir is not None and (place := _place(data_dir, "cifar10")):
        return _collect(place, "cifar10")
    return find_cifar10_tree(data_dir)


def find_cifar100(data_dir: Path | None) -> Collection:
    """Return the examples of ``cifar100``; see ``open_cifar100``."""
    expected = f"expected {EXPECTED['cifar100']}"
    there = check_data_dir(data_dir, "cifar100", expected, file=True)
    place = _place(there, "cifar100")
    if place is None:
        raise UserError(f"--data-dir {data_dir} has none of CIFAR-100; {expected}")
    return _collect(place, "cifar100")


def _place(data_dir: Path, name: str) -> Path | None:
    """Return the folder that holds the files of one version, or the archive; or None."""
    begins = {
        file for version in VERSIONS[name] for file in (version.train[0], version.names)
    }

    def holds(folder: Path) -> bool:
        return any((folder / file).is_file() for file in begins)

    def packs(path: Path) -> bool:
        inside = first_file(path) if path.is_file() and is_archive(path) else None
        every = {file for v in VERSIONS[name] for file in (*v.train, *v.test, v.names)}
        if not inside:
            return False
        return inside[-1] in every or inside[0].startswith(FOLDERS[name])

    if data_dir.is_file():
        return data_dir if packs(data_dir) else None
    if not data_dir.is_dir() or holds(data_dir):
        return data_dir if data_dir.is_dir() else None
    inside = sorted(path for path in data_dir.iterdir() if not path.name.startswith("."))
    for fits in (lambda path: path.is_dir() and holds(path), packs):
        found = [path for path in inside if fits(path)]
        if len(found) > 1:
            raise UserError(
                f"--data-dir {data_dir} has several to choose from"
                f" ({', '.join(path.name for path in found)}); expected one"
            )
        if found:
            return found[0]
    return None


def _files(place: Path) -> dict[str, Stored]:
    """Return the files of a folder or an archive, by name."""
    if place.is_dir():
        return {
            path.name: Stretch(str(path), 0, path.stat().st_size)
            for path in place.iterdir()
            if path.is_file()
        }
    found = read_archive(place)
    return {parts[-1]: content for parts, content in found.items() if content is not None}


def _collect(place: Path, name: str) -> Collection:
    files = _files(place)
    binary, python = VERSIONS[name]
    version = binary if binary.train[0] in files else python
    where = f"{place}/" if place.is_dir() else f"{place}!"
    for file in (*version.train, *version.test):
        if file not in files:
            raise UserError(f"{where}{file} is missing; expected {EXPECTED[name]}")
    read = _read_binary if version is binary else _read_python
    coarse = name == "cifar100"
    parts = {}
    for part, names in (("train", version.train), ("test", version.test)):
        read_parts = [read(read_stored(files[f]), where + f, coarse) for f in names]
        parts[part] = _joined(read_parts)
    fine, upper = _class_names(files, where, name, version)
    for part, (_, labels, coarse_labels) in parts.items():
        check_labels(Split(NO_IMAGES, labels), len(fine), f"{where}{part}")
        if coarse_labels is not None:
            check_labels(
                Split(NO_IMAGES, coarse_labels), len(upper), f"{where}{part}, coarse"
            )
    arrays = {f"{part}-images": found.images for part, found in parts.items()}
    arrays |= {f"{part}-labels": found.labels for part, found in parts.items()}
    return Collection(
        name=name,
        label=TITLES[name],
        classes=fine,
        coarse_classes=upper,
        channels=3,
        fingerprint=fingerprint_of_arrays(**arrays),  # type: ignore[arg-type]
        fingerprint_rule="all images and labels",
        parts=parts,
        held_out=hold_out_last(len(parts["train"].labels), VALIDATION, f"{where}train"),
    )


def _joined(parts: Sequence[Part]) -> Part:
    images, labels, coarse = zip(*parts, strict=True)
    together = None if coarse[0] is None else np.concatenate(coarse)
    return Part(np.concatenate(images), np.concatenate(labels), together)


def _read_binary(content: bytes, where: str, coarse: bool) -> Part:
    heads = 2 if coarse else 1
    size = heads + PIXELS
    if not content or len(content) % size:
        raise UserError(
            f"{where} has {len(content)} bytes, expected a multiple of {size}"
            f" ({heads} of label and {PIXELS} of pixels): truncated or another file"
        )
    rows = np.frombuffer(content, np.uint8).reshape(-1, size)
    labels = rows[:, :heads].astype(np.int32)
    return Part(_pixels(rows[:, heads:]), labels[:, -1], labels[:, 0] if coarse else None)


def _read_python(content: bytes, where: str, coarse: bool) -> Part:
    batch = _unpickled(content, where)
    rows = batch.get(b"data")
    columns = (b"fine_labels", b"coarse_labels") if coarse else (b"labels",)
    labels = [batch.get(column) for column in columns]
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.shape[1] != PIXELS:
        raise UserError(f"{where} has no array 'data' of {PIXELS} columns")
    for column, found in zip(columns, labels, strict=True):
        if not isinstance(found, list) or not all(type(x) is int for x in found):
            raise UserError(f"{where} has no list of numbers {column.decode()!r}")
        if len(found) != len(rows):
            raise UserError(f"{where} has {len(rows)} images, but {len(found)} labels")
    fine, *upper = (np.array(found, np.int32) for found in labels)
    return Part(_pixels(rows), fine, upper[0] if upper else None)


def _unpickled(content: bytes, where: str) -> Mapping[bytes, Any]:
    try:
        found = load_batch(content)
    except UnreadableError as error:
        raise UserError(f"{where} can't be read: {error}") from None
    if type(found) is not dict:
        raise UserError(f"{where} can't be read: its pickle holds no dict")
    return found


def _pixels(rows: np.ndarray) -> np.ndarray:
    """Turn planes, uint8 [N, 3072], into images, uint8 [N, 32, 32, 3]."""
    planes = rows.reshape(-1, 3, SIDE, SIDE)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1))


def _class_names(
    files: Mapping[str, Stored], where: str, name: str, version: _Version
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the (fine) classes, and of the coarse ones of CIFAR-100."""
    if version.names not in files:
        if name == "cifar10":
            return CIFAR10_CLASSES, ()
        raise UserError(f"{where}{version.names} is missing; expected {EXPECTED[name]}")
    content = read_stored(files[version.names])
    if version.names.endswith(".txt"):
        upper = files.get(version.coarse_names)
        fine, coarse = _lines(content), _lines(read_stored(upper or b""))
    else:
        meta = _unpickled(content, where + version.names)
        fine = _strings(meta.get(b"fine_label_names", meta.get(b"label_names")))
        coarse = _strings(meta.get(b"coarse_label_names"))
    expected = (10, 0) if name == "cifar10" else (100, COARSE_CLASSES)
    if (len(fine), len(coarse)) != expected:
        raise UserError(
            f"{where}{version.names} has the names of {len(fine)} classes and"
            f" {len(coarse)} coarse ones, expected {expected[0]} and {expected[1]}"
        )
    return fine, coarse


def _lines(content: bytes) -> tuple[str, ...]:
    text = content.decode("utf-8", "replace")
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _strings(names: Any) -> tuple[str, ...]:
    found = names if isinstance(names, list) else []
    return tuple(
        n.decode("utf-8", "replace") if type(n) is bytes else str(n) for n in found
    )
