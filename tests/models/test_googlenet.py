import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnn_jax.models.googlenet as googlenet
from cnn_jax.analysis.compute import count_macs, layer_macs
from cnn_jax.errors import UserError
from cnn_jax.layers.auxiliary_head import AuxiliaryHead
from cnn_jax.layers.editing import replace, resize, without
from cnn_jax.layers.inception import DropoutRow
from cnn_jax.layers.rows import AveragePool, Classifier, Conv, LocalResponseNorm, MaxPool
from cnn_jax.layers.tracing import count_parameters, trace_output, trace_variables
from cnn_jax.models.googlenet import GoogLeNet, GoogLeNetSmall, Inception
from tests.models.inception_by_loops import (
    check_layers,
    correlate,
    dense,
    output_shapes,
    parameters,
    pool,
    random_images,
    random_variables,
    relu,
    response_norm,
    run,
)

# Output shape, parameters, multiply-adds: Szegedy et al. 2015, Table 1, and arithmetic
# (papers/reference.json). The sum of the parameters is Caffe's bvlc_googlenet.
LAYERS = {
    "conv1": ((112, 112, 64), 9_472, 118_013_952),
    "pool1": ((56, 56, 64), 0, 0),
    "norm1": ((56, 56, 64), 0, 0),
    "conv2_reduce": ((56, 56, 64), 4_160, 12_845_056),
    "conv2": ((56, 56, 192), 110_784, 346_816_512),
    "norm2": ((56, 56, 192), 0, 0),
    "pool2": ((28, 28, 192), 0, 0),
    "inception_3a": ((28, 28, 256), 163_696, 128_049_152),
    "inception_3b": ((28, 28, 480), 388_736, 304_267_264),
    "pool3": ((14, 14, 480), 0, 0),
    "inception_4a": ((14, 14, 512), 376_176, 73_608_192),
    "inception_4b": ((14, 14, 512), 449_160, 87_908_352),
    "inception_4c": ((14, 14, 512), 510_104, 99_850_240),
    "inception_4d": ((14, 14, 528), 605_376, 118_515_712),
    "inception_4e": ((14, 14, 832), 868_352, 169_996_288),
    "pool4": ((7, 7, 832), 0, 0),
    "inception_5a": ((7, 7, 832), 1_043_456, 51_079_168),
    "inception_5b": ((7, 7, 1024), 1_444_080, 70_697_984),
    "pool5": ((1, 1, 1024), 0, 0),
    "dropout": ((1, 1, 1024), 0, 0),
    "linear": ((1000,), 1_025_000, 1_024_000),
}

TINY = GoogLeNet(
    num_classes=3,
    input_shape=(23, 23, 2),
    table=(
        Conv("conv1", 6, 7, 2, 3, bias=0.2),  # 23 -> 12
        MaxPool("pool1", 3, 2, ceil=True),  # 12 -> 6: the last window hangs over
        LocalResponseNorm("norm1", k=1.0, n=5, alpha=0.02, beta=0.75),
        Conv("conv2_reduce", 4, 1),
        Conv("conv2", 7, 3, 1, 1),
        LocalResponseNorm("norm2", k=1.0, n=5, alpha=0.02, beta=0.75),
        MaxPool("pool2", 3, 2, ceil=True),  # 6 -> 3
        Inception("inception_3a", 3, 3, 4, 2, 3, 4),
        AuxiliaryHead("aux1", 2, 1, 3, 5, dropout=0.0),
        Inception("inception_3b", 3, 3, 4, 3, 2, 4),
        AveragePool("pool5", 3, 1),
        DropoutRow("dropout", 0.0),
        Classifier("linear"),
    ),
)


def _module(x, params):
    """Szegedy et al. 2015, Figure 2b."""

    def unit(x, name):
        return relu(correlate(x, params[name]["kernel"]) + params[name]["bias"])

    # One pixel before the image: windows are centred, as many as pixels.
    largest = pool(x, 3, 1, np.max, before=1, count=x.shape[1])
    return np.concatenate(
        [
            unit(x, "conv1x1"),
            unit(unit(x, "conv3x3_reduce"), "conv3x3"),
            unit(unit(x, "conv5x5_reduce"), "conv5x5"),
            unit(largest, "pool_proj"),
        ],
        axis=-1,
    )


def _by_loops(params, x):
    """Figure 3, cut short: (logits, logits of the head)."""
    rows = {row.name: row for row in TINY.table}
    conv1, conv2 = params["conv1"], params["conv2"]
    x = relu(correlate(x, conv1["kernel"], stride=2, padding=3) + conv1["bias"])
    x = response_norm(pool(x, 3, 2, np.max), rows["norm1"])
    reduce = params["conv2_reduce"]
    x = relu(correlate(x, reduce["kernel"]) + reduce["bias"])
    x = relu(correlate(x, conv2["kernel"], padding=1) + conv2["bias"])
    x = pool(response_norm(x, rows["norm2"]), 3, 2, np.max)
    x = _module(x, params["inception_3a"])
    head = params["aux1"]
    side = pool(x, 2, 1, np.mean)
    side = relu(correlate(side, head["conv"]["kernel"]) + head["conv"]["bias"])
    side = dense(relu(dense(side, head["hidden"])), head["classifier"])
    x = _module(x, params["inception_3b"]).mean((1, 2))
    return dense(x, params["linear"]), side


@pytest.mark.parametrize("train", [False, True])
def test_a_reduced_network_equals_loops_written_from_the_paper(draw, train):
    variables = random_variables(TINY, draw)
    images = random_images(TINY, draw)
    logits, heads, _ = run(TINY, variables, images, train=train)
    expected, side = _by_loops(variables["params"], images)
    # float32 against float64 through ten layers.
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
    assert np.ptp(expected, axis=0).max() > 0.1  # the images still matter
    assert list(heads) == (["aux1"] if train else [])
    if train:
        np.testing.assert_allclose(heads["aux1"], side, rtol=1e-4, atol=1e-5)


def test_every_layer_has_table_1s_shape_parameters_and_multiply_adds(monkeypatch):
    assert check_layers(GoogLeNet(), LAYERS, monkeypatch) == 63


def test_table_1_counts_22_layers_with_parameters():
    depth = {Inception: 2, Conv: 1, Classifier: 1}
    assert sum(depth.get(type(row), 0) for row in GoogLeNet().table) == 22


def test_both_heads_have_the_parameters_of_section_5_and_none_of_them_counts():
    counted = parameters(GoogLeNet())
    # 1 x 1 to 128; 4 x 4 x 128 to 1024; 1024 to 1000; with biases.
    shared = 128 + (2048 * 1024 + 1024) + (1024 * 1000 + 1000)
    assert counted["aux1"] == 512 * 128 + shared == 3_188_840
    assert counted["aux2"] == 528 * 128 + shared == 3_190_888
    assert sum(counted.values()) == 13_378_280
    assert count_parameters(GoogLeNet()) == 6_998_552
    off = GoogLeNet(auxiliary_heads=False)
    assert sum(parameters(off).values()) == 6_998_552


def test_weights_start_as_in_caffes_port():
    key = jax.random.key(0)
    weights = np.asarray(googlenet.caffe_xavier(key, (3, 3, 100, 40)))
    assert abs(weights).max() <= np.sqrt(3 / 900)
    # 36,000 draws: the deviation of their deviation is 0.25 %.
    assert weights.std() == pytest.approx(np.sqrt(1 / 900), rel=0.01)
    assert GoogLeNet().initializer is googlenet.caffe_xavier


def test_biases_start_from_a_fifth_but_for_the_classifiers():
    zeros = jax.nn.initializers.zeros  # random kernels take seconds to compile
    model, images = TINY.clone(initializer=zeros), jnp.zeros((1, 23, 23, 2))
    params = jax.jit(lambda: model.init(jax.random.key(0), images, train=False))()["params"]
    conv5x5, hidden = params["inception_3a"]["conv5x5"], params["aux1"]["hidden"]
    for layer in (params["conv1"], conv5x5, params["aux1"]["conv"], hidden):
        np.testing.assert_array_equal(layer["bias"], np.float32(0.2))
    for layer in (params["linear"], params["aux1"]["classifier"]):
        np.testing.assert_array_equal(layer["bias"], 0.0)
    assert {row.bias for row in GoogLeNet().table if isinstance(row, Conv)} == {0.2}


def test_removing_the_row_under_a_head_moves_the_head_one_row_down():
    edited = without(GoogLeNet(), "inception_4a")
    kernel = trace_variables(edited)["params"]["aux1"]["conv"]["kernel"]
    assert kernel.shape == (1, 1, 480, 128)  # pool3 has 480 channels, inception_4a 512


def test_a_head_can_be_removed_and_resized_like_any_row():
    assert "aux1" not in trace_variables(without(GoogLeNet(), "aux1"))["params"]
    hidden = trace_variables(resize(GoogLeNet(), aux2=64))["params"]["aux2"]["hidden"]
    assert hidden["kernel"].shape == (2048, 64)


def test_removing_4c_changes_nothing_but_4c():
    printed = parameters(GoogLeNet())
    edited = parameters(without(GoogLeNet(), "inception_4c"))
    # Both neighbours have 512 channels.
    assert {name: printed[name] for name in edited} == edited
    assert set(printed) - set(edited) == {"inception_4c"}


def test_a_module_is_replaced_but_has_no_single_width_to_resize():
    wide = Inception("inception_4c", 256, 128, 256, 24, 64, 64)
    edited = replace(GoogLeNet(), inception_4c=wide)
    kernel = trace_variables(edited)["params"]["inception_4d"]["conv1x1"]["kernel"]
    assert kernel.shape == (1, 1, 640, 112)
    with pytest.raises(UserError, match="inception_4c has no features to resize, only"):
        resize(GoogLeNet(), inception_4c=256)


REFUSALS = {
    "aux1: a window of 5 does not fit 2 pixels": {"input_shape": (32, 32, 3)},
    "pool4: a window of 3 does not fit 2 pixels": {
        "input_shape": (32, 32, 3),
        "auxiliary_heads": False,
    },
    "pool5: a window of 7 does not fit 6 pixels": {"input_shape": (192, 224, 3)},
}


@pytest.mark.parametrize("message", REFUSALS)
def test_an_image_that_is_too_small_is_refused_with_the_layer_where_it_vanishes(message):
    with pytest.raises(ValueError, match=re.escape(message)):
        trace_output(GoogLeNet(**REFUSALS[message]))


def test_other_sizes_of_images_work_where_the_windows_fit(monkeypatch):
    shapes = output_shapes(GoogLeNet(input_shape=(256, 288, 3)), monkeypatch)
    assert shapes["inception_4a"] == (16, 18, 512)
    assert shapes["inception_5b"] == (8, 9, 1024)
    assert shapes["linear"] == (1000,)


@pytest.mark.slow
def test_the_small_network_has_the_same_layers_at_a_quarter_of_the_width(monkeypatch):
    small, printed = GoogLeNetSmall(), GoogLeNet()
    assert [r.name for r in small.table] == [r.name for r in printed.table]
    assert [type(r) for r in small.table] == [type(r) for r in printed.table]
    shapes = output_shapes(small, monkeypatch)
    for name, (shape, _, _) in LAYERS.items():
        if name != "linear":
            assert shapes[name][-1] * 4 == shape[-1]
    edges = [shapes[name][0] for name in ("conv1", "conv2", "pool2", "pool3", "pool4")]
    assert edges == [32, 16, 8, 4, 2]
    for narrow, wide in zip(small.table, printed.table, strict=True):
        if isinstance(narrow, Inception):
            widths = [list(vars(row).values())[1:] for row in (narrow, wide)]
            assert np.array_equal(4 * np.array(widths[0]), widths[1])
    assert count_macs(small) == sum(layer_macs(small).values()) <= 8_000_000
