"""One crop of images that are kept at a fixed size: exactly what a run's own error is."""

from typing import Any

import numpy as np

from cnn_jax.data.cropping import centre_crop
from cnn_jax.evaluation.network import Network
from cnn_jax.evaluation.views import log_probabilities


class AsStored:
    """The centre of the image, cut to the network's input; nothing is resized.

    A run keeps its images at ``Experiment.image_size`` and is evaluated on their centres.
    """

    def resize(self, network: Network, image: np.ndarray) -> tuple[np.ndarray, ...]:  # noqa: ARG002
        """Return the image as it is."""
        return (image,)

    def scores(self, network: Network, images: tuple[Any, ...]) -> Any:
        """Return log-probabilities [N, classes] of uint8 images [N, H, W, C]."""
        return log_probabilities(network, centre_crop(images[0], network.model.input_shape))
