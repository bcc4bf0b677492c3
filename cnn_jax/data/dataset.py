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
    """

    name: str
    label: str
    classes: tuple[str, ...]
    channels: int
    fingerprint: str
    read: Callable[[ImageShape], Splits]
