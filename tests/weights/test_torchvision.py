"""Ours against torchvision itself, whose answers ``make_torchvision_fixtures.py`` wrote.

In the default run: torchvision's code with an eighth of each width, one network of a kind.
With ``pytest -m slow -s`` all networks as printed, and the largest errors in print.

Scores are compared in float32. Gradients are compared in float64: a maximum that rounding
gives to the neighbouring pixel, or a ReLU that it closes, changes a gradient by more than
1e-4, in torchvision as here.
"""

import math
import sys

import jax
import numpy as np
import pytest

from cnn_jax.data.preprocessing import apply_preprocessing
from cnn_jax.errors import UserError
from cnn_jax.layers.tracing import is_auxiliary
from cnn_jax.weights import torchvision
from cnn_jax.weights.mapping import expected_variables
from cnn_jax.weights.sources import weight_source
from tests.weights.ours_as_torchvision import fixtures, forward, gradients, network, zeros
from tests.weights.seeded import digest, seeded_weights, uniform

FIXTURES = fixtures("fixtures")
KEYS = fixtures("keys")
QUICK = {"alexnet/8", "vgg11_bn/8", "resnet14/8"}
# One of a kind; tracing the others takes seconds.
KINDS = {"alexnet", "vgg11", "vgg11_bn", "googlenet"}


def some_slow(names, quick):
    return [n if n in quick else pytest.param(n, marks=pytest.mark.slow) for n in names]


def largest_errors(name, found, expected):
    """Return the largest error of each kind of array, relative to the array's norm."""
    worst = {}
    for what, array in found.items():
        ours, theirs = np.array(digest(what, array)), np.array(expected[what])
        kind = what.split(" ")[0].rsplit(".")[-1]
        # A bias in front of a batch normalisation has a gradient of 0.
        error = float(abs(ours - theirs).max() / max(theirs[0], 1e-6))
        worst[kind] = max(worst.get(kind, 0.0), error)
    errors = ", ".join(f"{kind} {error:.1e}" for kind, error in worst.items())
    sys.stdout.write(f"\n{name}: {errors}")
    return worst


def is_gradient(what):
    return what == "loss" or what.startswith("gradient")


@pytest.mark.parametrize("name", some_slow(FIXTURES, QUICK))
def test_scores_heads_and_running_statistics_are_torchvisions(name):
    expected = {k: v for k, v in FIXTURES[name].items() if not is_gradient(k)}
    found = forward(name)
    assert set(found) == set(expected)
    # The images still matter: a network that forgot them would pass.
    assert np.ptp(found["evaluation"], axis=0).max() > 0.01 * abs(found["evaluation"]).max()
    # The bound. Both are float32; more than 1e-5 was not seen.
    assert max(largest_errors(name, found, expected).values()) < 1e-4


@pytest.mark.parametrize(
    "name", some_slow([n for n in FIXTURES if "loss" in FIXTURES[n]], {"alexnet/8"})
)
def test_gradients_of_a_training_step_are_torchvisions(name):
    expected = {k: v for k, v in FIXTURES[name].items() if is_gradient(k)}
    found = gradients(name)
    assert set(found) == set(expected)
    # Both are float64; the fixtures have seven digits.
    assert max(largest_errors(name, found, expected).values()) < 1e-6


@pytest.mark.parametrize("name", some_slow(KEYS, KINDS))
def test_an_exported_file_has_torchvisions_keys_shapes_and_types(name):
    source, model = network(name)
    arrays = source.to_arrays(zeros(model), model)
    written = {key: [str(a.dtype), list(a.shape)] for key, a in arrays.items()}
    assert written == KEYS[name]


# PAPERS' table 9; those with heads as torchvision counts them.
COUNTS = {
    "alexnet": (61_100_840, 61_100_840),
    "vgg11": (132_863_336, 132_863_336),
    "vgg13": (133_047_848, 133_047_848),
    "vgg16": (138_357_544, 138_357_544),
    "vgg19": (143_667_240, 143_667_240),
    "vgg11_bn": (132_868_840, 132_868_840),
    "vgg13_bn": (133_053_736, 133_053_736),
    "vgg16_bn": (138_365_992, 138_365_992),
    "vgg19_bn": (143_678_248, 143_678_248),
    "googlenet": (6_624_904, 13_004_888),
    "inception_v3": (23_834_568, 27_161_264),
    "resnet18": (11_689_512, 11_689_512),
    "resnet34": (21_797_672, 21_797_672),
    "resnet50": (25_557_032, 25_557_032),
    "resnet101": (44_549_160, 44_549_160),
    "resnet152": (60_192_808, 60_192_808),
}


@pytest.mark.parametrize("name", some_slow(COUNTS, KINDS))
def test_the_parameters_are_as_many_as_torchvision_counts(name):
    _, model = network(name)
    main, whole = COUNTS[name]
    counts = {
        scope: sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))
        for scope, tree in expected_variables(model)["params"].items()
    }
    assert sum(counts.values()) == whole
    assert sum(n for scope, n in counts.items() if not is_auxiliary(scope)) == main
    trained = [
        shape for key, (_, shape) in KEYS[name].items() if key.endswith(("weight", "bias"))
    ]
    assert sum(map(math.prod, trained)) == whole


NARROW = [name for name in FIXTURES if name.endswith("/8")]


@pytest.mark.parametrize("name", some_slow(NARROW, QUICK))
def test_import_and_export_give_back_every_bit(name):
    source, model = network(name)
    shapes = {key: a.shape for key, a in source.to_arrays(zeros(model), model).items()}
    arrays = seeded_weights(shapes)
    variables = source.to_variables(arrays, model)
    written = source.to_arrays(variables, model)
    assert set(written) == set(arrays)
    for key, array in arrays.items():
        assert written[key].dtype == array.dtype
        np.testing.assert_array_equal(written[key], array, err_msg=key)
    again = source.to_variables(written, model)
    assert jax.tree.all(jax.tree.map(np.array_equal, again, variables))


def test_every_source_says_where_its_weights_and_images_are_from():
    names = [source.name for source in torchvision.SOURCES]
    assert {f"torchvision/{name}" for name in KEYS} <= set(names)
    assert len(set(names)) == len(names)
    for source in torchvision.SOURCES:
        sides = {"inception_v3": (342, 299)}.get(
            source.name.split("/")[1],
            (232, 224) if source.name.endswith("_v2") else (256, 224),
        )
        assert (source.resize_side, source.crop_side) == sides
        assert source.crop_side == source.build().input_shape[0]
        assert "IMAGENET1K_V" in source.source


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_googles_preprocessing_is_torchvisions_then_transform_input(name):
    pixels = uniform("pixels", (2, 4, 5, 3))
    mean, deviation = (
        np.float32(v) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    normalised = (pixels - mean) / deviation
    expected = normalised * (deviation / 0.5) + (mean - 0.5) / 0.5
    ours = apply_preprocessing(weight_source(f"torchvision/{name}").preprocessing, pixels)
    np.testing.assert_allclose(ours, expected, atol=1e-6)  # float32 near 1
    imagenet = apply_preprocessing(torchvision.IMAGENET, pixels)
    np.testing.assert_allclose(imagenet, normalised, atol=1e-6)


def test_flattened_maps_are_taken_pixel_by_pixel(draw):
    maps = draw.standard_normal((3, 5, 2, 2)).astype(np.float32)  # [N, C, H, W]
    weight = draw.standard_normal((7, 20)).astype(np.float32)
    kernel = torchvision.flattened(2).ours(weight)
    ours = maps.transpose(0, 2, 3, 1).reshape(3, -1) @ kernel
    np.testing.assert_allclose(ours, maps.reshape(3, -1) @ weight.T, rtol=1e-5)
    np.testing.assert_array_equal(torchvision.flattened(2).theirs(kernel), weight)


def file_of(name):
    """Return source, module and arrays of 0 of a file."""
    source, model = network(name)
    return source, model, source.to_arrays(zeros(model), model)


def read(source, arrays):
    return source.to_variables(arrays, source.build(**source.fields_of(arrays)))


def test_the_classes_are_read_off_the_file():
    source, _, arrays = file_of("alexnet")
    arrays |= {
        "classifier.6.weight": np.zeros((3, 4096), np.float32),
        "classifier.6.bias": np.zeros(3, np.float32),
    }
    assert source.fields_of(arrays) == {"num_classes": 3}
    assert read(source, arrays)["params"]["fc8"]["kernel"].shape == (4096, 3)


@pytest.mark.parametrize("name", some_slow(["googlenet", "inception_v3"], {"googlenet"}))
def test_a_file_without_its_heads_gives_a_network_without_heads(name):
    heads = {"googlenet": "aux", "inception_v3": "AuxLogits"}[name]
    source, _, arrays = file_of(name)
    without = {k: v for k, v in arrays.items() if not k.startswith(heads)}
    assert source.fields_of(without) == {"num_classes": 1000, "auxiliary_heads": False}
    assert not [scope for scope in read(source, without)["params"] if scope[:3] == "aux"]
    some = {k: v for k, v in arrays.items() if not k.endswith(("fc.weight", "fc1.weight"))}
    with pytest.raises(UserError, match=r"missing: .*\.fc1?\.weight"):
        read(source, some | {"fc.weight": arrays["fc.weight"]})


def test_files_of_old_torch_have_no_counters_of_batches():
    source, _, arrays = file_of("vgg11_bn")
    counters = [key for key in arrays if key.endswith("num_batches_tracked")]
    assert len(counters) == 8
    assert read(source, {k: v for k, v in arrays.items() if k not in counters})
    with pytest.raises(UserError, match=r"superfluous: features.0.num_batches_tracked"):
        read(source, {**arrays, "features.0.num_batches_tracked": np.int64(3)})


def replaced(key, array):
    return lambda arrays: {**arrays, key: array}


def dropped(*keys):
    return lambda arrays: {k: v for k, v in arrays.items() if k not in keys}


REFUSALS = {
    "missing: features.3.bias": dropped("features.3.bias"),
    "missing: classifier.1.bias, classifier.1.weight, classifier.4.bias and 11 more": (
        lambda arrays: {k: v for k, v in arrays.items() if k.startswith("classifier.6")}
    ),
    "missing: classifier.6.weight, the classifier": dropped("classifier.6.weight"),
    "superfluous: extra.weight": replaced("extra.weight", np.zeros(1, np.float32)),
    r"features.0.bias is float64 \[64\]; float32 \[64\] is needed": replaced(
        "features.0.bias", np.zeros(64)
    ),
    r"features.0.bias is >f4 \[64\]; float32": replaced(
        "features.0.bias", np.zeros(64, ">f4")
    ),
    r"features.0.weight is float32 \[11, 11, 3, 64\]; float32 \[64, 3, 11, 11\]": replaced(
        "features.0.weight", np.zeros((11, 11, 3, 64), np.float32)
    ),
    r"classifier.1.weight is float32 \[9216, 4096\]; float32 \[4096, 9216\]": replaced(
        "classifier.1.weight", np.broadcast_to(np.float32(0), (9216, 4096))
    ),
    r"classifier.6.weight is \[\]; \[classes, features\] is needed": replaced(
        "classifier.6.weight", np.float32(0)
    ),
    r"classifier.6.weight is \[0, 4096\]; \[classes, features\] is needed": replaced(
        "classifier.6.weight", np.zeros((0, 4096), np.float32)
    ),
}


@pytest.mark.parametrize("message", REFUSALS)
def test_what_does_not_fit_is_named_in_one_line(message):
    source, _, arrays = file_of("alexnet")
    with pytest.raises(UserError, match=message) as refusal:
        read(source, REFUSALS[message](arrays))
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 400


def test_a_file_of_another_architecture_is_refused():
    vgg, _, _ = file_of("vgg11")
    _, _, arrays = file_of("alexnet")
    with pytest.raises(UserError, match=r"missing: classifier.0.bias, .* superfluous: "):
        read(vgg, arrays)


def test_variables_of_another_network_are_not_exported():
    source, model, _ = file_of("alexnet")
    variables = zeros(model)
    del variables["params"]["conv3"]
    with pytest.raises(UserError, match="missing: params/conv3/bias, params/conv3/kernel"):
        source.to_arrays(variables, model)
    variables = zeros(model)
    variables["params"]["conv3"]["bias"] = np.zeros(383, np.float32)
    with pytest.raises(UserError, match=r"params/conv3/bias is float32 \[383\]"):
        source.to_arrays(variables, model)
