import math

import numpy as np
import pytest

from cnn_jax.errors import UserError
from cnn_jax.layers.auxiliary_head import AuxiliaryHead
from cnn_jax.layers.batch_norm import BatchNorm
from cnn_jax.layers.batch_norm_conv import ConvNorm
from cnn_jax.layers.editing import replace, resize, without
from cnn_jax.layers.inception import DropoutRow
from cnn_jax.layers.rows import AveragePool, Classifier, MaxPool
from cnn_jax.layers.tracing import count_parameters, trace_output, trace_variables
from cnn_jax.models.inception_v3 import (
    InceptionA,
    InceptionB,
    InceptionC,
    InceptionV3,
    ReductionA,
    ReductionB,
)
from tests.models.inception_by_loops import (
    VALID,
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

# Output shape, parameters, multiply-adds of the released network: torchvision's and
# TF-slim's source, and arithmetic (papers/reference.json).
LAYERS = {
    "conv2d_1a_3x3": ((149, 149, 32), 928, 19_181_664),
    "conv2d_2a_3x3": ((147, 147, 32), 9_280, 199_148_544),
    "conv2d_2b_3x3": ((147, 147, 64), 18_560, 398_297_088),
    "pool1": ((73, 73, 64), 0, 0),
    "conv2d_3b_1x1": ((73, 73, 80), 5_280, 27_284_480),
    "conv2d_4a_3x3": ((71, 71, 192), 138_624, 696_867_840),
    "pool2": ((35, 35, 192), 0, 0),
    "mixed_5b": ((35, 35, 256), 255_904, 312_345_600),
    "mixed_5c": ((35, 35, 288), 277_472, 338_688_000),
    "mixed_5d": ((35, 35, 288), 285_152, 348_096_000),
    "mixed_6a": ((17, 17, 768), 1_153_280, 401_937_408),
    "mixed_6b": ((17, 17, 768), 1_297_408, 374_063_104),
    "mixed_6c": ((17, 17, 768), 1_691_008, 487_702_528),
    "mixed_6d": ((17, 17, 768), 1_691_008, 487_702_528),
    "mixed_6e": ((17, 17, 768), 2_141_952, 617_914_368),
    "mixed_7a": ((8, 8, 1280), 1_698_304, 291_004_416),
    "mixed_7b": ((8, 8, 2048), 5_044_608, 322_437_120),
    "mixed_7c": ((8, 8, 2048), 6_076_800, 388_497_408),
    "pool3": ((1, 1, 2048), 0, 0),
    "dropout": ((1, 1, 2048), 0, 0),
    "linear": ((1000,), 2_049_000, 2_048_000),
}

NORM = BatchNorm(epsilon=0.01, momentum=0.7)  # large enough to show
TINY = InceptionV3(
    num_classes=3,
    input_shape=(31, 31, 2),
    batch_norm=NORM,
    table=(
        ConvNorm("conv2d_1a_3x3", 3, 3, 2, "valid"),  # 31 -> 15
        ConvNorm("conv2d_2b_3x3", 2, 3, 1, "same"),
        InceptionA("mixed_5b", 2, 3, 2, 2, 3, 4),
        ReductionA("mixed_6a", 2, 3, 2),  # 15 -> 7
        InceptionB("mixed_6b", 2, 3, 4, 2, 3, 4),
        AuxiliaryHead("aux1", 5, 1, 2, 4, window=3),  # 7 -> 3 -> 1
        ReductionB("mixed_7a", 2, 3, 2, 4),  # 7 -> 3
        InceptionC("mixed_7b", 2, 3, 2, 3, 4, 2),
        AveragePool("pool3", 3, 1),
        DropoutRow("dropout", 0.0),
        Classifier("linear"),
    ),
)


def _chain(unit, name, x, *layers):
    for layer in layers:
        x = unit(x, name, layer)
    return x


def _pooled(unit, name, x, combine=np.mean):
    """The mean of the pixels inside the image, then a projection."""
    return unit(pool(x, 3, 1, combine, before=1, count=x.shape[1]), name, "pool_proj")


def _by_loops(unit, x, params):
    """Figures 5 to 8 and 10 as released, cut short: (logits, logits of the head)."""
    join = lambda *branches: np.concatenate(branches, axis=-1)  # noqa: E731
    halve = {"stride": 2, "padding": VALID}
    x = unit(x, "conv2d_1a_3x3", **halve)
    x = unit(x, "conv2d_2b_3x3")
    x = join(
        unit(x, "mixed_5b", "conv1x1"),
        _chain(unit, "mixed_5b", x, "conv5x5_reduce", "conv5x5"),
        _chain(unit, "mixed_5b", x, "double3x3_reduce", "double3x3_a", "double3x3_b"),
        _pooled(unit, "mixed_5b", x),
    )
    double = _chain(unit, "mixed_6a", x, "double3x3_reduce", "double3x3_a")
    x = join(
        unit(x, "mixed_6a", "conv3x3", **halve),
        unit(double, "mixed_6a", "double3x3_b", **halve),
        pool(x, 3, 2, np.max),
    )
    double = ("double7x1_a", "double1x7_a", "double7x1_b", "double1x7_b")
    x = join(
        unit(x, "mixed_6b", "conv1x1"),
        _chain(unit, "mixed_6b", x, "conv7x7_reduce", "conv1x7", "conv7x1"),
        _chain(unit, "mixed_6b", x, "double7x7_reduce", *double),
        _pooled(unit, "mixed_6b", x),
    )
    side = None
    if unit.train:
        side = unit(pool(x, 5, 1, np.mean), "aux1", "conv")
        side = unit(side, "aux1", "hidden", padding=VALID)
        side = dense(side, params["aux1"]["classifier"])
    seven = _chain(
        unit, "mixed_7a", x, "conv7x7x3_reduce", "conv7x7x3_row", "conv7x7x3_column"
    )
    x = join(
        unit(unit(x, "mixed_7a", "conv3x3_reduce"), "mixed_7a", "conv3x3", **halve),
        unit(seven, "mixed_7a", "conv7x7x3", **halve),
        pool(x, 3, 2, np.max),
    )
    three = unit(x, "mixed_7b", "conv3x3_reduce")
    double = _chain(unit, "mixed_7b", x, "double3x3_reduce", "double3x3")
    x = join(
        unit(x, "mixed_7b", "conv1x1"),
        unit(three, "mixed_7b", "conv1x3"),
        unit(three, "mixed_7b", "conv3x1"),
        unit(double, "mixed_7b", "double1x3"),
        unit(double, "mixed_7b", "double3x1"),
        _pooled(unit, "mixed_7b", x),
    )
    return dense(x.mean((1, 2)), params["linear"]), side


@pytest.mark.parametrize("train", [False, True])
def test_a_reduced_network_equals_loops_written_from_the_paper(draw, train):
    variables = random_variables(TINY, draw)
    images = random_images(TINY, draw)
    unit = Normalised(variables, NORM, train=train)
    expected, side = _by_loops(unit, images, variables["params"])
    logits, heads, batch_stats = run(TINY, variables, images, train=train)
    # float32 against float64; batch statistics of few values divide small differences.
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4)
    assert np.ptp(expected, axis=0).max() > 0.1  # the images still matter
    assert list(heads) == (["aux1"] if train else [])
    if train:
        np.testing.assert_allclose(heads["aux1"], side, rtol=1e-3, atol=1e-4)
        assert check_statistics(unit.updated, batch_stats) == 2 + 7 + 4 + 10 + 2 + 6 + 9


def test_kernels_lie_the_way_the_release_has_them():
    def shape(name, layer):
        return params[name][layer]["kernel"].shape

    params = trace_variables(InceptionV3())["params"]
    assert shape("mixed_6b", "conv1x7") == (1, 7, 128, 128)  # height, width
    assert shape("mixed_6b", "conv7x1") == (7, 1, 128, 192)
    assert shape("mixed_6b", "double7x1_a") == (7, 1, 128, 128)
    assert shape("mixed_6b", "double1x7_b") == (1, 7, 128, 192)
    assert shape("mixed_7a", "conv7x7x3_row") == (1, 7, 192, 192)
    assert shape("mixed_7b", "conv1x3") == (1, 3, 384, 384)
    assert shape("mixed_7c", "double3x1") == (3, 1, 384, 384)


def test_every_layer_has_the_references_shape_parameters_and_multiply_adds(monkeypatch):
    assert check_layers(InceptionV3(), LAYERS, monkeypatch) == 63


def test_the_head_has_3_326_696_parameters_that_do_not_count():
    counted = parameters(InceptionV3())
    # 1 x 1 to 128; 5 x 5 to 768; two numbers a channel for the norms; the classifier.
    head = (768 * 128 + 256) + (25 * 128 * 768 + 1536) + (768 * 1000 + 1000)
    assert counted["aux1"] == head == 3_326_696
    assert sum(counted.values()) == 27_161_264
    assert count_parameters(InceptionV3()) == 23_834_568
    off = trace_variables(InceptionV3(auxiliary_heads=False))
    assert "aux1" not in off["params"]
    assert "aux1" not in off["batch_stats"]


def test_two_numbers_a_channel_belong_to_batch_normalisation():
    stats = trace_variables(InceptionV3(auxiliary_heads=False))["batch_stats"]
    leaves = [math.prod(leaf.shape) for leaf in _leaves(stats)]
    assert sum(leaves) == 34_432  # the reference's bn_affine
    assert len(leaves) == 2 * 94  # convolutions of the main network


def _leaves(tree):
    if hasattr(tree, "shape"):
        return [tree]
    return [leaf for branch in tree.values() for leaf in _leaves(branch)]


def test_the_statistics_and_the_dropout_are_the_releases():
    assert InceptionV3().batch_norm == BatchNorm(epsilon=0.001, momentum=0.9997)
    rates = [row.rate for row in InceptionV3().table if isinstance(row, DropoutRow)]
    assert rates == [0.2]


@pytest.mark.slow
def test_the_head_follows_when_the_module_under_it_is_removed():
    edited = trace_variables(without(InceptionV3(), "mixed_6a"))
    # 35 x 35 maps: 11 x 11 means, 7 x 7 hidden positions.
    kernel = edited["params"]["aux1"]["classifier"]["kernel"]
    assert kernel.shape == (7 * 7 * 768, 1000)
    assert "aux1" not in trace_variables(without(InceptionV3(), "aux1"))["params"]


@pytest.mark.slow
def test_stem_rows_are_resized_and_modules_replaced():
    wide = resize(InceptionV3(), conv2d_4a_3x3=256)
    kernel = trace_variables(wide)["params"]["mixed_5b"]["conv1x1"]["kernel"]
    assert kernel.shape == (1, 1, 256, 64)
    narrow = replace(InceptionV3(), mixed_7c=InceptionC("mixed_7c", 2, 2, 2, 2, 2, 2))
    kernel = trace_variables(narrow)["params"]["linear"]["kernel"]
    assert kernel.shape == (2 + 4 + 4 + 2, 1000)
    with pytest.raises(UserError, match="mixed_7c has no features to resize"):
        resize(InceptionV3(), mixed_7c=3)


WRONG = {
    "pool1: it slides over images": {
        "conv2d_2b_3x3": Classifier("conv2d_2b_3x3"),
    },
    "conv2d_2a_3x3: kernel = 0; a whole number of at least 1 is needed": {
        "conv2d_2a_3x3": ConvNorm("conv2d_2a_3x3", 32, 0),
    },
    "padding 'full' is not one of 'same', 'valid'": {
        "conv2d_2a_3x3": ConvNorm("conv2d_2a_3x3", 32, 3, 1, "full"),
    },
    "mixed_5b: it slides over images": {"pool2": Classifier("pool2")},
    "aux1: it slides over images": {"mixed_6e": Classifier("mixed_6e")},
    "mixed_6a: a window of 3 does not fit 2 pixels with padding 0": {
        "mixed_5d": MaxPool("mixed_5d", 20, 15),
    },
}


@pytest.mark.parametrize("message", WRONG)
def test_rows_that_do_not_fit_are_refused_with_the_layer_and_the_reason(message):
    with pytest.raises(UserError, match=message):
        replace(InceptionV3(), **WRONG[message])


def test_an_image_that_is_too_small_is_refused_with_the_layer_where_it_vanishes():
    with pytest.raises(ValueError, match="aux1: a window of 5 does not fit 3 pixels"):
        trace_output(InceptionV3(input_shape=(75, 75, 3)))
    off = InceptionV3(input_shape=(75, 75, 3), auxiliary_heads=False)
    with pytest.raises(ValueError, match="pool3: a window of 8 does not fit 1 pixels"):
        trace_output(off)
