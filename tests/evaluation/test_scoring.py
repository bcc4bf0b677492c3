"""Every example is scored once, whatever the batch, the shapes and the devices."""

import threading

import numpy as np
import pytest

from cnn_jax.data.dataset import Pictures
from cnn_jax.errors import UserError
from cnn_jax.evaluation.progress import Plain, Silent
from cnn_jax.evaluation.scoring import (
    WAITING_BATCHES,
    compile_scoring,
    host_batches,
    score_pictures,
)
from cnn_jax.training.parallel import choose_devices
from tests.evaluation.small_networks import UNPADDED, network

SHAPES = [(6, 6, 1), (6, 9, 1), (9, 6, 1)]


def pictures(count, shapes=SHAPES):
    """Image i has the value i + 1 everywhere, and one of several shapes."""

    def decode(i):
        return np.full(shapes[i * i % len(shapes)], i + 1, np.uint8)

    labels = np.arange(count, dtype=np.int32) % 4
    return Pictures(decode, labels, tuple(map(str, range(count))))


def two_scales(image):
    return image, image[::2]


class MeanPixel:
    """Scores that name the image; counts the shapes that it was traced with."""

    def __init__(self):
        self.traced = []

    def scores(self, network, images):
        self.traced.append(tuple(image.shape for image in images))
        value = images[0].astype("float32").mean((1, 2, 3))
        return value[:, None] * np.ones((1, 4), np.float32)


@pytest.mark.parametrize("count", [1, 7, 50])
@pytest.mark.parametrize("size", [1, 7, 64])
def test_batches_hold_every_image_once_and_one_shape_each(count, size):
    given = pictures(count)
    seen = []
    for batch in host_batches(two_scales, given, size):
        first, second = batch.images
        assert len(first) == len(second) == size
        assert not first[len(batch.positions) :].any()  # padding
        for position, large, small in zip(batch.positions, first, second, strict=False):
            np.testing.assert_array_equal(large, given.decode(position))
            np.testing.assert_array_equal(small, given.decode(position)[::2])
        seen += batch.positions.tolist()
    assert sorted(seen) == list(range(count))


def test_shapes_that_never_fill_a_batch_do_not_pile_up():
    shapes = [(h, w, 1) for h in range(1, 20) for w in range(1, 20)]
    waiting = 0

    def decode(i):
        nonlocal waiting
        waiting += 1
        return np.zeros(shapes[i], np.uint8)

    many = Pictures(decode, np.zeros(len(shapes)), tuple(map(str, shapes)))
    scored = 0
    for batch in host_batches(lambda image: (image,), many, 4):
        # Those that wait for their shape, those decoded ahead, and one in each thread.
        assert waiting - scored <= 4 * WAITING_BATCHES + 4 + 1 + threading.active_count()
        scored += len(batch.positions)
    assert scored == len(shapes)


@pytest.mark.parametrize("devices", [1, 2])
def test_scores_come_in_the_order_of_the_split_compiled_once_a_shape(devices):
    chosen, rules = choose_devices(devices), MeanPixel()
    for count, size in ((1, 1), (9, 7), (9, 64)):
        rules.traced.clear()
        score = compile_scoring(network(UNPADDED), rules, chosen)
        scores, speed = score_pictures(
            score,
            two_scales,
            pictures(count),
            classes=4,
            batch_size=size,
            multiple_of=chosen.count,
            display=Silent(),
        )
        np.testing.assert_array_equal(scores[:, 2], np.arange(count) + 1)
        assert len(rules.traced) == len(set(rules.traced))
        assert all(shape[0][0] % devices == 0 for shape in rules.traced)
        assert speed.images_per_second > 0


def test_scores_of_another_number_of_classes_are_refused():
    score = compile_scoring(network(UNPADDED), MeanPixel())
    with pytest.raises(
        UserError, match=r"shape \(4,\) an image; the dataset has 3 classes"
    ):
        score_pictures(
            score,
            two_scales,
            pictures(2, SHAPES[:1]),
            classes=3,
            batch_size=2,
            multiple_of=1,
            display=Silent(),
        )


def test_an_image_that_does_not_decode_stops_it():
    def broken(i):
        if i == 30:
            raise UserError("test/cat/30.png can't be decoded")
        return np.zeros((2, 2, 1), np.uint8)

    given = Pictures(broken, np.zeros(200), ("",) * 200)
    with pytest.raises(UserError, match=r"30\.png"):
        list(host_batches(lambda image: (image,), given, 4))


def test_plain_progress_says_how_many_and_how_fast(capsys):
    import sys

    display = Plain(sys.stderr)
    display.start("net", 2000)
    display.advance(1000, 250.0)  # too soon for a line
    display.advance(2000, 1250.0)
    assert capsys.readouterr().err == "net: 2,000 of 2,000 images, 1,250 images/s\n"
