import numpy as np
import pytest

from cnn_jax.errors import UserError
from cnn_jax.layers.batch_norm import BatchNorm
from cnn_jax.layers.batch_norm_conv import ConvNorm
from cnn_jax.layers.editing import replace, resize, without
from cnn_jax.layers.rows import AveragePool, Classifier, MaxPool
from cnn_jax.layers.tracing import count_parameters, trace_output, trace_variables
from cnn_jax.models.bn_inception import BNInception, Inception
from tests.models.inception_by_loops import (
    Normalised,
    check_layers,
    check_statistics,
    dense,
    parameters,
    pool,
    random_images,
    random_variables,
    run,
)

# Output shape, parameters, multiply-adds: Ioffe and Szegedy 2015, Figure 5, with 96
# channels of the pool in 4c and 4d, and arithmetic (papers/reference.json).
LAYERS = {
    "conv1": ((112, 112, 64), 9_536, 118_013_952),
    "pool1": ((56, 56, 64), 0, 0),
    "conv2_reduce": ((56, 56, 64), 4_224, 12_845_056),
    "conv2": ((56, 56, 192), 110_976, 346_816_512),
    "pool2": ((28, 28, 192), 0, 0),
    "inception_3a": ((28, 28, 256), 219_072, 170_999_808),
    "inception_3b": ((28, 28, 320), 260_160, 203_112_448),
    "inception_3c": ((14, 14, 576), 385_088, 143_904_768),
    "inception_4a": ((14, 14, 576), 609_984, 119_218_176),
    "inception_4b": ((14, 14, 576), 665_344, 130_056_192),
    "inception_4c": ((14, 14, 576), 895_936, 175_214_592),
    "inception_4d": ((14, 14, 576), 1_108_032, 216_760_320),
    "inception_4e": ((7, 7, 1024), 1_439_744, 162_570_240),
    "inception_5a": ((7, 7, 1024), 2_182_272, 106_774_528),
    "inception_5b": ((7, 7, 1024), 2_279_616, 111_541_248),
    "pool5": ((1, 1, 1024), 0, 0),
    "linear": ((1000,), 1_025_000, 1_024_000),
}

NORM = BatchNorm(epsilon=0.01, momentum=0.7)  # large enough to show
TINY = BNInception(
    num_classes=3,
    input_shape=(24, 24, 2),
    batch_norm=NORM,
    table=(
        ConvNorm("conv1", 4, 7, 2),  # 24 -> 12: zeros, 2 before and 3 after
        MaxPool("pool1", 3, 2, ceil=True),  # 12 -> 6: the last window hangs over
        ConvNorm("conv2_reduce", 3, 1),
        ConvNorm("conv2", 5, 3),
        Inception("inception_3a", 2, 3, 4, 2, 3, "average", 6),
        Inception("inception_3c", 0, 2, 3, 2, 4, "max", 0, 2),  # 6 -> 3: 1 after
        Inception("inception_5b", 3, 2, 3, 2, 3, "max", 4),
        AveragePool("pool5", 3, 1),
        Classifier("linear"),
    ),
)


def _module(unit, name, x, combine):
    """Figure 5, a row without stride: 1 x 1, 3 x 3, double 3 x 3, pool with projection."""
    pooled = pool(x, 3, 1, combine, before=1, count=x.shape[1])
    return np.concatenate(
        [
            unit(x, name, "conv1x1"),
            unit(unit(x, name, "conv3x3_reduce"), name, "conv3x3"),
            unit(
                unit(unit(x, name, "double3x3_reduce"), name, "double3x3_a"),
                name,
                "double3x3_b",
            ),
            unit(pooled, name, "pool_proj"),
        ],
        axis=-1,
    )


def _halving_module(unit, name, x):
    """Figure 5, 3c and 4e: 3 x 3 / 2, double 3 x 3 / 2, the pool passes through."""
    double = unit(unit(x, name, "double3x3_reduce"), name, "double3x3_a")
    return np.concatenate(
        [
            unit(unit(x, name, "conv3x3_reduce"), name, "conv3x3", stride=2),
            unit(double, name, "double3x3_b", stride=2),
            pool(x, 3, 2, np.max),  # of 6 pixels: 3 windows, the last hangs over
        ],
        axis=-1,
    )


def _by_loops(unit, x, classifier):
    x = unit(x, "conv1", stride=2)
    x = pool(x, 3, 2, np.max)
    x = unit(unit(x, "conv2_reduce"), "conv2")
    # The mean of the pixels that lie inside the image: np.mean of the cut-off window.
    x = _module(unit, "inception_3a", x, np.mean)
    x = _halving_module(unit, "inception_3c", x)
    x = _module(unit, "inception_5b", x, np.max)
    return dense(x.mean((1, 2)), classifier)


@pytest.mark.parametrize("train", [False, True])
def test_a_reduced_network_equals_loops_written_from_the_paper(draw, train):
    variables = random_variables(TINY, draw)
    images = random_images(TINY, draw)
    unit = Normalised(variables, NORM, train=train)
    expected = _by_loops(unit, images, variables["params"]["linear"])
    logits, heads, batch_stats = run(TINY, variables, images, train=train)
    # float32 against float64; batch statistics of 27 values divide small differences.
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4)
    assert heads == {}
    assert np.ptp(expected, axis=0).max() > 0.1  # the images still matter
    if train:
        assert check_statistics(unit.updated, batch_stats) == 3 + 7 + 5 + 7


def test_every_layer_has_the_references_shape_parameters_and_multiply_adds(monkeypatch):
    assert check_layers(BNInception(), LAYERS, monkeypatch) == 51


def test_there_are_no_heads_and_every_channel_has_one_scale_and_one_shift():
    model = BNInception()
    counted = parameters(model)
    assert set(counted) <= set(LAYERS)
    shapes = {}
    for name, tree in trace_variables(model)["batch_stats"].items():
        shapes[name] = sum(
            leaf.shape[0] for leaf in _leaves(tree)
        )  # a mean and a variance each
    assert sum(shapes.values()) == 19_904  # the reference's bn_affine: 2 a channel


def _leaves(tree):
    if hasattr(tree, "shape"):
        return [tree]
    return [leaf for branch in tree.values() for leaf in _leaves(branch)]


def test_the_printed_projections_of_128_would_make_608_channels_and_11_285_224():
    model, rows = BNInception(), {row.name: row for row in BNInception().table}
    fields = {}
    for name in ("inception_4c", "inception_4d"):
        values = {**vars(rows[name]), "pool_proj": 128}
        fields[name] = Inception(**values)
    printed = replace(model, **fields)
    assert count_parameters(printed) == 11_285_224
    kernel = trace_variables(printed)["params"]["inception_4d"]["conv1x1"]["kernel"]
    assert kernel.shape[2] == 608


def test_the_paper_has_no_dropout_and_statistics_are_the_releases():
    assert BNInception().batch_norm == BatchNorm(epsilon=0.001, momentum=0.9997)
    assert not [row for row in BNInception().table if hasattr(row, "rate")]


def test_the_modules_that_halve_the_maps_can_be_removed():
    edited = without(BNInception(), "inception_3c", "inception_4e")
    # 28 x 28 maps to the end, so 22 x 22 means of 7 x 7.
    kernel = trace_variables(edited)["params"]["linear"]["kernel"]
    assert kernel.shape == (22 * 22 * 1024, 1000)
    with pytest.raises(UserError, match="inception_3c has no features to resize"):
        resize(BNInception(), inception_3c=3)


WRONG = {
    "inception_3a: conv1x1: features = 0; a whole number of at least 1": Inception(
        "inception_3a", 0, 64, 64, 64, 96, "average", 32
    ),
    "inception_3a: pool 'mean' is not one of 'max', 'average'": Inception(
        "inception_3a", 64, 64, 64, 64, 96, "mean", 32
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_a_row_that_is_no_module_is_refused_with_the_reason(message):
    with pytest.raises(UserError, match=message):
        replace(BNInception(), inception_3a=WRONG[message])


def test_an_image_that_is_too_small_is_refused_with_the_layer_where_it_vanishes():
    with pytest.raises(ValueError, match="pool5: a window of 7 does not fit 5 pixels"):
        trace_output(BNInception(input_shape=(160, 224, 3)))
