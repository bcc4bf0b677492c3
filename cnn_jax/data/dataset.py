"""What a dataset is: three splits of uint8 images, and the facts about them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cnn_jax.types import ImageShape


class Split(NamedTuple):
    """Examples: ``images`` uint8 [N, H, W, C], ``labels`` int32 [N]."""

    images: np.ndarray
    labels: np.ndarray


class Splits(NamedTuple):
    """The three splits. Only the last evaluation of a run may look at ``test``."""

    train: Split
    validation: Split
    test: Split


class Pictures(NamedTuple):
    """The examples of one split, decoded one at a time, when they are asked for.

    Attributes:
        decode: position in the split -> uint8 [height, width, channels]; may be called
            from several threads, and pickled for another process.
        labels: int32 [N].
        names: what to call each example; unique, and the same however the images are
            packed.
    """

    decode: Callable[[int], np.ndarray]
    labels: np.ndarray
    names: tuple[str, ...]


OpenPictures = Callable[[str, int, tuple[int, int] | None], Pictures]
"""(split, channels, (height, width) or None for each image's own size) -> pictures."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """An opened dataset; its images are decoded only when ``read`` is called.

    Attributes:
        name: as on the command line, e.g. ``"cifar10"``.
        label: for people; says so where images were re-encoded, e.g.
            ``"CIFAR-10 (JPEG 75)"``.
        classes: class names in the order of the labels.
        channels: 1 for grey images, 3 for colour.
        fingerprint: SHA-256 (hex) of the content, independent of how it is packed.
        read: returns the splits with images of the given (height, width, channels).
        pictures: opens one split of a dataset whose images may differ in size; with a
            height and width its images are those of ``read``. None where ``read`` is all
            there is.
        fingerprint_rule: what the fingerprint is made of, for people.
    """

    name: str
    label: str
    classes: tuple[str, ...]
    channels: int
    fingerprint: str
    read: Callable[[ImageShape], Splits]
    pictures: OpenPictures | None = None
    fingerprint_rule: str = "all images and labels"
