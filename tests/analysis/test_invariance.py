"""Changes of images against NumPy, and what is measured against one image at a time."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.analysis.invariance import Rotation, Scaling, Shift, invariance
from cnn_jax.errors import UserError
from cnn_jax.layers.rows import Classifier, Conv, Dense
from cnn_jax.layers.table_network import TableNetwork
from tests.evaluation.small_networks import logits, network, softmax

NET = network(
    TableNetwork(
        num_classes=3,
        input_shape=(6, 7, 1),
        table=(Conv("conv1", 2, 3), Dense("fc1", 4), Classifier("out")),
    )
)


@partial(jax.jit, static_argnums=0)
def apply(change, images, setting):
    return change(images, jnp.asarray(setting))


def changed(change, images, setting):
    return np.asarray(apply(change, images, setting))


@pytest.mark.parametrize(
    ("down", "right"), [(2, 0), (-1, 0), (0, 3), (0, -2), (1, -1), (9, 0)]
)
def test_a_shift_moves_pixels_exactly_and_brings_in_black(draw, down, right):
    images = draw.uniform(size=(2, 5, 6, 3)).astype(np.float32)
    expected = np.zeros_like(images)
    for row in range(5):
        for column in range(6):
            if 0 <= row - down < 5 and 0 <= column - right < 6:
                expected[:, row, column] = images[:, row - down, column - right]
    moved = changed(Shift(), images, (float(down), float(right)))
    np.testing.assert_array_equal(moved, expected)


def test_quarter_turns_are_counter_clockwise(draw):
    images = draw.uniform(size=(2, 6, 6, 1)).astype(np.float32)
    for quarters in (0, 1, 2, 3):
        ((angle, factor),) = Rotation().settings(90.0 * quarters)
        turned = changed(Rotation(), images, (angle, factor))
        # float32 cosines of 90 degrees are 4e-8, and pixels lie 3 from the middle
        np.testing.assert_allclose(turned, np.rot90(images, quarters, (1, 2)), atol=1e-5)


def test_scaling_by_two_doubles_a_square_and_by_a_half_halves_it():
    image = np.zeros((1, 9, 9, 1), np.float32)
    image[0, 3:6, 3:6] = 1.0
    larger = changed(Scaling(), image, (0.0, 2.0))[0, :, :, 0]
    # The edge of the old square is half way between pixels 2 and 3, from 4: 1.5 -> 3.
    row = larger[4]
    np.testing.assert_allclose(row, [0, 0.5, 1, 1, 1, 1, 1, 0.5, 0], atol=1e-5)
    smaller = changed(Scaling(), image, (0.0, 0.5))[0, :, :, 0]
    np.testing.assert_allclose(smaller[4], [0, 0, 0, 0, 1, 0, 0, 0, 0], atol=1e-5)


def test_amounts_become_settings():
    assert Shift().settings(0) == ((0, 0),)
    assert set(Shift().settings(2)) == {(2, 0), (-2, 0), (0, 2), (0, -2)}
    assert Shift(directions=((1, 0),)).settings(3) == ((3, 0),)
    with pytest.raises(ValueError, match="not a whole number"):
        Shift().settings(0.5)
    with pytest.raises(ValueError, match="not positive"):
        Scaling().settings(0.0)


def test_every_number_is_that_of_a_loop_over_images_and_directions(draw):
    images = draw.integers(0, 256, (5, 6, 7, 1), np.uint8)
    labels = draw.integers(0, 3, 5)
    found = invariance(
        NET, images, labels, Shift(), (0, 2), layers=("conv1", "out"), batch_size=3
    )

    def moved(down, right):
        return changed(Shift(), images / np.float32(255), (down, right)) * 255.0

    before = logits(NET, images)
    expected = {0: [], 1: []}
    for i, settings in enumerate([[(0.0, 0.0)], Shift().settings(2)]):
        for setting in settings:
            scores = logits(NET, moved(*setting))
            p, q = softmax(scores), softmax(before)
            length = np.linalg.norm(before, axis=-1)
            expected[i].append(
                [
                    (scores.argmax(-1) != labels).mean(),
                    p[np.arange(5), labels].mean(),
                    np.linalg.norm(p - q, axis=-1).mean(),
                    (np.linalg.norm(scores - before, axis=-1) / length).mean(),
                ]
            )
    means = np.array([np.mean(rows, axis=0) for rows in expected.values()]).T
    measured = (
        found.errors,
        found.probabilities,
        found.score_distances,
        found.feature_distances["out"],
    )
    # float32 against float64, sums of up to 40 terms
    np.testing.assert_allclose(measured, means, rtol=1e-4, atol=1e-6)
    assert found.examples == 5
    assert found.score_distances[0] == found.feature_distances["conv1"][0] == 0.0
    assert found.feature_distances["conv1"][1] > 0.1
    assert 0 < found.score_distances[1] <= np.sqrt(2)


def test_images_larger_than_the_input_are_cut_after_the_change(draw):
    images = draw.integers(0, 256, (4, 10, 11, 1), np.uint8)
    labels = np.zeros(4, np.int32)
    found = invariance(NET, images, labels, Shift(directions=((1, 0),)), (2,))
    cut = images[:, 0:6, 2:9]  # two rows further up, instead of the image further down
    expected = softmax(logits(NET, cut))[:, 0].mean()
    assert found.probabilities[0] == pytest.approx(expected, rel=1e-4)


def test_what_is_no_classifier_is_refused():
    class Silent(TableNetwork):
        task = "unsupervised"

    silent = NET._replace(model=Silent(table=NET.model.table))
    with pytest.raises(UserError, match="invariance serves classify; Silent is unsuper"):
        invariance(silent, np.zeros((1, 6, 7, 1), np.uint8), np.zeros(1), Shift(), (0,))
