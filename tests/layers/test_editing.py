import pytest

import cnn_jax
from cnn_jax.errors import UserError
from cnn_jax.layers.editing import replace, resize, without
from cnn_jax.layers.rows import (
    AveragePool,
    Classifier,
    Conv,
    Dense,
    LocalResponseNorm,
    MaxPool,
)
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.layers.tracing import count_parameters, trace_output, trace_variables

TABLE = (
    Conv("conv1", 4, 3),  # 8 -> 6
    MaxPool("pool1", 2, 2),  # 6 -> 3
    Conv("conv2", 6, 3, groups=2),  # 3 -> 1
    Dense("fc3", 5),
    Classifier("fc4"),
)
NETWORK = TableNetwork(table=TABLE, input_shape=(8, 8, 2), num_classes=3)


def _names(model):
    return [row.name for row in model.table]


def _kernel(model, name):
    return trace_variables(model)["params"][name]["kernel"].shape


def test_removing_a_layer_derives_the_shapes_after_it_again():
    edited = without(NETWORK, "conv2")
    assert _names(edited) == ["conv1", "pool1", "fc3", "fc4"]
    assert _kernel(edited, "fc3") == (3 * 3 * 4, 5)  # was (6, 5)
    assert trace_output(edited, 7) == (7, 3)


def test_several_layers_are_removed_at_once_and_in_any_order():
    assert without(NETWORK, "fc3", "pool1") == without(NETWORK, "pool1", "fc3")
    # 6 x 6 maps, a grouped 3 x 3 convolution, the classifier on 4 x 4 x 6.
    edited = without(NETWORK, "fc3", "pool1")
    assert count_parameters(edited) == (9 * 2 * 4 + 4) + (9 * 2 * 6 + 6) + (96 * 3 + 3)


def test_everything_but_the_classifier_can_go():
    linear = without(NETWORK, "conv1", "pool1", "conv2", "fc3")
    assert count_parameters(linear) == 8 * 8 * 2 * 3 + 3


def test_an_edit_leaves_the_model_it_was_given_alone():
    before = NETWORK.table
    without(NETWORK, "fc3")
    resize(NETWORK, fc3=9)
    replace(NETWORK, pool1=AveragePool("pool1", 2, 2))
    assert NETWORK.table is before


def test_edits_keep_every_other_field():
    model = TableNetwork(table=TABLE, input_shape=(9, 9, 2), num_classes=4)
    edited = without(model, "fc3")
    assert (edited.input_shape, edited.num_classes) == ((9, 9, 2), 4)


def test_resizing_changes_the_layer_and_the_one_after_it():
    edited = resize(NETWORK, conv1=8, fc3=7)
    assert _kernel(edited, "conv1") == (3, 3, 2, 8)
    assert _kernel(edited, "conv2") == (3, 3, 4, 6)  # 8 channels in two groups
    assert _kernel(edited, "fc3") == (6, 7)
    assert _kernel(edited, "fc4") == (7, 3)


def test_replacing_puts_the_new_row_in_the_old_place():
    edited = replace(
        NETWORK, pool1=AveragePool("pool1", 2, 2), conv1=Conv("conv1", 4, 3, padding=1)
    )
    assert _names(edited) == _names(NETWORK)
    assert edited.table[1] == AveragePool("pool1", 2, 2)
    widest = replace(NETWORK, fc4=Classifier("fc4", bias=1.0))
    assert widest.table[-1].bias == 1.0


def test_the_public_names_are_these_functions():
    assert cnn_jax.without is without
    assert cnn_jax.resize is resize
    assert cnn_jax.replace is replace


REFUSALS = {
    "the classifier": (
        lambda m: without(m, "fc4"),
        "fc4 is the classifier: without it there is no output",
    ),
    "an unknown layer, with near names": (
        lambda m: without(m, "con1"),
        "unknown layer of TableNetwork 'con1'; did you mean conv1, conv2? "
        "(known: conv1, conv2, fc3, fc4, pool1)",
    ),
    "an unknown layer to resize": (
        lambda m: resize(m, fc33=4),
        "unknown layer of TableNetwork 'fc33'; did you mean fc3",
    ),
    "an unknown layer to replace": (
        lambda m: replace(m, norm9=MaxPool("norm9", 2, 2)),
        "unknown layer of TableNetwork 'norm9'",
    ),
    "groups that do not divide": (
        lambda m: resize(m, conv1=5),
        "TableNetwork with conv1 replaced: conv2: 2 groups must divide its 5 input "
        "channels and its 6 features",
    ),
    "a removal after which groups do not divide": (
        lambda m: without(m.clone(input_shape=(8, 8, 3)), "conv1"),
        "TableNetwork without conv1: conv2: 2 groups must divide its 3 input channels",
    ),
    "an image that vanishes": (
        lambda m: replace(m, conv1=Conv("conv1", 4, 7)),
        "TableNetwork with conv1 replaced: conv2: a window of 3 does not fit 1 pixels "
        "with padding 0 (its input is (1, 1, 4))",
    ),
    "a convolution after a dense layer": (
        lambda m: replace(m, pool1=Dense("pool1", 4)),
        "TableNetwork with pool1 replaced: conv2: it slides over images [N, H, W, C]; its "
        "input has shape (4,) for each image",
    ),
    "a pool after a dense layer": (
        lambda m: replace(m, conv1=Dense("conv1", 4)),
        "TableNetwork with conv1 replaced: pool1: it slides over images",
    ),
    "a layer without features": (
        lambda m: resize(m, pool1=3),
        "pool1 has no features to resize, only ['name', 'size', 'stride', ",
    ),
    "the number of classes as a width": (
        lambda m: resize(m, fc4=3),
        "fc4 has no features to resize",
    ),
    "a width of nothing": (
        lambda m: resize(m, fc3=0),
        "fc3: 0 features; at least 1 is needed",
    ),
    "half a unit": (
        lambda m: resize(m, fc3=2.5),
        "fc3: features = 2.5; a whole number of at least 1 is needed",
    ),
    "no features": (
        lambda m: replace(m, conv1=Conv("conv1", 0, 3)),
        "conv1: features = 0; a whole number of at least 1 is needed",
    ),
    "no step": (
        lambda m: replace(m, conv1=Conv("conv1", 4, 3, stride=0)),
        "conv1: stride = 0; a whole number of at least 1 is needed",
    ),
    "no groups": (
        lambda m: replace(m, conv1=Conv("conv1", 4, 3, groups=0)),
        "conv1: groups = 0; a whole number of at least 1 is needed",
    ),
    "negative padding": (
        lambda m: replace(m, conv1=Conv("conv1", 4, 3, padding=-1)),
        "conv1: window 3, stride 1, padding -1: window and stride must be at least 1",
    ),
    "a pool of padding": (
        lambda m: replace(m, pool1=MaxPool("pool1", 2, 2, padding=2)),
        "pool1: padding 2 must be smaller than the window of 2",
    ),
    "an even neighbourhood": (
        lambda m: replace(m, pool1=LocalResponseNorm("pool1", n=4)),
        "n = 4 channels: a positive odd number is needed",
    ),
    "a dropout rate": (
        lambda m: replace(m, fc3=Dense("fc3", 5, dropout=1.0)),
        "dropout rate 1.0 is not in [0, 1)",
    ),
    "one name twice": (
        lambda m: replace(m, fc3=Dense("conv1", 5)),
        "layer names must be unique; used twice: conv1",
    ),
    "a classifier of another kind": (
        lambda m: replace(m, fc4=Dense("fc4", 3)),
        "fc4 is the classifier: it can be replaced by another Classifier only, not by",
    ),
    "a model without a table": (
        lambda m: without(m.clone(table=()), "conv1"),
        "TableNetwork has no table of named layers to edit",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_an_edit_that_gives_no_network_is_refused_with_the_reason(case):
    edit, message = REFUSALS[case]
    with pytest.raises(UserError) as refusal:
        edit(NETWORK)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
