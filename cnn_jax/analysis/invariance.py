"""How errors, probabilities and features change as the images are moved, turned, scaled.

Source: Deep Learning Basics (Johns Hopkins University), "The Image Classification Problem:
    Revisited": an MLP trained on one place will not find the deer in another. Zeiler and
    Fergus. Visualizing and Understanding Convolutional Networks. ECCV 2014, Figure 5:
    vertical shift, scale and rotation, with the distance between feature vectors of a low
    and of a high layer, and the probability of the true class.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from cnn_jax.analysis.features import features
from cnn_jax.data.cropping import centre_crop
from cnn_jax.data.elastic import resample
from cnn_jax.data.preprocessing import Preprocessing, apply_preprocessing, to_unit_range
from cnn_jax.evaluation.network import Network
from cnn_jax.evaluation.protocol import check_task
from cnn_jax.types import Images, Variables

Setting = tuple[float, float]
"""The two numbers that say exactly how images are changed."""
BATCH_SIZE = 250


class Change(Protocol):
    """A change of images by an amount; what comes from outside an image is black."""

    @property
    def unchanged(self) -> Setting:
        """The setting that leaves images as they are."""

    def settings(self, amount: float) -> tuple[Setting, ...]:
        """Return all ways of changing by this amount; results are means over them."""

    def __call__(self, images: Images, setting: Float[Array, "2"]) -> Images:
        """Return the changed images, [N, H, W, C] in [0, 1]; pure, setting traced."""


@dataclass(frozen=True)
class Shift:
    """Move by whole pixels.

    Attributes:
        directions: rows and columns that one pixel of amount moves by. All four by
            default; ``((1, 0),)`` is Zeiler and Fergus's vertical translation.
    """

    directions: tuple[tuple[int, int], ...] = ((1, 0), (-1, 0), (0, 1), (0, -1))

    @property
    def unchanged(self) -> Setting:
        """No pixel."""
        return 0.0, 0.0

    def settings(self, amount: float) -> tuple[Setting, ...]:
        """Return one setting a direction; one in all for 0.

        Raises:
            ValueError: not a whole number of pixels.
        """
        if amount != round(amount):
            raise ValueError(f"a shift of {amount} pixels is not a whole number")
        return tuple(
            sorted({(amount * down, amount * right) for down, right in self.directions})
        )

    def __call__(self, images: Images, setting: Float[Array, "2"]) -> Images:
        """Return the moved images; every pixel keeps its exact value."""
        _, height, width, _ = images.shape
        down, right = jnp.round(setting).astype(jnp.int32)
        rows, columns = jnp.arange(height) - down, jnp.arange(width) - right
        inside = ((rows >= 0) & (rows < height))[:, None] & (
            (columns >= 0) & (columns < width)
        )[None]
        rolled = jnp.roll(images, (down, right), axis=(1, 2))
        return jnp.where(inside[None, :, :, None], rolled, 0.0)


@dataclass(frozen=True)
class Rotation:
    """Turn about the centre, counter-clockwise, by degrees; bilinear."""

    @property
    def unchanged(self) -> Setting:
        """0 degrees."""
        return 0.0, 1.0

    def settings(self, amount: float) -> tuple[Setting, ...]:
        """Return the one setting: the angle, and no scaling."""
        return ((math.radians(amount), 1.0),)

    def __call__(self, images: Images, setting: Float[Array, "2"]) -> Images:
        """Return the turned images."""
        return _turned_and_scaled(images, setting)


@dataclass(frozen=True)
class Scaling:
    """Enlarge about the centre by a factor; below 1 it shrinks. Bilinear."""

    @property
    def unchanged(self) -> Setting:
        """Factor 1."""
        return 0.0, 1.0

    def settings(self, amount: float) -> tuple[Setting, ...]:
        """Return the one setting: no angle, and the factor.

        Raises:
            ValueError: a factor of 0 or less.
        """
        if amount <= 0:
            raise ValueError(f"a factor of {amount} is not positive")
        return ((0.0, amount),)

    def __call__(self, images: Images, setting: Float[Array, "2"]) -> Images:
        """Return the scaled images."""
        return _turned_and_scaled(images, setting)


def _turned_and_scaled(images: Images, setting: Float[Array, "2"]) -> Images:
    _, height, width, _ = images.shape
    angle, factor = setting
    rows = (jnp.arange(height) - (height - 1) / 2)[:, None]
    columns = (jnp.arange(width) - (width - 1) / 2)[None]
    cosine, sine = jnp.cos(angle) / factor, jnp.sin(angle) / factor
    # A pixel comes from where the opposite change takes it; rows count downwards.
    from_row = cosine * rows + sine * columns
    from_column = cosine * columns - sine * rows
    displacement = jnp.stack([from_row - rows, from_column - columns])
    return jax.vmap(resample, in_axes=(0, None))(images, displacement)


class InvarianceCurve(NamedTuple):
    """Means over all images and over all ways of changing by one amount.

    Attributes:
        amounts: of the change.
        errors: top-1, fractions; scores that are not finite are wrong.
        probabilities: of the true class.
        score_distances: Euclidean, between the probabilities before and after, at most
            the root of 2.
        feature_distances: by layer, Euclidean, as a share of the length before.
        examples: images.
    """

    amounts: tuple[float, ...]
    errors: tuple[float, ...]
    probabilities: tuple[float, ...]
    score_distances: tuple[float, ...]
    feature_distances: dict[str, tuple[float, ...]]
    examples: int


def invariance(
    network: Network,
    images: np.ndarray,
    labels: np.ndarray,
    change: Change,
    amounts: Sequence[float],
    *,
    layers: Sequence[str] = (),
    batch_size: int = BATCH_SIZE,
) -> InvarianceCurve:
    """Measure a network on images that are changed by each amount.

    Args:
        network: a classifier.
        images: uint8 [N, H, W, C], N at least 1, at least as large as the network's input,
            whose size is cut out at the centre after the change.
        labels: int [N].
        change: ``Shift``, ``Rotation``, ``Scaling`` or anything of that form.
        amounts: what they say.
        layers: rows of the network's table whose outputs are compared.
        batch_size: images at once; changes memory and speed, no number.

    Raises:
        UserError: a network that does not classify, or an unknown layer.
        ValueError: an amount that the change does not know.
    """
    check_task("invariance", network.model)
    several = [change.settings(amount) for amount in amounts]
    observe = partial(_observe, network.model, change, tuple(layers))
    arrays = jax.device_put((network.variables, network.preprocessing))
    sums = np.zeros((len(several), 3 + len(layers)))
    for start in range(0, len(images), batch_size):
        part, right = images[start : start + batch_size], labels[start : start + batch_size]
        count = len(part)
        size = min(batch_size, len(images))
        padded = np.pad(part, ((0, size - count), (0, 0), (0, 0), (0, 0)))
        right = np.pad(right, (0, size - count))
        before = observe(arrays, padded, jnp.asarray(change.unchanged))
        for total, settings in zip(sums, several, strict=True):
            for setting in settings:
                after = observe(arrays, padded, jnp.asarray(setting))
                rows = np.asarray(_compare(before, after, right), np.float64)
                total += rows[:, :count].sum(1) / len(settings)
    errors, probabilities, distances, *deeper = (
        tuple(column) for column in (sums / len(images)).T.tolist()
    )
    return InvarianceCurve(
        tuple(amounts),
        errors,
        probabilities,
        distances,
        dict(zip(layers, deeper, strict=True)),
        len(images),
    )


@partial(jax.jit, static_argnums=(0, 1, 2))
def _observe(
    model: Any,
    change: Change,
    layers: tuple[str, ...],
    arrays: tuple[Variables, Preprocessing],
    images: Array,
    setting: Array,
) -> tuple[Array, ...]:
    """Return the probabilities, [N, classes], and each layer's features, [N, ...]."""
    variables, preprocessing = arrays
    changed = change(to_unit_range(images), setting)
    x = apply_preprocessing(preprocessing, centre_crop(changed, model.input_shape))
    found = [features(model, variables, x, layer) for layer in layers]
    scores = model.apply(variables, x, train=False)
    probabilities = jax.nn.softmax(scores.astype(jnp.float32))
    return probabilities, *(f.reshape(len(f), -1) for f in found)


@jax.jit
def _compare(
    before: tuple[Array, ...], after: tuple[Array, ...], labels: Array
) -> Float[Array, "measures batch"]:
    """Return what is wrong, the label's probability, and the distances, an image each."""
    probabilities = after[0]
    wrong = (probabilities.argmax(-1) != labels) | ~jnp.isfinite(probabilities).all(-1)
    of_label = jnp.take_along_axis(probabilities, labels[:, None], axis=-1)[:, 0]
    moved = jnp.linalg.norm(after[0] - before[0], axis=-1)
    shares = [
        jnp.linalg.norm(new - old, axis=-1)
        / jnp.maximum(jnp.linalg.norm(old, axis=-1), 1e-12)
        for old, new in zip(before[1:], after[1:], strict=True)
    ]
    return jnp.stack([wrong.astype(jnp.float32), of_label, moved, *shares])
