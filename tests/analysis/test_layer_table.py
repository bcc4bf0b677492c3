import subprocess
import sys
from collections import Counter
from functools import cache

import pytest

import cnn_jax
from cnn_jax.analysis.compute import count_macs, layer_macs
from cnn_jax.analysis.layer_table import layer_table, totals
from cnn_jax.errors import UserError
from cnn_jax.layers.editing import without
from cnn_jax.layers.rows import Classifier, Conv, Dense, MaxPool
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.layers.tracing import count_parameters, trace_output
from tests.models.alike import ALIKE


@cache
def table_of(name):
    """Return the table of a declared network, traced once for all tests."""
    return layer_table(cnn_jax.create_model(name))


def by_name(model, shape=None):
    return {row.name: row for row in layer_table(model, shape)}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in ALIKE else name
        for name in cnn_jax.list_models()
    ],
)
def test_the_rows_sum_to_the_declared_counts(name):
    spec = cnn_jax.model_spec(name)
    rows = table_of(name)
    assert [row.name for row in rows] == [row.name for row in spec.build().table]
    total = totals(rows)
    # Where no source allows a count, that of the network itself.
    assert total.parameters == (spec.parameters or count_parameters(spec.build()))
    assert total.macs == (spec.macs or count_macs(spec.build()))
    assert rows[-1].output_shape == spec.output_shape
    assert total.activation_memory == sum(
        row.activation_memory for row in rows if not row.name.startswith("aux")
    )


KNOWN = {
    # By size += (window - 1) * stride, stride *= step, row by row.
    "alexnet": {
        "conv1": (11, 4),
        "pool1": (19, 8),
        "conv2": (51, 8),
        "pool2": (67, 16),
        "conv3": (99, 16),
        "conv4": (131, 16),
        "conv5": (163, 16),
        "pool5": (195, 32),
    },
    "vgg_d": {"pool1": (6, 2), "conv3_3": (40, 4), "pool5": (212, 32)},
    # conv2_x at stride 4: 11 + 3 * 2 * 4 = 35; the first block of a later stage takes its
    # stride in the 1 x 1: 35 + 4 * 2 * 8 = 99, 99 + 6 * 2 * 16 = 291, + 3 * 2 * 32 = 483.
    "resnet50": {"pool1": (11, 4), "conv2_3": (35, 4), "conv4_6": (291, 16)}
    | {"conv5_3": (483, 32)},
    # Two 3 x 3 a block, the stride in the first: 3 blocks at 1, then 1 + 2, then 2 + 4 ...
    "resnet20": {"conv2_3": (15, 1), "conv3_1": (21, 2), "conv4_3": (81, 4)},
    # 5 x 5 branches: each module adds 4 strides.
    "googlenet": {"pool2": (27, 8), "inception_3b": (91, 8), "inception_5b": (715, 32)},
    "inception_v3": {"mixed_7c": (1311, 32)},
}


@pytest.mark.parametrize("name", KNOWN)
def test_fields_and_strides_are_the_known_ones(name):
    rows = {row.name: row for row in table_of(name)}
    for row, (field, stride) in KNOWN[name].items():
        assert rows[row].receptive_field == (field, field), row
        assert rows[row].effective_stride == (stride, stride), row


@pytest.mark.parametrize("name", ["alexnet_small", "googlenet_small", "resnet20"])
def test_each_row_has_the_multiply_adds_of_its_layers(name):
    model = cnn_jax.create_model(name)
    expected = Counter()
    for scope, macs in layer_macs(model).items():
        expected[scope.split("/")[0]] += macs
    rows = [row for row in table_of(name) if not row.auxiliary]
    assert {row.name: row.macs for row in rows if row.macs} == expected


def test_a_row_says_what_it_is_and_what_it_costs():
    rows = {row.name: row for row in table_of("alexnet")}
    conv1 = rows["conv1"]
    assert conv1.kind == "Conv"
    assert conv1.output_shape == (55, 55, 96)
    assert conv1.parameters == 11 * 11 * 3 * 96 + 96
    assert conv1.macs == 55 * 55 * 96 * 11 * 11 * 3
    assert conv1.activation_memory == 4 * 55 * 55 * 96
    assert rows["norm1"].parameters == rows["norm1"].macs == 0
    # A dense layer has no place in the image, and here it sees all of it.
    assert rows["fc6"].effective_stride is None
    assert rows["fc6"].receptive_field == (227, 227)


def test_the_parameters_of_a_learned_activation_belong_to_its_row():
    # 3 x 3 x 96 x 256 weights, 256 biases, 256 slopes.
    rows = {row.name: row for row in table_of("prelu_net_a")}
    assert rows["conv2_1"].parameters == 9 * 96 * 256 + 2 * 256
    assert rows["spp"].output_shape == (7 * 7 + 3 * 3 + 2 * 2 + 1, 512)
    assert rows["spp"].effective_stride is None


def test_auxiliary_heads_are_rows_that_no_total_counts():
    model = cnn_jax.create_model("googlenet")
    rows = {row.name: row for row in table_of("googlenet")}
    # Mean of 5 x 5 / 3: 14 -> 4; 1 x 1 to 128; 2048 -> 1024 -> 1000.
    assert rows["aux1"].auxiliary
    assert rows["aux1"].output_shape == (1000,)
    dense = 2048 * 1024 + 1024 * 1000
    assert rows["aux1"].macs == 4 * 4 * 512 * 128 + dense
    assert rows["aux1"].parameters == 512 * 128 + 128 + dense + 1024 + 1000
    assert rows["inception_4b"].output_shape == (14, 14, 512)
    headless = layer_table(model.clone(auxiliary_heads=False))
    assert headless == tuple(row for row in rows.values() if not row.auxiliary)
    assert totals(headless) == totals(tuple(rows.values()))


@pytest.mark.parametrize(
    ("name", "removed"),
    [("googlenet_small", "inception_4c"), ("resnet20", "conv3_2")],
)
def test_an_edited_network_has_its_own_table(name, removed):
    edited = without(cnn_jax.create_model(name), removed)
    rows = layer_table(edited)
    assert removed not in [row.name for row in rows]
    assert totals(rows).parameters == count_parameters(edited)
    assert totals(rows).macs == count_macs(edited)


def test_another_input_size_gives_the_network_that_is_built_for_it():
    vgg, square = cnn_jax.create_model("vgg_d"), {r.name: r for r in table_of("vgg_d")}
    rows = by_name(vgg, (256, 320, 3))
    assert rows["pool5"].output_shape == (8, 10, 512)
    assert rows["pool5"].receptive_field == (212, 212)
    assert rows["fc6"].parameters == 8 * 10 * 512 * 4096 + 4096
    assert rows["fc6"].receptive_field == (256, 320)
    assert rows["conv1_1"].parameters == square["conv1_1"].parameters
    # Independent of the rows: the network as Linen traces it at once.
    built = vgg.clone(input_shape=(256, 320, 3))
    assert totals(tuple(rows.values())).macs == count_macs(built)
    # 300 pixels leave one over: conv1 stops at 11 + 72 * 4 = 299.
    assert by_name(cnn_jax.create_model("alexnet"), (300, 260, 3))[
        "fc6"
    ].receptive_field == (
        299,
        259,
    )


@pytest.mark.parametrize(
    ("name", "shape", "said"),
    [
        ("vgg_d", (20, 224, 3), "VGG for 20x224x3: pool5: a window of 2 does not fit 1"),
        ("alexnet", (60, 227, 3), "pool5: a window of 3 does not fit 2 pixels"),
        ("prelu_net_a", (90, 90, 3), "spp: 7 bins do not fit 5 pixels"),
        ("inception_v3", (80, 299, 3), "aux1: a window of 5 does not fit 3 pixels"),
        ("mlp", (0, 28, 1), "input 0x28x1: height, width and channels are needed"),
        ("mlp", (28, 28), "input 28x28: height"),
    ],
)
def test_an_input_that_does_not_fit_is_refused_with_the_layer(name, shape, said):
    with pytest.raises(UserError) as refusal:
        layer_table(cnn_jax.create_model(name), shape)
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_table_that_is_no_network_is_refused_like_the_network():
    # A convolution behind a dense layer; the row alone, given an image, would do.
    table = (Dense("fc1", 4), Conv("conv2", 3, 1), Classifier("fc3"))
    model = TableNetwork(table=table, input_shape=(5, 5, 1))
    with pytest.raises(ValueError, match="conv2: it slides over images"):
        trace_output(model)
    with pytest.raises(UserError, match="conv2: it slides over images"):
        layer_table(model)
    twice = (Conv("conv1", 2, 3), MaxPool("conv1", 2, 2), Classifier("fc2"))
    with pytest.raises(UserError, match="used twice: conv1"):
        layer_table(model.clone(table=twice))
    with pytest.raises(UserError, match="TableNetwork has no table"):
        layer_table(model.clone(table=()))


def test_no_device_is_started():
    program = (
        "import cnn_jax; from cnn_jax.analysis.layer_table import layer_table\n"
        "from jax._src import xla_bridge\n"
        "for name in ('vgg_d', 'bn_inception'):\n"
        "    layer_table(cnn_jax.create_model(name))\n"
        "assert not xla_bridge.backends_are_initialized()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
