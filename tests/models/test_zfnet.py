import numpy as np
import pytest

import cnn_jax
from cnn_jax.layers.initializers import gaussian
from cnn_jax.layers.rows import Dense, LocalContrastNorm
from cnn_jax.layers.tracing import count_parameters, trace_output
from cnn_jax.models.zfnet import MODELS
from tests import loops
from tests.reference_rows import check_rows, loud_scores, row_shapes

# Zeiler & Fergus 2014, Figure 3, by arithmetic: output, parameters, multiply-adds.
# fmt: off
ROWS = [
    ("conv1", (110, 110, 96),      14_208, 170_755_200),
    ("pool1", (55, 55, 96),             0,           0),
    ("norm1", (55, 55, 96),             0,           0),
    ("conv2", (26, 26, 256),      614_656, 415_334_400),
    ("pool2", (13, 13, 256),            0,           0),
    ("norm2", (13, 13, 256),            0,           0),
    ("conv3", (13, 13, 384),      885_120, 149_520_384),
    ("conv4", (13, 13, 384),    1_327_488, 224_280_576),
    ("conv5", (13, 13, 256),      884_992, 149_520_384),
    ("pool5", (6, 6, 256),              0,           0),
    ("fc6",   (4096,),         37_752_832,  37_748_736),
    ("fc7",   (4096,),         16_781_312,  16_777_216),
    ("fc8",   (1000,),          4_097_000,   4_096_000),
]
# Table 3, "512, 1024, 512": conv3 has 9 * 256 inputs a map, conv4 9 * 512, conv5 9 * 1024.
WIDE_ROWS = [
    *ROWS[:6],
    ("conv3", (13, 13, 512),    1_180_160, 199_360_512),
    ("conv4", (13, 13, 1024),   4_719_616, 797_442_048),
    ("conv5", (13, 13, 512),    4_719_104, 797_442_048),
    ("pool5", (6, 6, 512),              0,           0),
    ("fc6",   (4096,),         75_501_568,  75_497_472),
    *ROWS[11:],
]
# fmt: on


@pytest.mark.parametrize(("name", "rows"), [("zfnet", ROWS), ("zfnet_wide", WIDE_ROWS)])
def test_every_row_is_the_papers(name, rows):
    spec = MODELS[name]
    assert check_rows(spec.build(), rows) == 39
    assert sum(row[2] for row in rows) == spec.parameters
    assert sum(row[3] for row in rows) == spec.macs


@pytest.mark.parametrize(
    ("widths", "parameters"),
    [
        # Zeiler & Fergus 2014, Table 3, by arithmetic.
        ({"fc6": 2048, "fc7": 2048}, 28_848_232),
        ({"fc6": 8192, "fc7": 8192}, 154_542_184),
        ({"conv3": 512, "conv4": 1024, "conv5": 512}, 107_627_624),
        (
            {"conv3": 512, "conv4": 1024, "conv5": 512, "fc6": 8192, "fc7": 8192},
            237_560_936,
        ),
    ],
)
def test_the_widths_of_table_3_have_the_parameters_of_the_arithmetic(widths, parameters):
    edited = cnn_jax.resize(MODELS["zfnet"].build(), **widths)
    assert count_parameters(edited) == parameters


def test_the_forward_pass_is_the_papers_pool_before_norm_and_hanging_pools(draw):
    # 64 pixels: conv1 takes zeros at the top and left only, both pools hang over.
    network = cnn_jax.resize(
        MODELS["zfnet"].build(input_shape=(64, 64, 3), num_classes=3),
        conv1=6, conv2=7, conv3=5, conv4=4, conv5=3, fc6=12, fc7=12,
    )  # fmt: skip
    # As bright as pixels, so that the normalisation sees its place.
    images = 255 * draw.standard_normal((1, 64, 64, 3)).astype(np.float32)
    scores, p = loud_scores(network, images, draw)

    x = loops.pad(np.float64(images[0]), 1, 0)
    x = loops.relu(loops.conv(x, p["conv1"], stride=2))
    assert x.shape == (30, 30, 6)
    x = loops.local_response_norm(loops.max_pool(x, 3, 2, ceil=True))
    assert x.shape == (15, 15, 6)
    x = loops.relu(loops.conv(x, p["conv2"], stride=2))
    x = loops.local_response_norm(loops.max_pool(x, 3, 2, ceil=True))
    assert x.shape == (3, 3, 7)
    for name in ("conv3", "conv4", "conv5"):
        x = loops.relu(loops.conv(x, p[name], padding=1))
    x = loops.max_pool(x, 3, 2)
    for name in ("fc6", "fc7"):
        x = loops.relu(loops.dense(x, p[name]))
    assert np.count_nonzero(x) >= 3  # or the scores would not depend on the image
    expected = loops.dense(x, p["fc8"])
    # float32, 8 layers
    np.testing.assert_allclose(scores[0], expected, atol=1e-4 * np.abs(expected).max())


def test_weights_start_as_section_3_says_and_dropout_is_on_6_and_7():
    network = MODELS["zfnet"].build()
    assert network.initializer.func is gaussian
    assert network.initializer.keywords == {"deviation": 0.01}
    assert all(getattr(row, "bias", 0.0) == 0.0 for row in network.table)
    rates = {row.name: row.dropout for row in network.table if isinstance(row, Dense)}
    assert rates == {"fc6": 0.5, "fc7": 0.5}


def test_jarretts_contrast_normalisation_fits_in_the_place_of_the_norms():
    edited = cnn_jax.replace(
        MODELS["zfnet"].build(),
        norm1=LocalContrastNorm("norm1"),
        norm2=LocalContrastNorm("norm2"),
    )
    assert row_shapes(edited)["norm2"] == (13, 13, 256)


def test_the_small_network_has_the_same_layers_at_an_eighth_of_the_width():
    small, printed = MODELS["zfnet_small"].build(), MODELS["zfnet"].build()
    assert [(type(r), r.name) for r in small.table] == [
        (type(r), r.name) for r in printed.table
    ]
    shapes, large = row_shapes(small), row_shapes(printed)
    assert all(8 * shapes[n][-1] == large[n][-1] for n in shapes if n != "fc8")
    edges = [shapes[name][0] for name in ("conv1", "pool1", "conv2", "pool2", "pool5")]
    assert edges == [32, 16, 8, 4, 2]


def test_an_image_that_vanishes_is_refused_with_the_layer():
    # 42 pixels: 19 after conv1, 9 after pool1, 3 after conv2, 1 after pool2.
    with pytest.raises(ValueError, match=r"^pool5: a window of 3 does not fit 1 pixels"):
        trace_output(MODELS["zfnet"].build(input_shape=(42, 42, 3)))
