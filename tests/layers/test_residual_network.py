import jax
import jax.numpy as jnp
import pytest

import cnn_jax
from cnn_jax.errors import UserError
from cnn_jax.layers.residual import BasicBlock, Bottleneck
from cnn_jax.layers.rows import Conv, Dense
from cnn_jax.layers.tracing import trace_output, trace_variables
from tests.layers.small_residual_networks import BASIC, DEEP, network

SMALL = network(BASIC, shortcut="B")


@pytest.mark.parametrize("option", ["A", "B", "C", "none"])
@pytest.mark.parametrize("blocks", [BASIC, DEEP])
def test_every_row_but_the_classifier_can_be_removed_under_each_option(blocks, option):
    model = network(blocks, shortcut=option)
    names = [row.name for row in model.table]
    for name in names[:-1]:
        edited = cnn_jax.without(model, name)  # traces it
        assert [row.name for row in edited.table] == [n for n in names if n != name]
        assert edited.shortcut == option
    bare = cnn_jax.without(model, *names[:-1])
    assert set(trace_variables(bare)) == {"params"}


def test_the_block_after_a_removed_one_takes_over_the_change_of_shape():
    params = trace_variables(cnn_jax.without(SMALL, "conv1", "conv2_1"))["params"]
    assert params["conv2_2"]["shortcut"]["kernel"].shape == (1, 1, 3, 4)
    zeros = cnn_jax.without(network(BASIC, shortcut="A"), "conv1", "conv2_1")
    assert "shortcut" not in trace_variables(zeros)["params"]["conv2_2"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shortcut": "D"}, r"unknown shortcut 'D'; \(known: A, B, C, none\)"),
        ({"shortcut": "non"}, "unknown shortcut 'non'; did you mean none"),
        ({"stride_in": "5x5"}, r"unknown stride_in '5x5'; .*\(known: 1x1, 3x3\)"),
        ({"survival": 0.0}, r"survival 0.0 is not in \(0, 1\]"),
        ({"survival": 1.1}, r"survival 1.1 is not in \(0, 1\]"),
        ({"survival": 0.5, "shortcut": "none"}, "survival 0.5 with shortcut 'none'"),
    ],
)
def test_wrong_options_are_refused_when_the_network_is_described(fields, message):
    with pytest.raises(ValueError, match=message):
        cnn_jax.create_model("resnet18", **fields)


REFUSALS = {
    "channels that option A would have to drop": (
        lambda m: cnn_jax.resize(m.clone(shortcut="A"), conv2_1=8),
        "ResidualNetwork with conv2_1 replaced: conv2_2: a shortcut of option A can add "
        "channels of zeros but drop none; the block's input has 8 channels, its output 4",
    ),
    "a block after a dense layer": (
        lambda m: cnn_jax.replace(m, conv2_1=Dense("conv2_1", 64)),
        "conv2_2: it slides over images [N, H, W, C]; its input has shape (64,)",
    ),
    "a mean after a dense layer": (
        lambda m: cnn_jax.replace(m, conv3_1=Dense("conv3_1", 64)),
        "gap: it slides over images",
    ),
    "no stride": (
        lambda m: cnn_jax.replace(m, conv2_1=BasicBlock("conv2_1", 4, 0)),
        "conv2_1: stride = 0; a whole number of at least 1 is needed",
    ),
    "no width": (
        lambda m: cnn_jax.replace(m, conv2_1=Bottleneck("conv2_1", 0, 4)),
        "conv2_1: width = 0; a whole number of at least 1 is needed",
    ),
    "biases under a normalisation": (
        lambda m: cnn_jax.replace(m, conv1=Conv("conv1", 4, 7, bias=1.0)),
        "conv1: bias = 1.0; a batch-normalised convolution has none",
    ),
    "groups that do not divide": (
        lambda m: cnn_jax.replace(m, conv1=Conv("conv1", 4, 7, groups=2)),
        "conv1: 2 groups must divide its 3 input channels and its 4 features",
    ),
    "an image that vanishes": (
        lambda m: cnn_jax.replace(m, conv1=Conv("conv1", 4, 12)),
        "conv1: a window of 12 does not fit 11 pixels with padding 0 "
        "(its input is (13, 11, 3))",
    ),
    "the classifier": (
        lambda m: cnn_jax.without(m, "fc"),
        "fc is the classifier",
    ),
    "an unknown block": (
        lambda m: cnn_jax.without(m, "conv2_3"),
        "unknown layer of ResidualNetwork 'conv2_3'; did you mean conv2_",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_an_edit_that_gives_no_network_is_refused_with_layer_and_reason(case):
    edit, message = REFUSALS[case]
    with pytest.raises(UserError) as refusal:
        edit(SMALL)
    assert message in str(refusal.value)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet20"])
def test_any_image_of_at_least_one_pixel_fits_and_none_of_no_pixels(name):
    for height, width in ((1, 1), (33, 50)):
        model = cnn_jax.create_model(name, input_shape=(height, width, 3))
        assert trace_output(model) == (1, model.num_classes)
    with pytest.raises(ValueError, match="conv1: a window of"):
        trace_output(cnn_jax.create_model(name, input_shape=(0, 0, 3)))


def test_images_of_another_depth_are_refused():
    with pytest.raises(ValueError, match=r"this network takes \[N, H, W, 3\]"):
        SMALL.init(jax.random.key(0), jnp.zeros((1, 32, 32, 1)), train=False)
