"""Random changes of training images, on the device, inside the compiled step.

An augmentation is a frozen dataclass of plain numbers (it is part of an experiment's
identity) and a pure function of (key, image, facts). Elastic distortion stands in
``data/elastic.py``, photometric distortion in ``data/photometric.py``, what gives another
size in ``data/cropping.py`` and ``data/resized_crop.py``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from cnn_jax.data.preprocessing import float_chunks
from cnn_jax.errors import UserError
from cnn_jax.layers.dropout import row_keys
from cnn_jax.types import Images, Key

Image = Float[Array, "height width channels"]
"""One image in [0, 1], before normalisation."""
Facts = Any
"""A tree of arrays measured on the training images; ``()`` when there are none."""


class Augmentation(Protocol):
    """A random change of one image that keeps its label.

    The shape stays too, but for ``data/cropping.py`` and ``data/resized_crop.py``, which
    give a fixed other one.
    """

    def fit(self, images: np.ndarray) -> Facts:
        """Return what it must know of the training images, uint8 [N, H, W, C]."""
        ...

    def __call__(self, key: Key, image: Image, facts: Facts) -> Image:
        """Return a changed image; a pure function."""
        ...


@dataclass(frozen=True)
class ShiftedCrop:
    """Pad with black, then cut the original size out at a random place.

    The 2 ``padding`` + 1 offsets of either axis are equally likely. With padding 4 it is
    the crop of He et al. 2016, Section 4.2.

    Attributes:
        padding: largest shift in pixels.
    """

    padding: int

    def __post_init__(self) -> None:
        if self.padding < 0:
            raise ValueError(f"padding {self.padding} is negative")

    def fit(self, images: np.ndarray) -> Facts:  # noqa: ARG002
        """Return ``()``."""
        return ()

    def __call__(self, key: Key, image: Image, facts: Facts) -> Image:  # noqa: ARG002
        """Return the crop."""
        row, column = jax.random.randint(key, (2,), 0, 2 * self.padding + 1)
        sides = (self.padding, self.padding)
        padded = jnp.pad(image, (sides, sides, (0, 0)))
        # On a CPU faster than index vectors, one-hot products or chains of shifts.
        return jax.lax.dynamic_slice(padded, (row, column, 0), image.shape)


@dataclass(frozen=True)
class HorizontalFlip:
    """Swap left and right.

    Attributes:
        probability: of the swap, in [0, 1].
    """

    probability: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"probability {self.probability} is not in [0, 1]")

    def fit(self, images: np.ndarray) -> Facts:  # noqa: ARG002
        """Return ``()``."""
        return ()

    def __call__(self, key: Key, image: Image, facts: Facts) -> Image:  # noqa: ARG002
        """Return the image or its mirror image."""
        swap = jax.random.bernoulli(key, self.probability)
        return jnp.where(swap, image[:, ::-1], image)


class PrincipalColours(NamedTuple):
    """Eigenvectors and eigenvalues of the covariance of (red, green, blue) in [0, 1].

    Attributes:
        directions: [3, 3], one unit vector a column, its largest component positive.
        variances: [3], ascending.
    """

    directions: Float[Array, "3 3"] | np.ndarray
    variances: Float[Array, "3"] | np.ndarray


@dataclass(frozen=True)
class PcaColourNoise:
    """Add a random multiple of the principal colours: Krizhevsky et al. 2012, Section 4.1.

    Every pixel of an image gets [p1, p2, p3] [a1 l1, a2 l2, a3 l3]^T, with p, l the
    eigenvectors and eigenvalues of the covariance of all training pixels, and one draw of
    a ~ N(0, deviation^2) an image. The eigenvalues are variances, so the formula depends
    on the unit of a pixel; here it is pixel value / 255. Nothing is clipped (the paper
    mentions no clipping): values may leave [0, 1].

    Attributes:
        deviation: standard deviation of a; 0.1 in the paper.
    """

    deviation: float = 0.1

    def __post_init__(self) -> None:
        if not 0.0 <= self.deviation < float("inf"):
            raise ValueError(f"deviation {self.deviation} is not a number of at least 0")

    def fit(self, images: np.ndarray) -> PrincipalColours:
        """Return the principal colours of all pixels of the training images.

        Raises:
            UserError: the images have not three channels.
        """
        if images.ndim != 4 or images.shape[-1] != 3:
            grey = " (grey)" if images.shape[-1] == 1 else ""
            raise UserError(
                "PcaColourNoise needs images with 3 channels (red, green, blue); these "
                f"have {images.shape[-1]}{grey}; leave it out or take a colour dataset"
            )
        total, products = np.zeros(3), np.zeros((3, 3))
        for chunk in float_chunks(images):  # sums of whole numbers below 2**53: exact
            flat = chunk.reshape(-1, 3)
            total += flat.sum(0)
            products += flat.T @ flat
        count = images.size // 3
        mean = total / count
        covariance = (products / count - np.outer(mean, mean)) / 255.0**2
        variances, directions = np.linalg.eigh(covariance)
        # An eigenvector's sign is arbitrary; fix it, so that every LAPACK gives the same.
        largest = np.abs(directions).argmax(0)
        directions = directions * np.sign(directions[largest, range(3)])
        return PrincipalColours(
            directions.astype(np.float32), np.maximum(variances, 0.0).astype(np.float32)
        )

    def __call__(self, key: Key, image: Image, facts: PrincipalColours) -> Image:
        """Return the image with every pixel moved by the same colour."""
        if image.shape[-1] != 3:
            raise ValueError(
                f"image has {image.shape[-1]} channels; PcaColourNoise needs 3"
            )
        alphas = self.deviation * jax.random.normal(key, (3,), image.dtype)
        # A sum of three terms, not a matrix product: float32 on every device.
        weights = (alphas * facts.variances).reshape(1, 3)
        return image + (facts.directions * weights).sum(1).reshape(1, 1, 3)


def fit_augmentations(
    augmentations: Sequence[Augmentation], images: np.ndarray
) -> tuple[Facts, ...]:
    """Return the facts of each augmentation, in order.

    Args:
        augmentations: as declared.
        images: the training images as stored, uint8 [N, H, W, C].

    Raises:
        UserError: an augmentation cannot serve such images.
    """
    return tuple(augmentation.fit(images) for augmentation in augmentations)


def augment_batch(
    augmentations: Sequence[Augmentation],
    facts: Sequence[Facts],
    key: Key,
    images: Images,
) -> Images:
    """Apply the augmentations in the declared order, each row with a key of its own.

    The key of augmentation i of a row is ``fold_in(fold_in(key, position), i)``: a row's
    result depends on nothing but the key, its position in the global batch and its image.

    Args:
        augmentations: as declared.
        facts: from ``fit_augmentations``, one entry each.
        key: the step's key.
        images: [N, H, W, C] in [0, 1], before normalisation; where these are a part of
            the global batch, ``layers/batch_layout.py`` says which.

    Raises:
        ValueError: there are not as many facts as augmentations.
    """
    if len(facts) != len(augmentations):
        raise ValueError(f"{len(facts)} facts for {len(augmentations)} augmentations")
    if not augmentations:
        return images

    def augment(row_key: Key, image: Image) -> Image:
        for index, (augmentation, fact) in enumerate(
            zip(augmentations, facts, strict=True)
        ):
            image = augmentation(jax.random.fold_in(row_key, index), image, fact)
        return image

    return jax.vmap(augment)(row_keys(key, images.shape[0]), images)
