"""Measuring block by block is measuring the array, bit for bit."""

import time

import numpy as np
import pytest

from cnn_jax.data.augmentation import HorizontalFlip, PcaColourNoise
from cnn_jax.data.cropping import centre_crop
from cnn_jax.data.preprocessing import Normalization
from cnn_jax.data.streaming_measure import measure_in_one_pass
from cnn_jax.errors import UserError


def blocks_of(images, size, passes):
    passes.append(len(images))
    for start in range(0, len(images), size):
        yield images[start : start + size]


@pytest.mark.parametrize("size", [1, 7, 64])
def test_all_facts_come_from_one_pass_and_are_those_of_the_array(draw, monkeypatch, size):
    monkeypatch.setattr("cnn_jax.data.preprocessing._CHUNK_VALUES", 3000)
    images = draw.integers(0, 256, (50, 9, 11, 3), np.uint8)
    fits = [
        lambda x: Normalization().fit(centre_crop(x, (6, 8, 3))),
        lambda x: Normalization(mean="pixel", deviation="none").fit(x),
        PcaColourNoise().fit,
        HorizontalFlip().fit,
    ]
    passes = []
    found = measure_in_one_pass(fits, blocks_of(images, size, passes), 50, (9, 11, 3))
    assert passes == [50]
    assert found[3] == ()
    for mine, fit in zip(found[:3], fits, strict=False):
        for a, b in zip(mine, fit(images), strict=True):
            assert a.dtype == b.dtype
            assert a.tobytes() == b.tobytes()


def test_where_nothing_is_measured_nothing_more_is_decoded(draw):
    images = draw.integers(0, 256, (50, 4, 4, 3), np.uint8)

    def blocks():
        for number in range(50):
            assert number < 3, "nobody looks at these"
            time.sleep(0.1)
            yield images[:1]

    assert measure_in_one_pass([HorizontalFlip().fit], blocks(), 50, (4, 4, 3)) == [()]


def test_what_a_measurement_refuses_is_told_and_nobody_waits(draw):
    images = draw.integers(0, 256, (50, 4, 4, 1), np.uint8)
    fits = [Normalization().fit, PcaColourNoise().fit]
    with pytest.raises(UserError, match="PcaColourNoise needs images with 3 channels"):
        measure_in_one_pass(fits, blocks_of(images, 5, []), 50, (4, 4, 1))


def test_an_error_of_the_decoder_ends_the_measurements(draw):
    def blocks():
        yield draw.integers(0, 256, (5, 4, 4, 1), np.uint8)
        raise UserError("cat/5.jpg can't be decoded")

    with pytest.raises(UserError, match=r"cat/5\.jpg"):
        measure_in_one_pass([Normalization().fit] * 2, blocks(), 50, (4, 4, 1))


def test_rows_are_passing_only_once(draw):
    images = draw.integers(0, 256, (9, 4, 4, 1), np.uint8)

    def twice(passing):
        return passing[0:4], passing[0:4]

    with pytest.raises(ValueError, match=r"rows 0 \.\.\. 4 were asked for, 4 is next"):
        measure_in_one_pass([twice], blocks_of(images, 2, []), 9, (4, 4, 1))
