import numpy as np
import pytest

import cnn_jax
from cnn_jax.layers.editing import replace, resize, without
from cnn_jax.layers.initializers import glorot
from cnn_jax.layers.rows import Conv, Dense
from cnn_jax.layers.tracing import count_parameters, trace_output, trace_variables
from cnn_jax.models.vgg import MODELS, TABLES
from tests import loops
from tests.reference_rows import check_rows, loud_scores

# Simonyan & Zisserman 2015, Table 1, by arithmetic: output, parameters, multiply-adds.
# fmt: off
E_ROWS = [
    ("conv1_1", (224, 224, 64),       1_792,    86_704_128),
    ("conv1_2", (224, 224, 64),      36_928, 1_849_688_064),
    ("pool1",   (112, 112, 64),           0,             0),
    ("conv2_1", (112, 112, 128),     73_856,   924_844_032),
    ("conv2_2", (112, 112, 128),    147_584, 1_849_688_064),
    ("pool2",   (56, 56, 128),            0,             0),
    ("conv3_1", (56, 56, 256),      295_168,   924_844_032),
    ("conv3_2", (56, 56, 256),      590_080, 1_849_688_064),
    ("conv3_3", (56, 56, 256),      590_080, 1_849_688_064),
    ("conv3_4", (56, 56, 256),      590_080, 1_849_688_064),
    ("pool3",   (28, 28, 256),            0,             0),
    ("conv4_1", (28, 28, 512),    1_180_160,   924_844_032),
    ("conv4_2", (28, 28, 512),    2_359_808, 1_849_688_064),
    ("conv4_3", (28, 28, 512),    2_359_808, 1_849_688_064),
    ("conv4_4", (28, 28, 512),    2_359_808, 1_849_688_064),
    ("pool4",   (14, 14, 512),            0,             0),
    ("conv5_1", (14, 14, 512),    2_359_808,   462_422_016),
    ("conv5_2", (14, 14, 512),    2_359_808,   462_422_016),
    ("conv5_3", (14, 14, 512),    2_359_808,   462_422_016),
    ("conv5_4", (14, 14, 512),    2_359_808,   462_422_016),
    ("pool5",   (7, 7, 512),              0,             0),
    ("fc6",     (4096,),        102_764_544,   102_760_448),
    ("fc7",     (4096,),         16_781_312,    16_777_216),
    ("fc8",     (1000,),          4_097_000,     4_096_000),
]
ONES = {
    "conv3_3": ("conv3_3", (56, 56, 256), 65_792, 205_520_896),
    "conv4_3": ("conv4_3", (28, 28, 512), 262_656, 205_520_896),
    "conv5_3": ("conv5_3", (14, 14, 512), 262_656, 51_380_224),
}
# fmt: on
LRN = ("lrn", (224, 224, 64), 0, 0)

D_ROWS = [row for row in E_ROWS if not row[0].endswith("_4")]
C_ROWS = [ONES.get(row[0], row) for row in D_ROWS]
B_ROWS = [row for row in D_ROWS if not row[0].endswith("_3")]
A_ROWS = [row for row in B_ROWS if row[0] not in ("conv1_2", "conv2_2")]
ROWS = {
    "vgg_a": A_ROWS,
    "vgg_a_lrn": [A_ROWS[0], LRN, *A_ROWS[1:]],
    "vgg_b": B_ROWS,
    "vgg_c": C_ROWS,
    "vgg_d": D_ROWS,
    "vgg_e": E_ROWS,
}


def test_every_row_of_every_configuration_is_the_papers():
    checked = {name: check_rows(MODELS[name].build(), ROWS[name]) for name in MODELS}
    # 16, 17, 18, 21, 21 and 24 rows: 117 rows of three entries.
    assert sum(checked.values()) == 351


@pytest.mark.parametrize(
    ("name", "weight_layers", "millions"),
    [
        # Table 1, first line, and Table 2.
        ("vgg_a", 11, 133),
        ("vgg_a_lrn", 11, 133),
        ("vgg_b", 13, 133),
        ("vgg_c", 16, 134),
        ("vgg_d", 16, 138),
        ("vgg_e", 19, 144),
    ],
)
def test_the_totals_are_the_printed_ones(name, weight_layers, millions):
    spec = MODELS[name]
    assert sum(row[2] for row in ROWS[name]) == spec.parameters
    assert sum(row[3] for row in ROWS[name]) == spec.macs
    assert sum(row[2] > 0 for row in ROWS[name]) == weight_layers
    assert round(spec.parameters / 10**6) == millions


def _narrow(name):
    """Return the configuration with four to eight maps, for 32 x 32 images."""
    network = MODELS[name].build(input_shape=(32, 32, 3), num_classes=3)
    widths = {"1": 4, "2": 6, "3": 8, "4": 7, "5": 8}
    convs = [row.name for row in network.table if isinstance(row, Conv)]
    maps = {conv: widths[conv[4]] for conv in convs}
    return resize(network, **maps, fc6=12, fc7=12)


# The windows of Table 1, written out a second time, column by column.
WINDOWS = {
    "vgg_a": "3 M 3 M 33 M 33 M 33 M",
    "vgg_a_lrn": "3L M 3 M 33 M 33 M 33 M",
    "vgg_b": "33 M 33 M 33 M 33 M 33 M",
    "vgg_c": "33 M 33 M 331 M 331 M 331 M",
    "vgg_d": "33 M 33 M 333 M 333 M 333 M",
    "vgg_e": "33 M 33 M 3333 M 3333 M 3333 M",
}


@pytest.mark.parametrize("name", ["vgg_a_lrn", "vgg_c"])
def test_the_forward_pass_is_the_papers(name, draw):
    # As bright as pixels, so that the normalisation sees its place before the pool.
    images = 255 * draw.standard_normal((1, 32, 32, 3)).astype(np.float32)
    scores, p = loud_scores(_narrow(name), images, draw)
    x = np.float64(images[0])
    for number, block in enumerate(WINDOWS[name].split(" M")[:5], 1):
        for i, window in enumerate(block.strip().replace("L", ""), 1):
            weights = p[f"conv{number}_{i}"]
            assert weights["kernel"].shape[:2] == (int(window), int(window))
            x = loops.relu(loops.conv(x, weights, padding={"3": 1, "1": 0}[window]))
        if "L" in block:
            x = loops.local_response_norm(x)
        x = loops.max_pool(x, 2, 2)
    assert x.shape == (1, 1, 8)
    x = loops.relu(loops.dense(x, p["fc6"]))
    x = loops.relu(loops.dense(x, p["fc7"]))
    assert np.count_nonzero(x) >= 3  # or the scores would not depend on the image
    expected = loops.dense(x, p["fc8"])
    # float32, up to 19 layers
    np.testing.assert_allclose(scores[0], expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", WINDOWS)
def test_the_windows_are_those_of_table_1(name):
    blocks = [block.strip().replace("L", "") for block in WINDOWS[name].split(" M")[:5]]
    found = [
        "".join(
            str(row.kernel)
            for row in MODELS[name].build().table
            if isinstance(row, Conv) and row.name.startswith(f"conv{number}_")
        )
        for number in range(1, 6)
    ]
    assert found == blocks


def test_dropout_stands_on_fc6_and_fc7_and_biases_start_from_zero():
    for spec in MODELS.values():
        network = spec.build()
        rates = {r.name: r.dropout for r in network.table if isinstance(r, Dense)}
        assert rates == {"fc6": 0.5, "fc7": 0.5}
        assert all(getattr(row, "bias", 0.0) == 0.0 for row in network.table)
        assert network.initializer is glorot


def test_the_smaller_configurations_are_edits_of_e():
    e = MODELS["vgg_e"].build()
    fours = [f"conv{block}_4" for block in (3, 4, 5)]
    threes = [f"conv{block}_3" for block in (3, 4, 5)]
    assert without(e, *fours).table == TABLES["d"]
    assert without(e, *fours, *threes).table == TABLES["b"]
    assert without(e, *fours, *threes, "conv1_2", "conv2_2").table == TABLES["a"]
    ones = {name: Conv(name, {"3": 256}.get(name[4], 512), 1) for name in threes}
    assert replace(without(e, *fours), **ones).table == TABLES["c"]


def test_a_narrower_fc6_changes_two_kernels():
    edited = cnn_jax.resize(MODELS["vgg_d"].build(), fc6=1024)
    params = trace_variables(edited)["params"]
    assert params["fc6"]["kernel"].shape == (25088, 1024)
    assert params["fc7"]["kernel"].shape == (1024, 4096)
    # 3072 units less, each with 25088 inputs, a bias and 4096 outputs.
    assert count_parameters(edited) == 138_357_544 - 3072 * (25088 + 1 + 4096)


def test_an_image_that_vanishes_is_refused_with_the_layer():
    with pytest.raises(ValueError, match=r"^pool5: a window of 2 does not fit 1 pixels"):
        trace_output(MODELS["vgg_d"].build(input_shape=(31, 31, 3)))
    with pytest.raises(ValueError, match=r"^pool4: a window of 2 does not fit 1 pixels"):
        trace_output(MODELS["vgg_a"].build(input_shape=(15, 64, 3)))
