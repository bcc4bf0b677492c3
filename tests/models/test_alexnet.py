import jax
import numpy as np
import pytest

import cnn_jax
from cnn_jax.analysis.compute import count_macs, layer_macs
from cnn_jax.layers.initializers import gaussian
from cnn_jax.layers.rows import Classifier, Conv, Dense
from cnn_jax.layers.tracing import count_parameters, trace_output, trace_variables

# Parameters and multiply-adds of the two-group network, layer by layer: arithmetic on
# Krizhevsky et al. 2012, Section 3.5; the sum of the parameters is Caffe's bvlc_alexnet.
PARAMETERS = {
    "conv1": 34_944,
    "conv2": 307_456,
    "conv3": 885_120,
    "conv4": 663_936,
    "conv5": 442_624,
    "fc6": 37_752_832,
    "fc7": 16_781_312,
    "fc8": 4_097_000,
}
MACS = {
    "conv1": 105_415_200,
    "conv2": 223_948_800,
    "conv3": 149_520_384,
    "conv4": 112_140_288,
    "conv5": 74_760_192,
    "fc6": 37_748_736,
    "fc7": 16_777_216,
    "fc8": 4_096_000,
}
SHAPES = {
    "conv1": (55, 55, 96),
    "norm1": (55, 55, 96),
    "pool1": (27, 27, 96),
    "conv2": (27, 27, 256),
    "norm2": (27, 27, 256),
    "pool2": (13, 13, 256),
    "conv3": (13, 13, 384),
    "conv4": (13, 13, 384),
    "conv5": (13, 13, 256),
    "pool5": (6, 6, 256),
    "fc6": (4096,),
    "fc7": (4096,),
    "fc8": (1000,),
}


def _shapes(model):
    """Output shape of each row: the network cut off after it."""
    cuts = [model.clone(table=model.table[: i + 1]) for i in range(len(model.table))]
    return {cut.table[-1].name: trace_output(cut)[1:] for cut in cuts}


def _parameters(model):
    return {
        scope: sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(leaves))
        for scope, leaves in trace_variables(model)["params"].items()
    }


def test_every_layer_has_the_papers_shape():
    assert _shapes(cnn_jax.create_model("alexnet")) == SHAPES


def test_every_layer_has_the_papers_parameters_and_multiply_adds():
    model = cnn_jax.create_model("alexnet")
    assert _parameters(model) == PARAMETERS
    assert layer_macs(model) == MACS


def test_there_are_659_272_neurons():
    # The paper says 650,000; its Figure 2 prints 253,440 for conv1 instead of 55 * 55 * 96.
    learned = [np.prod(SHAPES[name]) for name in PARAMETERS]
    assert sum(learned) == 659_272


def test_without_groups_conv2_conv4_and_conv5_double():
    grouped = _parameters(cnn_jax.create_model("alexnet"))
    dense = _parameters(cnn_jax.create_model("alexnet_ungrouped"))
    for name, biases in (("conv2", 256), ("conv4", 384), ("conv5", 256)):
        assert dense[name] - biases == 2 * (grouped[name] - biases)
    same = {"conv1", "conv3", "fc6", "fc7", "fc8"}
    assert {n for n in dense if dense[n] == grouped[n]} == same


@pytest.mark.parametrize(
    ("name", "removed", "parameters"),
    [
        # Zeiler and Fergus 2013, Table 3, by arithmetic.
        ("alexnet", ("fc7",), 16_781_312),
        ("alexnet", ("fc6", "fc7"), 49_414_144),
        ("alexnet", ("conv3", "conv4"), 1_696_512),
        ("alexnet", ("conv3", "conv4", "fc6", "fc7"), 51_110_656),
        ("alexnet_ungrouped", ("conv3", "conv4"), 2_507_520),
        ("alexnet_ungrouped", ("conv3", "conv4", "fc6", "fc7"), 51_921_664),
    ],
)
def test_removing_layers_removes_the_parameters_of_the_arithmetic(
    name, removed, parameters
):
    model = cnn_jax.create_model(name)
    edited = cnn_jax.without(model, *removed)
    assert count_parameters(model) - count_parameters(edited) == parameters


@pytest.mark.parametrize(
    ("name", "units", "parameters"),
    [
        ("alexnet", 2048, 27_455_848),
        ("alexnet", 8192, 153_149_800),
        ("alexnet_ungrouped", 2048, 28_868_968),
        ("alexnet_ungrouped", 8192, 154_562_920),
    ],
)
def test_other_widths_of_6_and_7_have_the_parameters_of_the_arithmetic(
    name, units, parameters
):
    edited = cnn_jax.resize(cnn_jax.create_model(name), fc6=units, fc7=units)
    assert count_parameters(edited) == parameters


def test_after_removing_6_and_7_the_classifier_sees_9216_features():
    edited = cnn_jax.without(cnn_jax.create_model("alexnet"), "fc6", "fc7")
    kernel = trace_variables(edited)["params"]["fc8"]["kernel"]
    assert kernel.shape == (9216, 1000)


def test_weights_and_biases_start_as_section_5_says():
    model = cnn_jax.create_model("alexnet")
    ones = {row.name for row in model.table if getattr(row, "bias", 0.0) == 1.0}
    assert ones == {"conv2", "conv4", "conv5", "fc6", "fc7"}
    assert model.initializer.func is gaussian
    assert model.initializer.keywords == {"deviation": 0.01}


def test_dropout_stands_on_6_and_7_only():
    for name in ("alexnet", "alexnet_ungrouped", "alexnet_small"):
        table = cnn_jax.create_model(name).table
        rates = {row.name: row.dropout for row in table if isinstance(row, Dense)}
        assert rates == {"fc6": 0.5, "fc7": 0.5}


def test_the_small_network_has_the_same_layers_and_is_cheap():
    small, printed = (cnn_jax.create_model(name) for name in ("alexnet_small", "alexnet"))
    assert [r.name for r in small.table] == [r.name for r in printed.table]
    assert [type(r) for r in small.table] == [type(r) for r in printed.table]
    learned = (Conv, Dense, Classifier)
    assert sum(isinstance(row, learned) for row in small.table) == 8
    groups = [r.groups for r in small.table if isinstance(r, Conv)]
    assert groups == [r.groups for r in printed.table if isinstance(r, Conv)]
    assert count_macs(small) <= 2_500_000


def test_the_small_network_has_the_documented_maps():
    shapes = _shapes(cnn_jax.create_model("alexnet_small"))
    edges = [shapes[name][0] for name in ("conv1", "pool1", "pool2", "pool5")]
    assert edges == [16, 8, 4, 2]
    # Maps are 3/16 and dense layers 3/32 of the printed ones.
    for name in ("conv1", "conv2", "conv3", "conv4", "conv5"):
        assert shapes[name][-1] * 16 == SHAPES[name][-1] * 3
    for name in ("fc6", "fc7"):
        assert shapes[name][-1] * 32 == SHAPES[name][-1] * 3


def test_each_edit_of_the_study_fits_the_small_network_too():
    small = cnn_jax.create_model("alexnet_small")
    for removed in (("fc7",), ("fc6", "fc7"), ("conv3", "conv4")):
        assert trace_output(cnn_jax.without(small, *removed), 2) == (2, 10)
    halved = cnn_jax.resize(small, fc6=192, fc7=192)
    assert count_parameters(halved) < count_parameters(small)
