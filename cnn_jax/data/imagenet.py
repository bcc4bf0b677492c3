"""ImageNet 2012 (ILSVRC), read out of its two tar files.

Source: O. Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge",
    IJCV 115, 2015; the development kit's readme: ``ILSVRC2012_img_train.tar`` holds one tar
    for each of 1,000 WordNet ids (n01440764.tar, ...), ``ILSVRC2012_img_val.tar`` the
    50,000 validation images (ILSVRC2012_val_00000001.JPEG, ...). Their labels and the
    WordNet ids stand in files that come with tensorflow-datasets,
    ``datasets/imagenet2012``.

22 training images are CMYK and one is a PNG; Pillow reads them like all others.
"""

import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from cnn_jax.data.archive import read_archive, read_inner_archive
from cnn_jax.data.collection import Collection, Part, open_collection
from cnn_jax.data.data_dir import check_data_dir
from cnn_jax.data.dataset import Dataset
from cnn_jax.data.fingerprint import fingerprint_of_files
from cnn_jax.data.image_folder import collect_tree, hold_out_by_name
from cnn_jax.data.stored_files import Stored, StoredFiles, Stretch, stored_files
from cnn_jax.data.tree import read_tree
from cnn_jax.errors import UserError

TRAIN_TAR, VALIDATION_TAR = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
EXPECTED = (
    f"expected a directory with {TRAIN_TAR} and {VALIDATION_TAR},"
    " or a tree train/<WordNet id>/*, val/<WordNet id>/*"
)
WHOLE_TRAIN, HELD_OUT = 1_000_000, 10_000
VALIDATION_NAME = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG")


def open_imagenet2012(data_dir: Path | None) -> Dataset:
    """Open ``imagenet2012`` from its two tar files, or from the tree they unpack to.

    The 50,000 validation images are the test split, as in all papers: the labels of the
    challenge's own test images were never published. Validation is taken out of the
    training images: the 10,000 whose names have the smallest hashes
    (``image_folder.validation_by_name``; 10 % where there are fewer than a million).

    Classes are the 1,000 WordNet ids, sorted. Opening reads where each file lies in the
    tars (a minute or so); images are read and decoded when they are asked for.

    Raises:
        UserError: no such files, or they are not as they should be.
    """
    return open_collection(find_imagenet2012(data_dir))


def find_imagenet2012(data_dir: Path | None) -> Collection:
    """Return the examples of ``imagenet2012``; see ``open_imagenet2012``."""
    directory = check_data_dir(data_dir, "imagenet2012", EXPECTED)
    tars = [directory / name for name in (TRAIN_TAR, VALIDATION_TAR)]
    missing = [tar.name for tar in tars if not tar.is_file()]
    if len(missing) == 1:
        raise UserError(f"{directory} has no {missing[0]}; {EXPECTED}")
    if missing:
        return _from_tree(directory)
    classes = wordnet_ids()
    train, labels = _train(tars[0], classes)
    validation, validation_labels = _validation(tars[1], classes)
    made_of, rule = fingerprint_of_files(train, validation)
    count = len(np.unique(labels))
    return Collection(
        name="imagenet2012",
        label="ImageNet 2012" + (f" ({count} of 1000 classes)" if count < 1000 else ""),
        classes=classes,
        channels=3,
        fingerprint=made_of,
        fingerprint_rule=rule,
        parts={
            "train": Part(train, labels),
            "validation": Part(validation, validation_labels),
        },
        held_out=hold_out_by_name(train, f"{tars[0]}!", _held_out(len(labels))),
    )


def wordnet_ids() -> tuple[str, ...]:
    """Return the WordNet ids of the 1,000 classes, sorted: label 0 is n01440764."""
    return _lines("labels.txt")


def _lines(name: str) -> tuple[str, ...]:
    spec = find_spec("tensorflow_datasets")  # found, not imported
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder) / "datasets" / "imagenet2012" / name
        if path.is_file():
            return tuple(path.read_text(encoding="ascii").split())
    raise UserError(f"imagenet2012 needs tensorflow-datasets, whose {name} is not there")


def _held_out(count: int) -> int | None:
    return HELD_OUT if count >= WHOLE_TRAIN else None


def _train(tar: Path, classes: tuple[str, ...]) -> tuple[StoredFiles, np.ndarray]:
    """Return the images of all inner tars, sorted by class and name, and their labels."""
    label_of = {wordnet_id: label for label, wordnet_id in enumerate(classes)}
    files: list[tuple[str, Stored]] = []
    labels: list[int] = []
    for parts, inner in sorted(_plain_files(tar)):
        wordnet_id = parts[-1].removesuffix(".tar")
        if wordnet_id not in label_of:
            raise UserError(f"{tar} holds {parts[-1]}, which is no class of ImageNet 2012")
        images = read_inner_archive(inner, f"{tar}!{parts[-1]}")
        found = sorted((p[-1], place) for p, place in images.items() if place is not None)
        if not found:
            raise UserError(f"{tar}!{parts[-1]} is empty, expected images")
        files += [(f"train/{wordnet_id}/{name}", place) for name, place in found]
        labels += [label_of[wordnet_id]] * len(found)
    if not files:
        raise UserError(f"{tar} is empty; expected one tar for each class")
    return stored_files(f"{tar}!", files), np.array(labels, np.int32)


def _validation(tar: Path, classes: tuple[str, ...]) -> tuple[StoredFiles, np.ndarray]:
    """Return the validation images, sorted by name, and their labels."""
    label_of = {wordnet_id: label for label, wordnet_id in enumerate(classes)}
    truth = _lines("validation_labels.txt")  # in the order of the images' numbers
    files: list[tuple[str, Stored]] = []
    labels: list[int] = []
    for parts, place in sorted(_plain_files(tar)):
        found = VALIDATION_NAME.fullmatch(parts[-1])
        number = int(found[1]) if found else 0
        if not 1 <= number <= len(truth):
            raise UserError(
                f"{tar} holds {parts[-1]}, expected ILSVRC2012_val_00000001.JPEG"
                f" to ILSVRC2012_val_{len(truth):08d}.JPEG"
            )
        files.append((f"val/{parts[-1]}", place))
        labels.append(label_of[truth[number - 1]])
    if not files:
        raise UserError(f"{tar} is empty; expected images")
    return stored_files(f"{tar}!", files), np.array(labels, np.int32)


def _plain_files(tar: Path) -> list[tuple[tuple[str, ...], Stretch]]:
    found = [(p, place) for p, place in read_archive(tar).items() if place is not None]
    places = [(parts, place) for parts, place in found if isinstance(place, Stretch)]
    if len(places) < len(found):
        raise UserError(
            f"{tar} is packed (gzip or xz), expected the plain tar as published"
        )
    return places


def _from_tree(data_dir: Path) -> Collection:
    """Read what the tars were unpacked to, as many scripts do."""
    if not any((data_dir / s).is_dir() for s in ("train", "val")):
        raise UserError(f"--data-dir {data_dir} has none of ImageNet 2012; {EXPECTED}")
    tree = read_tree(data_dir, "imagenet2012")
    if tree.classes != wordnet_ids():
        raise UserError(
            f"{tree.where}train has {len(tree.classes)} classes ({tree.classes[0]}, ...),"
            " expected the 1000 WordNet ids of ImageNet 2012 (image-folder reads any)"
        )
    return collect_tree(
        tree,
        name="imagenet2012",
        label="ImageNet 2012",
        validation=_held_out(len(tree.files["train"])),
    )
