import numpy as np
import pytest

import cnn_jax
from cnn_jax.layers.initializers import gaussian
from cnn_jax.layers.rows import Dense, LocalResponseNorm
from cnn_jax.layers.tracing import trace_output
from cnn_jax.models.overfeat import MODELS
from tests import loops
from tests.reference_rows import check_rows, loud_scores

# Sermanet et al. 2014, Tables 1 and 3, by arithmetic: output, parameters, multiply-adds.
# fmt: off
FAST_ROWS = [
    ("conv1", (56, 56, 96),       34_944,   109_283_328),
    ("pool1", (28, 28, 96),            0,             0),
    ("conv2", (24, 24, 256),     614_656,   353_894_400),
    ("pool2", (12, 12, 256),           0,             0),
    ("conv3", (12, 12, 512),   1_180_160,   169_869_312),
    ("conv4", (12, 12, 1024),  4_719_616,   679_477_248),
    ("conv5", (12, 12, 1024),  9_438_208, 1_358_954_496),
    ("pool5", (6, 6, 1024),            0,             0),
    ("fc6",   (3072,),       113_249_280,   113_246_208),
    ("fc7",   (4096,),        12_587_008,    12_582_912),
    ("fc8",   (1000,),         4_097_000,     4_096_000),
]
ACCURATE_ROWS = [
    ("conv1", (108, 108, 96),     14_208,   164_602_368),
    ("pool1", (36, 36, 96),            0,             0),
    ("conv2", (30, 30, 256),   1_204_480, 1_083_801_600),
    ("pool2", (15, 15, 256),           0,             0),
    ("conv3", (15, 15, 512),   1_180_160,   265_420_800),
    ("conv4", (15, 15, 512),   2_359_808,   530_841_600),
    ("conv5", (15, 15, 1024),  4_719_616, 1_061_683_200),
    ("conv6", (15, 15, 1024),  9_438_208, 2_123_366_400),
    ("pool6", (5, 5, 1024),            0,             0),
    ("fc7",   (4096,),       104_861_696,   104_857_600),
    ("fc8",   (4096,),        16_781_312,    16_777_216),
    ("fc9",   (1000,),         4_097_000,     4_096_000),
]
# fmt: on


@pytest.mark.parametrize(
    ("name", "rows", "entries", "millions"),
    [
        ("overfeat_fast", FAST_ROWS, 33, 145),
        ("overfeat_accurate", ACCURATE_ROWS, 36, 144),
    ],
)
def test_every_row_is_the_papers(name, rows, entries, millions):
    spec = MODELS[name]
    assert check_rows(spec.build(), rows) == entries
    assert sum(row[2] for row in rows) == spec.parameters
    assert sum(row[3] for row in rows) == spec.macs
    assert spec.parameters // 10**6 == millions  # printed, cut off


def _forward(x, p, steps):
    """Run the stages as the tables of the paper print them."""
    for name, edge, stride, padding, pool in steps:
        assert p[name]["kernel"].shape[:2] == (edge, edge)
        x = loops.relu(loops.conv(x, p[name], stride=stride, padding=padding))
        if pool:
            x = loops.max_pool(x, pool, pool)  # windows that do not overlap
    return x


def test_the_fast_forward_pass_is_that_of_table_1(draw):
    network = cnn_jax.resize(
        MODELS["overfeat_fast"].build(input_shape=(79, 79, 3), num_classes=3),
        conv1=4, conv2=5, conv3=8, conv4=8, conv5=8, fc6=12, fc7=12,
    )  # fmt: skip
    images = draw.standard_normal((1, 79, 79, 3), np.float32)
    scores, p = loud_scores(network, images, draw)
    # Maps of 18, 9, 5, 2, 1 pixels: the second pool leaves a row and a column out.
    x = _forward(
        np.float64(images[0]),
        p,
        [
            ("conv1", 11, 4, 0, 2),
            ("conv2", 5, 1, 0, 2),
            ("conv3", 3, 1, 1, 0),
            ("conv4", 3, 1, 1, 0),
            ("conv5", 3, 1, 1, 2),
        ],
    )
    assert x.shape == (1, 1, 8)
    x = loops.relu(loops.dense(x, p["fc6"]))
    x = loops.relu(loops.dense(x, p["fc7"]))
    assert np.count_nonzero(x) >= 3  # or the scores would not depend on the image
    expected = loops.dense(x, p["fc8"])
    # float32, up to 19 layers
    np.testing.assert_allclose(scores[0], expected, atol=1e-4 * np.abs(expected).max())


def test_the_accurate_forward_pass_is_that_of_table_3(draw):
    network = cnn_jax.resize(
        MODELS["overfeat_accurate"].build(input_shape=(79, 79, 3), num_classes=3),
        conv1=4, conv2=5, conv3=8, conv4=8, conv5=8, conv6=8, fc7=12, fc8=12,
    )  # fmt: skip
    images = draw.standard_normal((1, 79, 79, 3), np.float32)
    scores, p = loud_scores(network, images, draw)
    # Maps of 37, 12, 6, 3, 1 pixels: the first pool leaves a row and a column out.
    x = _forward(
        np.float64(images[0]),
        p,
        [
            ("conv1", 7, 2, 0, 3),
            ("conv2", 7, 1, 0, 2),
            ("conv3", 3, 1, 1, 0),
            ("conv4", 3, 1, 1, 0),
            ("conv5", 3, 1, 1, 0),
            ("conv6", 3, 1, 1, 3),
        ],
    )
    assert x.shape == (1, 1, 8)
    x = loops.relu(loops.dense(x, p["fc7"]))
    x = loops.relu(loops.dense(x, p["fc8"]))
    assert np.count_nonzero(x) >= 3  # or the scores would not depend on the image
    expected = loops.dense(x, p["fc9"])
    # float32, up to 19 layers
    np.testing.assert_allclose(scores[0], expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", MODELS)
def test_section_3_1_holds(name):
    network = MODELS[name].build()
    assert network.initializer.func is gaussian
    assert network.initializer.keywords == {"deviation": 0.01}
    assert not any(isinstance(row, LocalResponseNorm) for row in network.table)
    assert [r.dropout for r in network.table if isinstance(r, Dense)] == [0.5, 0.5]


def test_an_image_that_vanishes_is_refused_with_the_layer():
    # 47 pixels: 10 after conv1, 5 after pool1, 1 after conv2.
    with pytest.raises(ValueError, match=r"^pool2: a window of 2 does not fit 1 pixels"):
        trace_output(MODELS["overfeat_fast"].build(input_shape=(47, 47, 3)))
    # 47 pixels: 21, 7, 1.
    with pytest.raises(ValueError, match=r"^pool2: a window of 2 does not fit 1 pixels"):
        trace_output(MODELS["overfeat_accurate"].build(input_shape=(47, 47, 3)))
