"""Random brightness, contrast and colour of one image: Howard 2013, Section 2."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from cnn_jax.data.augmentation import Facts, Image
from cnn_jax.types import Key

# Luma of ITU-R BT.601, as in Pillow's conversion to grey.
LUMA = np.array([[[0.299, 0.587, 0.114]]], np.float32)


@dataclass(frozen=True)
class PhotometricDistortion:
    """Change brightness, contrast and colour, in random order, by random amounts.

    Source: A. Howard. Some Improvements on Deep Convolutional Neural Network Based Image
    Classification. 2013 (from memory): contrast, brightness and colour in a random order,
    each with an amount between 0.5 and 1.5, where 1 changes nothing, by the Python imaging
    library. Szegedy et al. 2015, Section 6, use it.

    As in that library (``ImageEnhance``) an amount a gives ``a image + (1 - a) grey``, cut
    off to [0, 1], where ``grey`` is black for brightness, the mean of the image's grey
    values for contrast, and each pixel's own grey value for colour. Departures: the mean
    is not rounded to 1/255, nor is what each change gives. The distribution between the
    bounds is not printed: uniform. The six orders are equally likely.

    Attributes:
        brightness: the amount is in [1 - brightness, 1 + brightness]; 0 to leave it out.
        contrast: likewise.
        colour: likewise; a grey image has none to change.
    """

    brightness: float = 0.5
    contrast: float = 0.5
    colour: float = 0.5

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "colour"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} {getattr(self, name)} is not in [0, 1]")

    def fit(self, images: np.ndarray) -> Facts:  # noqa: ARG002
        """Return ``()``."""
        return ()

    def __call__(self, key: Key, image: Image, facts: Facts) -> Image:  # noqa: ARG002
        """Return the changed image, in [0, 1].

        Raises:
            ValueError: the image has neither one nor three channels.
        """
        order_key, amount_key = jax.random.split(key)
        order = jax.random.permutation(order_key, 3)
        spread = np.array([self.brightness, self.contrast, self.colour], np.float32)
        drawn = jax.random.uniform(amount_key, (3,), jnp.float32, minval=-1.0)
        amounts = 1.0 + spread * drawn
        # A loop, not three copies: XLA for CPUs would compute what feeds each again.
        changed, _ = jax.lax.scan(
            lambda image, which: (_changed(image, which, amounts[which]), None),
            image,
            order,
        )
        return changed


def _changed(image: Image, which: Array, amount: Array) -> Image:
    """Change brightness (0), contrast (1) or colour (2)."""
    grey = _grey(image)
    centre = jnp.where(which == 2, grey, jnp.where(which == 1, grey.mean(), 0.0))
    return jnp.clip(amount * image + (1.0 - amount) * centre, 0.0, 1.0)


def _grey(image: Image) -> Float[Array, "height width 1"]:
    channels = image.shape[-1]
    if channels == 1:
        return image
    if channels != 3:
        raise ValueError(
            f"image has {channels} channels; PhotometricDistortion takes 1 or 3"
        )
    # A sum of three terms, not a matrix product: float32 on every device.
    return (image * LUMA).sum(-1, keepdims=True)
