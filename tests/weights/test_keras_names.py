"""Files of Keras name one thing in several ways; a file that does not fit is refused."""

from functools import cache

import h5py
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from cnn_jax.errors import UserError
from cnn_jax.layers.editing import resize
from cnn_jax.layers.rows import Conv
from cnn_jax.layers.tracing import trace_variables
from cnn_jax.weights.keras import INCEPTION_TABLE, SOURCES
from cnn_jax.weights.keras_files import read_keras
from cnn_jax.weights.keras_names import inception_keys, units_in_order
from cnn_jax.weights.sources import declared_sources, weight_source

NETWORKS = {source.name.removeprefix("keras/"): source for source in SOURCES}


@cache
def _vgg():
    """A narrow VGG16 and the arrays of a file of it, all numbers different."""
    model = NETWORKS["vgg16"].build(num_classes=3, input_shape=(32, 32, 3))
    convs = [row.name for row in model.table if isinstance(row, Conv)]
    model = resize(model, **dict.fromkeys(convs, 2), fc6=4, fc7=5)
    return model, _arrays(NETWORKS["vgg16"], model)


def _resnet():
    build = NETWORKS["resnet50"].build
    table = build().table
    model = build(num_classes=3, input_shape=(32, 32, 3), table=(*table[:3], *table[-2:]))
    return model, _arrays(NETWORKS["resnet50"], model)


def _arrays(source, model):
    shapes = {
        path: leaf.shape for path, leaf in flatten_dict(trace_variables(model)).items()
    }
    count = 0
    arrays = {}
    for entry in source.entries(model):
        size = int(np.prod(shapes[entry.path]))
        values = np.arange(count, count + size, dtype=np.float32)
        arrays[entry.key] = values.reshape(shapes[entry.path])
        count += size
    return arrays


def _refusal(name, arrays, model):
    with pytest.raises(UserError) as refusal:
        NETWORKS[name].to_variables(arrays, model)
    message = str(refusal.value)
    assert "\n" not in message
    return message


def test_the_sources_are_declared():
    assert {f"keras/{name}" for name in NETWORKS} <= set(declared_sources())
    assert weight_source("keras/resnet50") is NETWORKS["resnet50"]
    assert list(NETWORKS) == [
        "vgg16",
        "vgg19",
        "resnet50",
        "resnet101",
        "resnet152",
        "inceptionv3",
    ]


def test_kernels_stay_as_they_are_but_for_the_colours_of_the_first():
    model, arrays = _vgg()
    params = NETWORKS["vgg16"].to_variables(arrays, model)["params"]
    first = arrays["block1_conv1/kernel"]
    for ours, theirs in ((0, 2), (1, 1), (2, 0)):  # red, green, blue; blue, green, red
        np.testing.assert_array_equal(
            params["conv1_1"]["kernel"][:, :, ours], first[:, :, theirs]
        )
    np.testing.assert_array_equal(
        params["conv1_2"]["kernel"], arrays["block1_conv2/kernel"]
    )
    np.testing.assert_array_equal(params["fc6"]["kernel"], arrays["fc1/kernel"])
    np.testing.assert_array_equal(params["fc8"]["bias"], arrays["predictions/bias"])


def test_names_of_keras_1_are_read():
    # The published files of VGG16 and VGG19: block1_conv1_W_1:0, block1_conv1_b_1:0.
    model, arrays = _vgg()
    old = {}
    for key, array in arrays.items():
        layer, weight = key.split("/")
        old[f"{layer}/{layer}_{'W' if weight == 'kernel' else 'b'}_1"] = array
    assert "fc1/fc1_W_1" in old
    assert NETWORKS["vgg16"].fields_of(old) == {"num_classes": 3}
    _assert_same(NETWORKS["vgg16"].to_variables(old, model), arrays, "vgg16", model)


def test_a_file_like_the_published_ones_is_read(tmp_path):
    model, arrays = _vgg()
    with h5py.File(tmp_path / "vgg16.h5", "w") as file:
        layers = dict.fromkeys(key.split("/")[0] for key in arrays)
        file.attrs["layer_names"] = [layer.encode() for layer in (*layers, "flatten")]
        file.create_group("flatten").attrs["weight_names"] = np.zeros(0)
        for layer in layers:
            group = file.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}_W_1:0", f"{layer}_b_1:0"]
            group[f"{layer}_W_1:0"] = arrays[f"{layer}/kernel"]
            group[f"{layer}_b_1:0"] = arrays[f"{layer}/bias"]
    found = read_keras(tmp_path / "vgg16.h5")
    _assert_same(NETWORKS["vgg16"].to_variables(found, model), arrays, "vgg16", model)


def _assert_same(variables, arrays, name, model):
    back = NETWORKS[name].to_arrays(variables, model)
    assert back.keys() == arrays.keys()
    assert all(np.array_equal(back[key], arrays[key]) for key in arrays)


def test_the_classifier_of_keras_applications_is_read():
    # The published files of the ResNets call it probs.
    model, arrays = _resnet()
    old = {key.replace("predictions", "probs"): array for key, array in arrays.items()}
    assert "probs/kernel" in old
    assert NETWORKS["resnet50"].fields_of(old) == {"num_classes": 3}
    _assert_same(NETWORKS["resnet50"].to_variables(old, model), arrays, "resnet50", model)
    both = {**old, "predictions/bias": arrays["predictions/bias"]}
    assert _refusal("resnet50", both, model) == (
        "probs/bias and predictions/bias are both predictions/bias"
    )


def _inception_file(number_of):
    """One number a layer, its place in Keras' order, named ``number_of(place)``."""
    arrays = {}
    for place in range(1, 95):
        value = np.array([place], np.float32)
        arrays[f"conv2d{number_of(place)}/kernel"] = value
        arrays[f"batch_normalization{number_of(place)}/beta"] = value
    return arrays


@pytest.mark.parametrize(
    "number_of",
    [
        lambda place: f"_{place}",  # Keras 2
        lambda place: f"_{place - 1}" if place > 1 else "",  # Keras 3, first network
        lambda place: f"_{place + 93}",  # Keras 3, second network of a session
    ],
)
def test_layers_without_names_are_taken_in_the_order_of_their_numbers(number_of):
    arrays = _inception_file(number_of)
    mixed = {key: arrays[key] for key in sorted(arrays)}  # conv2d_1, conv2d_10, conv2d_11
    found = inception_keys(mixed, units=94)
    assert found == _inception_file(lambda place: f"_{place}")


def test_units_have_the_order_of_keras():
    units = units_in_order(INCEPTION_TABLE)
    assert len(units) == 94
    # keras/src/applications/inception_v3.py, calls of conv2d_bn counted from 1.
    places = {
        1: "conv2d_1a_3x3",
        5: "conv2d_4a_3x3",
        6: "mixed_5b/conv1x1",
        12: "mixed_5b/pool_proj",
        27: "mixed_6a/conv3x3",
        31: "mixed_6b/conv1x1",
        40: "mixed_6b/pool_proj",
        71: "mixed_7a/conv3x3_reduce",
        76: "mixed_7a/conv7x7x3",
        77: "mixed_7b/conv1x1",
        79: "mixed_7b/conv1x3",
        80: "mixed_7b/conv3x1",
        83: "mixed_7b/double1x3",
        94: "mixed_7c/pool_proj",
    }
    assert {place: units[place - 1] for place in places} == places


REFUSALS = {
    "missing: block3_conv2/bias": lambda a: a.pop("block3_conv2/bias"),
    "superfluous: block5_conv4/bias": lambda a: a.update(
        {"block5_conv4/bias": a["block5_conv3/bias"]}
    ),
    "fc2/kernel is float32 [5, 4]; float32 [4, 5] is needed": lambda a: a.update(
        {"fc2/kernel": a["fc2/kernel"].T}
    ),
    "fc2/bias is float64 [5]; float32 [5] is needed": lambda a: a.update(
        {"fc2/bias": a["fc2/bias"].astype(np.float64)}
    ),
    # Theano's order of axes.
    "block1_conv1/kernel is float32 [2, 3, 3, 3]; float32 [3, 3, 3, 2] is needed": (
        lambda a: a.update(
            {"block1_conv1/kernel": a["block1_conv1/kernel"].transpose(3, 2, 0, 1)}
        )
    ),
    "missing: fc1/bias, fc1/kernel; superfluous: conv1.weight": lambda a: (
        a.pop("fc1/bias"),
        a.update({"conv1.weight": a.pop("fc1/kernel")}),
    ),
}


@pytest.mark.parametrize("message", REFUSALS)
def test_a_file_that_does_not_fit_is_refused_with_key_and_reason(message):
    model, arrays = _vgg()
    arrays = dict(arrays)
    REFUSALS[message](arrays)
    assert _refusal("vgg16", arrays, model) == message


def test_a_file_of_another_network_is_refused():
    vgg, vgg_arrays = _vgg()
    resnet, resnet_arrays = _resnet()
    message = _refusal("vgg16", resnet_arrays, vgg)
    assert message.startswith("missing: block1_conv1/bias, block1_conv1/kernel, ")
    assert "superfluous: conv1_bn/beta" in message
    assert _refusal("resnet50", vgg_arrays, resnet).startswith("missing: conv1_bn/beta")
    with pytest.raises(UserError, match="the file has 0 layers called conv2d_N; 94 are"):
        NETWORKS["inceptionv3"].fields_of(vgg_arrays)


def test_a_file_without_a_classifier_is_refused():
    _, arrays = _vgg()
    notop = {key: array for key, array in arrays.items() if "predictions" not in key}
    with pytest.raises(UserError, match=r"missing: predictions/bias, .* notop"):
        NETWORKS["vgg16"].fields_of(notop)
    with pytest.raises(
        UserError, match=r"predictions/bias has shape \[1, 3\]; \[classes\]"
    ):
        NETWORKS["vgg16"].fields_of({"predictions/bias": np.zeros((1, 3), np.float32)})
