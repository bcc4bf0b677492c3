"""The protocols that apply the network, as a convolution, to the whole uncropped image.

Class scores are averaged over the map here, as in VGG. OverFeat's own rule (Sermanet et al.
2014, Section 3.3) is another: "taking the spatial max for each class, at each scale and
flip", on maps four to nine times as fine. Its networks can be evaluated by VGG's.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from cnn_jax.data.preprocessing import Preprocessing, apply_preprocessing
from cnn_jax.evaluation.convolutional import ScoreMap, convolutional
from cnn_jax.evaluation.crops import Scales, whole_image
from cnn_jax.evaluation.network import Network
from cnn_jax.evaluation.resizing import PRINTED_INPUT
from cnn_jax.evaluation.views import mean_probability, mirrored
from cnn_jax.types import Pixels


def score_map(network: Network, pixels: Pixels) -> ScoreMap:
    """Return the map of class scores of images of any size.

    A mean image has the network's size and fits no other: its mean over all pixels, one
    number a channel, is subtracted instead.

    Args:
        network: a classifier.
        pixels: uint8 [N, H, W, C], at least as large as the network's input.

    Returns:
        float32 [N, rows, columns, classes].

    Raises:
        UserError: the network can't be turned into a convolution.
        ValueError: smaller images.
    """
    mean = jnp.mean(jnp.asarray(network.preprocessing.mean), (0, 1), keepdims=True)
    of_channels = Preprocessing(mean, network.preprocessing.deviation)
    module, variables = convolutional(network.model, network.variables)
    scores = module.apply(variables, apply_preprocessing(of_channels, pixels))
    return scores.astype(jnp.float32)


@dataclass(frozen=True)
class DenseEvaluation:
    """The class score map of the whole image, averaged; softmax; mean over flips.

    Simonyan and Zisserman 2015, Section 3.2: the image's smallest side becomes Q; the
    fully convolutional network is applied to the whole image; "the class score map is
    spatially averaged" (scores, before the softmax); "the soft-max class posteriors of the
    original and flipped images are averaged". Section 4.1: Q = S = 256 for a network that
    was trained at one scale (384 for scales from 256 to 512). Section 4.2: the posteriors
    of several Q are averaged, ``DenseEvaluation(sides=(256, 384, 512))``.

    Attributes:
        sides: Q in pixels, as printed; several for several scales.
    """

    sides: tuple[int, ...] = (256,)

    def resize(self, network: Network, image: np.ndarray) -> Scales:
        """Return the whole image, any size, at each scale."""
        return whole_image(network, image, self.sides)

    @property
    def views(self) -> int:
        """What an image costs, in inputs of the network: its area, twice for the flip."""
        return 2 * _inputs(self.sides)

    def scores(self, network: Network, images: tuple[Pixels, ...]) -> Array:
        """Return log-probabilities [N, classes]: of the mean probability."""
        posteriors = []
        for scale in images:
            both = jnp.concatenate([scale, mirrored(scale)])
            scores = score_map(network, both).mean((1, 2))
            posteriors += jnp.split(jax.nn.log_softmax(scores), 2)
        return mean_probability(jnp.stack(posteriors), axis=0)


@dataclass(frozen=True)
class MultiScale:
    """The fully convolutional form at five scales; the mean of the scores.

    He et al. 2016, Section 3.4: "we adopt the fully-convolutional form as in [41, 13], and
    average the scores at multiple scales (images are resized such that the shorter side is
    in {224, 256, 384, 480, 640})". [41] is VGG, so each score is the mean over the map. Two
    things are not printed. What is averaged: here scores, as the word stands there, before
    the softmax. Flips: here none; ``flips=True`` averages those of the reflected image too.
    The mean before the classifier keeps its window (7 x 7) and slides.

    Attributes:
        sides: the image's shorter side in pixels at each scale, as printed.
        flips: average over left and right exchanged as well.
    """

    sides: tuple[int, ...] = (224, 256, 384, 480, 640)
    flips: bool = False

    def resize(self, network: Network, image: np.ndarray) -> Scales:
        """Return the whole image, any size, at each scale."""
        return whole_image(network, image, self.sides)

    @property
    def views(self) -> int:
        """What an image costs, in inputs of the network: its area at all scales."""
        return (2 if self.flips else 1) * _inputs(self.sides)

    def scores(self, network: Network, images: tuple[Pixels, ...]) -> Array:
        """Return log-probabilities [N, classes]: of the softmax of the mean score."""
        means = [
            score_map(network, view).mean((1, 2))
            for scale in images
            for view in ((scale, mirrored(scale)) if self.flips else (scale,))
        ]
        return jax.nn.log_softmax(jnp.stack(means).mean(0))


def _inputs(sides: tuple[int, ...]) -> int:
    """Return the area of square images in inputs of the network, rounded up."""
    return -(-sum(side * side for side in sides) // PRINTED_INPUT**2)
