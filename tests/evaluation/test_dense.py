"""Dense evaluation: against explicit windows, and against its definition."""

import jax
import numpy as np
import pytest

from cnn_jax.evaluation.dense import DenseEvaluation, MultiScale, score_map
from cnn_jax.evaluation.protocol import views
from tests.evaluation.small_networks import (
    PADDED,
    UNPADDED,
    logits,
    network,
    softmax,
    windows_of,
)

TOLERANCE = 1e-5  # float32 sums of a hundred terms of unit size, in another order


def scores(rules, net, images):
    step = jax.jit(lambda v, x: rules.scores(net._replace(variables=v), x))
    return np.exp(np.asarray(step(net.variables, images)))


def mean_score(net, image):
    """Return the mean of the scores of all windows, 4 pixels apart: a sliding window."""
    windows = windows_of(image, (14, 14), 4)
    return logits(net, windows.reshape(-1, *windows.shape[2:])).mean(0)


def test_dense_evaluation_is_the_explicit_sliding_window(draw):
    net = network(UNPADDED)
    rules = DenseEvaluation(sides=(256, 384))  # 16 and 24 pixels for an input of 14
    scales = rules.resize(net, draw.integers(0, 256, (40, 60, 1), np.uint8))
    assert [scale.shape for scale in scales] == [(16, 24, 1), (24, 36, 1)]
    scales = [draw.integers(0, 256, s.shape, np.uint8) for s in scales]  # more contrast
    shown = [image for scale in scales for image in (scale, scale[:, ::-1])]
    (found,) = scores(rules, net, tuple(scale[None] for scale in scales))
    # Scores are averaged over the map, probabilities over flips and scales: VGG, Sections
    # 3.2 and 4.2.
    expected = np.mean([softmax(mean_score(net, image)) for image in shown], axis=0)
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)
    # Probabilities averaged over the map, or scores over flips and scales, are others.
    windows = [windows_of(image, (14, 14), 4).reshape(-1, 14, 14, 1) for image in shown]
    of_probabilities = np.mean([softmax(logits(net, w)).mean(0) for w in windows], axis=0)
    of_scores = softmax(np.mean([mean_score(net, image) for image in shown], axis=0))
    for other in (of_probabilities, of_scores):
        assert np.abs(found - other).max() > 10 * TOLERANCE


@pytest.mark.parametrize(("sides", "flips"), [((224, 384), False), ((256,), True)])
def test_multi_scale_is_the_softmax_of_the_mean_score(sides, flips, draw):
    net = network(UNPADDED)
    rules = MultiScale(sides=sides, flips=flips)
    scales = rules.resize(net, draw.integers(0, 256, (20, 26, 1), np.uint8))
    assert [scale.shape[0] for scale in scales] == [side // 16 for side in sides]
    shown = [image for scale in scales for image in (scale, scale[:, ::-1])[: 1 + flips]]
    expected = softmax(np.mean([mean_score(net, image) for image in shown], axis=0))
    found = scores(rules, net, tuple(scale[None] for scale in scales))
    np.testing.assert_allclose(found[0], expected, atol=TOLERANCE)


def test_five_scales_for_a_network_of_224_pixels_are_the_printed_ones():
    net = network(UNPADDED.clone(input_shape=(224, 224, 1), table=UNPADDED.table[-1:]))
    scales = MultiScale().resize(net, np.zeros((100, 150, 1), np.uint8))
    assert [scale.shape[:2] for scale in scales] == [
        (224, 336),
        (256, 384),
        (384, 576),
        (480, 720),
        (640, 960),
    ]


def test_an_image_of_the_inputs_size_is_one_window(draw):
    net = network(PADDED)
    image = draw.integers(0, 256, (2, 14, 14, 1), np.uint8)
    found = jax.jit(lambda x: score_map(net, x))(image)
    assert found.shape == (2, 1, 1, 3)
    np.testing.assert_allclose(found[:, 0, 0], logits(net, image), atol=TOLERANCE)


def test_of_a_mean_image_its_mean_colour_is_subtracted(draw):
    mean_image = draw.random((14, 14, 1)).astype(np.float32)
    linear = UNPADDED.clone(table=UNPADDED.table[-1:])
    plain = network(linear, mean=mean_image.mean((0, 1), keepdims=True))
    image = draw.integers(0, 256, (1, 18, 18, 1), np.uint8)
    np.testing.assert_allclose(
        score_map(network(linear, mean=mean_image), image)[0, 2, 3],
        logits(plain, image[:, 2:16, 3:17])[0],
        atol=TOLERANCE,
    )


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (13, 2)])
def test_small_images_are_enlarged(size):
    net = network(UNPADDED)
    image = np.full((*size, 1), 50, np.uint8)
    (scale,) = DenseEvaluation().resize(net, image)
    assert min(scale.shape[:2]) == 16
    assert set(np.unique(scale)) == {50}


def test_cost_in_inputs_of_the_network():
    assert views(DenseEvaluation()) == 4  # (256 / 224)^2 = 1.3, rounded up, twice
    assert views(MultiScale()) == 18  # 17.96 for a square image
