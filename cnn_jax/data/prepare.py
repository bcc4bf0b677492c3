"""Write a dataset of original files as TFDS would, as ArrayRecord, without TensorFlow."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from cnn_jax.data.cifar import find_cifar10, find_cifar100
from cnn_jax.data.collection import Collection
from cnn_jax.data.idx import find_fashion_mnist, find_mnist
from cnn_jax.data.image_folder import find_image_folder
from cnn_jax.data.imagenet import find_imagenet2012
from cnn_jax.data.prepare_records import Serialize
from cnn_jax.data.prepare_shards import SHARD_BYTES, Progress, write_dataset
from cnn_jax.data.svhn import find_svhn_cropped
from cnn_jax.data.tfds_names import NAME, PREFIX, tfds_directory
from cnn_jax.errors import UserError
from cnn_jax.registry import lookup

ORIGINALS: dict[str, Callable[[Path | None], Collection]] = {
    "mnist": find_mnist,
    "fashion_mnist": find_fashion_mnist,
    "cifar10": find_cifar10,
    "cifar100": find_cifar100,
    "svhn_cropped": partial(find_svhn_cropped, extra=True),
    "imagenet2012": find_imagenet2012,
    "image-folder": find_image_folder,
}
"""What can be prepared, and what finds its examples in a directory."""

FOLDER_VERSION = "1.0.0"


class Prepared(NamedTuple):
    """A dataset that was written.

    Attributes:
        dataset: its name on the command line, e.g. ``"tfds:mnist"``.
        directory: where it lies.
        data_dir: what to give as ``--data-dir``.
        examples: of each split.
    """

    dataset: str
    directory: Path
    data_dir: Path
    examples: dict[str, int]


def prepare(
    name: str,
    source: Path,
    out: Path | None = None,
    *,
    progress: Progress | None = None,
    resume: bool = True,
    called: str | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> Prepared:
    """Write a dataset in the layout of TFDS, which ``tfds:NAME`` and TFDS itself read.

    Records lie in the order of the original files (of a tree and of ImageNet: sorted by
    class and name), not shuffled; the metadata says so (``disable_shuffling``). Files that
    are JPEG or PNG keep their bytes, other formats and arrays become PNG, both without
    loss; CMYK becomes RGB. ImageNet is all JPEG, as in TFDS: its CMYK files and its PNG
    are encoded once more at quality 100. Every image is decoded once, to see that it can.

    It is written into ``VERSION.incomplete``, shard by shard, and renamed when it is
    whole. After a kill or a full disk, the same call goes on behind the last whole shard.

    Args:
        name: one of ``ORIGINALS``.
        source: directory (or archive) with the original files, as ``open_dataset`` takes.
        out: TFDS' directory; None for $TFDS_DATA_DIR or ~/tensorflow_datasets.
        progress: is told (examples done, of how many or None, what is being done).
        resume: whether to go on where an earlier call stopped; False begins anew.
        called: name of the new dataset; only for ``image-folder``, where None takes the
            name of the folder or archive.
        shard_bytes: about how large a shard is; the same again to resume.

    Raises:
        UserError: an unknown name; files that are not what they should be; an image that
            doesn't decode; a dataset that is there already; too little space.
    """
    find = lookup(ORIGINALS, name, what="dataset to prepare")
    told = progress or (lambda _done, _total, _what: None)
    told(0, None, f"looking through {source}")
    if name != "image-folder" and called not in (None, name):
        raise UserError(f"{name} keeps its name; only image-folder can be called {called}")
    try:
        collection = find(source)
    except UserError as error:  # the readers know the flag of all other commands
        raise UserError(str(error).replace("--data-dir", "--from")) from error
    chosen = name if name != "image-folder" else _folder_name(collection, called)
    layout = _layout(chosen, collection, known=name != "image-folder")
    root = tfds_directory(out)
    directory = write_dataset(
        collection, layout, root / chosen, told, resume=resume, shard_bytes=shard_bytes
    )
    examples = {split: len(part.labels) for split, part in collection.parts.items()}
    return Prepared(f"{PREFIX}{chosen}", directory, root, examples)


def _folder_name(collection: Collection, called: str | None) -> str:
    """Return a name that TFDS takes, and that is not that of one of its datasets."""
    import tensorflow_datasets as tfds

    folder = collection.label.removeprefix("image-folder ")
    chosen = called or re.sub(r"[^a-z0-9]+", "_", folder.lower()).strip("_")
    if not NAME.fullmatch(chosen):
        raise UserError(
            f"{chosen!r} can't be the name of a dataset; expected lower-case letters,"
            " digits and _, a letter first: give one"
        )
    try:
        tfds.builder_cls(chosen)
    except Exception as error:  # what it raises where there is none, it does not say
        if type(error).__name__ == "DatasetNotFoundError":
            return chosen
        raise
    raise UserError(f"{chosen} is a dataset of TFDS; give the image folder another name")


def _layout(name: str, collection: Collection, *, known: bool) -> Serialize:
    """Return features and metadata: those of TFDS where it has the dataset."""
    import tensorflow_datasets as tfds

    facts: dict[str, Any] = {"supervised_keys": ("image", "label")}
    if known:
        info = tfds.builder_cls(name)(data_dir="unused").info
        features, version = info.features, str(info.version)
        facts |= {
            key: getattr(info, key) for key in ("description", "citation", "homepage")
        }
    else:
        version = FOLDER_VERSION
        facts["description"] = f"{collection.label}, by cnn-jax data prepare image-folder"
        features = tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(None, None, 3)),
                "image/filename": tfds.features.Text(),
                "label": tfds.features.ClassLabel(num_classes=len(collection.classes)),
            }
        )
    if name != "imagenet2012":
        _name_classes(features["label"], collection.classes)
    if collection.coarse_classes:
        _name_classes(features["coarse_label"], collection.coarse_classes)
    return Serialize(name=name, version=version, features=features, facts=facts)


def _name_classes(feature: Any, classes: tuple[str, ...]) -> None:
    """Name the classes of a label; those of MNIST are the digits that they are."""
    if tuple(feature.names) != classes:
        feature.names = list(classes)
