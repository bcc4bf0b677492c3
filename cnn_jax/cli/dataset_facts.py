"""What can be said of a dataset without decoding all of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.data.collection import open_collection
from cnn_jax.data.dataset import Dataset, Pictures, Splits
from cnn_jax.data.datasets import describe_dataset, open_dataset
from cnn_jax.data.tfds_dataset import find_tfds
from cnn_jax.data.tfds_names import is_tfds
from cnn_jax.evaluation.evaluate import open_pictures
from cnn_jax.types import ImageShape

LOOKED_AT = 32
"""Images of a split whose sizes are measured."""
UNKNOWN = (32, 32)  # size of images that are made in any size that is asked for


@dataclass(frozen=True)
class Opened:
    """An opened dataset.

    Attributes:
        dataset: itself.
        size: height and width of its images; None where they differ.
        own: the pictures of each split, each of its own size.
    """

    dataset: Dataset
    size: tuple[int, int] | None
    own: dict[str, Pictures]

    def pictures(self, split: str, shape: ImageShape) -> Pictures:
        """Return the examples of a split, with images of one shape."""
        return open_pictures(self.dataset, split, shape, shape[:2])


def open_all(name: str, data_dir: Path | None) -> Opened:
    """Open a dataset; images that are encoded files are not decoded.

    Raises:
        UserError: no such dataset, or files that are not what they should be.
    """
    if is_tfds(name):
        collection = find_tfds(name, data_dir)
        dataset, known = open_collection(collection), collection.grey
    else:
        dataset = open_dataset(name, data_dir)
        known = describe_dataset(name).image_size
    channels = dataset.channels
    if dataset.pictures is not None:
        own = {s: dataset.pictures(s, channels, None) for s in Splits._fields}
        return Opened(dataset, known or _common_size(own["train"]), own)
    size = known or UNKNOWN
    read = dataset.read((*size, channels))
    own = {
        name: Pictures(split.images.__getitem__, split.labels, ())
        for name, split in read._asdict().items()
    }
    return Opened(dataset, size, own)


def facts_of(opened: Opened) -> dict[str, Any]:
    """Return splits, shapes, classes and fingerprint as JSON data.

    Sizes are those of a few images, evenly spread over each split.

    Raises:
        UserError: one of these can't be decoded.
    """
    dataset = opened.dataset
    return {
        "dataset": dataset.name,
        "label": dataset.label,
        "channels": dataset.channels,
        "classes": list(dataset.classes),
        "splits": {
            name: _facts_of_split(pictures, len(dataset.classes))
            for name, pictures in opened.own.items()
        },
        "fingerprint": dataset.fingerprint,
        "fingerprint_rule": dataset.fingerprint_rule,
    }


def _facts_of_split(pictures: Pictures, classes: int) -> dict[str, Any]:
    count, sizes = len(pictures.labels), _sizes(pictures)
    labels = pictures.labels[pictures.labels >= 0]
    return {
        "examples": count,
        "smallest": sizes.min(0).tolist() if count else [],
        "largest": sizes.max(0).tolist() if count else [],
        "looked_at": len(sizes),
        "per_class": np.bincount(labels, minlength=classes).tolist(),
    }


def _sizes(pictures: Pictures) -> np.ndarray:
    """Return the heights and widths of a few images, [n, 2]."""
    count = len(pictures.labels)
    spread = np.unique(np.linspace(0, count - 1, min(LOOKED_AT, count)).astype(int))
    return np.array([pictures.decode(int(i)).shape[:2] for i in spread]).reshape(-1, 2)


def _common_size(pictures: Pictures) -> tuple[int, int] | None:
    """Return the size that all of a few images have, if they have one."""
    sizes = {(int(height), int(width)) for height, width in _sizes(pictures)}
    return sizes.pop() if len(sizes) == 1 else None
