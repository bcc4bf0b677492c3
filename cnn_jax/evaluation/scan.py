"""Scanning: what a network says of every window of an image, as a map.

Deep Learning Basics (lecture), "scanning for patterns": to slide a network over an image is
to apply a convolution, and a shift of the image shifts the map.

Every position of the map is what the network says of that window by itself. Where nothing
in the network depends on the border of an image (``convolutional.slides_exactly``), one
pass of the network as a convolution gives all windows at once; otherwise the windows are
cut out and scored in batches.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from cnn_jax.errors import UserError
from cnn_jax.evaluation.convolutional import map_stride, slides_exactly
from cnn_jax.evaluation.dense import score_map
from cnn_jax.evaluation.network import Network
from cnn_jax.evaluation.protocol import check_task
from cnn_jax.evaluation.resizing import Size
from cnn_jax.evaluation.views import log_probabilities
from cnn_jax.training.parallel import compile_step, fetch

BATCH_SIZE = 64

Means = Literal["convolution", "windows"]


class ClassMap(NamedTuple):
    """What a network says of the windows of an image.

    Attributes:
        log_probabilities: float32 [rows, columns, classes].
        tops: first pixel row of the windows of each row of the map, [rows].
        lefts: first pixel column of those of each column, [columns].
        window: height and width in pixels.
        step: pixels between neighbouring windows.
        means: how it was computed; the numbers are the same.
    """

    log_probabilities: NDArray[np.float32]
    tops: NDArray[np.int64]
    lefts: NDArray[np.int64]
    window: Size
    step: int
    means: Means


def scan(
    network: Network,
    image: np.ndarray,
    *,
    step: int | None = None,
    batch_size: int = BATCH_SIZE,
) -> ClassMap:
    """Return the class map of an image.

    Args:
        network: a classifier.
        image: uint8 [h, w, C] of any size from the network's input on.
        step: pixels between neighbouring windows; None for the network's stride.
        batch_size: windows at once where they are cut out; numbers do not depend on it.

    Raises:
        UserError: the image is smaller than the network's input, a step below 1, or a
            network that does not classify.
    """
    check_task("scan", network.model)
    height, width, _ = network.model.input_shape
    if image.shape[0] < height or image.shape[1] < width:
        raise UserError(
            f"the image has {image.shape[0]} x {image.shape[1]} pixels (height x width), "
            f"less than the network's window of {height} x {width}"
        )
    stride = map_stride(network.model)
    step = stride if step is None else step
    if step < 1:
        raise UserError(f"step {step}: at least 1 pixel is needed")
    tops = np.arange(0, image.shape[0] - height + 1, step)
    lefts = np.arange(0, image.shape[1] - width + 1, step)
    by_convolution = (
        slides_exactly(network.model)
        and network.preprocessing.mean.shape[:2] == (1, 1)  # a mean image has a place
        and step % stride == 0
    )
    if by_convolution:
        scores = fetch(_compiled(network.model, _scores_of_map)(network[1:], image[None]))
        every = step // stride
        scores = scores[0, ::every, ::every][: len(tops), : len(lefts)]
    else:
        scores = _windows(network, image, tops, lefts, batch_size)
    return ClassMap(
        log_probabilities=scores,
        tops=tops,
        lefts=lefts,
        window=(height, width),
        step=step,
        means="convolution" if by_convolution else "windows",
    )


def _windows(
    network: Network,
    image: np.ndarray,
    tops: NDArray[np.int64],
    lefts: NDArray[np.int64],
    batch_size: int,
) -> NDArray[np.float32]:
    """Score the windows one batch after the other; the last batch is padded."""
    height, width, channels = network.model.input_shape
    views = np.lib.stride_tricks.sliding_window_view(image, (height, width, channels))
    score = _compiled(network.model, log_probabilities)
    arrays = jax.device_put(network[1:])
    count = len(tops) * len(lefts)
    size = min(batch_size, count)
    found = []
    for start in range(0, count, size):
        numbers = np.minimum(np.arange(start, start + size), count - 1)
        rows, columns = np.divmod(numbers, len(lefts))
        found.append(fetch(score(arrays, views[tops[rows], lefts[columns], 0])))
    return np.concatenate(found)[:count].reshape(len(tops), len(lefts), -1)


def _scores_of_map(network: Network, images: Any) -> Any:
    return jax.nn.log_softmax(score_map(network, images))


# So that a second image does not compile again.
@lru_cache(maxsize=8)
def _compiled(model: Any, scores: Callable[..., Any]) -> Callable[..., Any]:
    def step(arrays: Any, images: Any) -> Any:
        return scores(Network(model, *arrays), images)

    return compile_step(step, donate=False)
