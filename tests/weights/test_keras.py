"""Our networks against ``keras.applications``, whose numbers are in ``fixtures/``.

``make_keras_fixtures.py`` wrote them, with Keras in float64; the weights are those of
``keras_numbers.py`` on both sides.
"""

import json
from functools import cache, partial
from pathlib import Path

import jax
import numpy as np
import pytest

from cnn_jax.data.preprocessing import apply_preprocessing
from cnn_jax.layers.batch_norm import BatchNorm
from cnn_jax.layers.rows import AveragePool, Dense
from cnn_jax.layers.tracing import trace_variables
from cnn_jax.weights.keras import SOURCES
from tests.weights.keras_numbers import digest, images, weights

FIXTURES = Path(__file__).parent / "fixtures"
NETWORKS = {source.name.removeprefix("keras/"): source for source in SOURCES}
CLASSES = 5

# Trainable parameters, running statistics; their sum is Keras' count, which its
# documentation prints (1000 classes).
COUNTS = {
    "vgg16": (138_357_544, 0),  # 138,357,544
    "vgg19": (143_667_240, 0),  # 143,667,240
    "resnet50": (25_583_592, 53_120),  # 25,636,712
    "resnet101": (44_601_832, 105_344),  # 44,707,176
    "resnet152": (60_268_520, 151_424),  # 60,419,944
    "inceptionv3": (23_817_352, 34_432),  # 23,851,784
}
# Depth costs seconds of tracing and of compiling; names and layers repeat.
EVERY = [
    pytest.param(name, marks=pytest.mark.slow)
    if name in ("resnet101", "resnet152")
    else name
    for name in COUNTS
]
# These tests compile more than they compute.
quick_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def _fixture(name):
    return json.loads((FIXTURES / f"keras_{name}.json").read_text(encoding="utf-8"))


@cache
def _small(name):
    """The network for the fixture's small images, and arrays as in a file of Keras."""
    source, edge = NETWORKS[name], _fixture(name)["edge"]
    model = source.build(num_classes=CLASSES, input_shape=(edge, edge, 3))
    if name == "inceptionv3":
        # Keras takes the mean of all pixels: 8 x 8 of 299, 3 x 3 of 139.
        rows = (AveragePool("pool3", 3, 1) if r.name == "pool3" else r for r in model.table)
        model = model.clone(table=tuple(rows))
    variables = trace_variables(model)
    shapes = {}
    for entry in source.entries(model):
        leaf = variables
        for step in entry.path:
            leaf = leaf[step]
        shapes[entry.key] = leaf.shape
    return source, model, shapes


@cache
def _loaded(name):
    source, model, shapes = _small(name)
    arrays = {key: weights(key, shape) for key, shape in shapes.items()}
    return arrays, source.to_variables(arrays, model)


def _assert_scores_equal(scores, expected, rtol):
    expected = np.array(expected)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=rtol * np.abs(expected).max())


@pytest.mark.parametrize("name", EVERY)
def test_weights_have_the_names_and_shapes_of_keras(name):
    _, _, shapes = _small(name)
    assert digest(shapes) == _fixture(name)["shapes_sha256"]


@pytest.mark.parametrize("name", EVERY)
def test_parameters_and_running_statistics_add_up_to_keras_count(name):
    variables = trace_variables(NETWORKS[name].build())
    counts = {
        collection: sum(leaf.size for leaf in jax.tree.leaves(tree))
        for collection, tree in variables.items()
    }
    assert (counts["params"], counts.get("batch_stats", 0)) == COUNTS[name]


@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_scores_equal_those_of_keras(name):
    source, model, _ = _small(name)
    fixture = _fixture(name)
    arrays, variables = _loaded(name)
    pixels = images(fixture["images"], fixture["edge"])
    x = apply_preprocessing(source.preprocessing, pixels)
    scores = quick_jit(partial(model.apply, train=False))(variables, x)
    # float32 against float64: measured 1e-6.
    _assert_scores_equal(scores, fixture["evaluated"], 1e-5)
    # Import, then export, gives the file's numbers bit by bit.
    back = source.to_arrays(variables, model)
    assert back.keys() == arrays.keys()
    assert all(back[key].tobytes() == arrays[key].tobytes() for key in arrays)


@pytest.mark.slow
@pytest.mark.parametrize("name", COUNTS)
def test_evaluation_training_and_updated_statistics_equal_those_of_keras(name):
    source, model, _ = _small(name)
    fixture = _fixture(name)
    arrays, variables = _loaded(name)
    pixels = images(fixture["images"], fixture["edge"])

    @quick_jit
    def both(variables, x):
        trained, updated = model.apply(variables, x, train=True, mutable=["batch_stats"])
        return model.apply(variables, x, train=False), trained, updated

    x = apply_preprocessing(source.preprocessing, pixels)
    evaluated, trained, updated = jax.tree.map(np.asarray, both(variables, x))
    _assert_scores_equal(evaluated, fixture["evaluated"], 1e-5)
    # Variances are differences of means of squares in float32: measured up to 4e-5.
    _assert_scores_equal(trained, fixture["trained"], 1e-4)
    after = source.to_arrays({**variables, **updated}, model)
    assert [key for key in arrays if not np.array_equal(after[key], arrays[key])] == [
        key for key in arrays if "/moving_" in key
    ]
    means = [key for key in arrays if key.endswith("/moving_mean")]
    assert len(fixture["statistics"]) == len(means)
    for layer, expected in fixture["statistics"].items():
        mean, variance = after[f"{layer}/moving_mean"], after[f"{layer}/moving_variance"]
        found = (mean[0], mean[-1], variance[0], variance[-1])
        # A step moves a mean by some 0.01; measured up to 3e-6.
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6, err_msg=layer)
    back = source.to_arrays(variables, model)
    assert all(back[key].tobytes() == arrays[key].tobytes() for key in arrays)


@pytest.mark.parametrize(
    ("name", "colour", "seen"),
    [
        # keras/src/applications/imagenet_utils.py: "caffe", "tf"; there blue is first.
        ("vgg16", (255, 0, 128), (255 - 123.68, -116.779, 128 - 103.939)),
        ("resnet152", (0, 117, 1), (-123.68, 117 - 116.779, 1 - 103.939)),
        ("inceptionv3", (0, 255, 51), (-1.0, 1.0, -0.6)),
    ],
)
def test_pixels_are_prepared_as_keras_does(name, colour, seen):
    pixel = np.array(colour, np.uint8).reshape(1, 1, 1, 3)
    found = apply_preprocessing(NETWORKS[name].preprocessing, pixel)[0, 0, 0]
    # Means of 0.4 divided by 1/255, in float32.
    np.testing.assert_allclose(found, seen, rtol=0, atol=3e-5)


def test_the_sides_are_those_of_the_published_errors():
    sides = {name: (s.resize_side, s.crop_side) for name, s in NETWORKS.items()}
    assert sides.pop("inceptionv3") == (341, 299)
    assert set(sides.values()) == {(256, 224)}
    for name, source in NETWORKS.items():
        edge = 299 if name == "inceptionv3" else 224
        assert source.build().input_shape == (edge, edge, 3)


def test_batch_normalisation_has_the_numbers_of_keras():
    # resnet.py; BatchNormalization's defaults, and scale=False in inception_v3.py. An
    # epsilon of 1e-5 would not show in any score.
    for name in ("resnet50", "resnet101", "resnet152"):
        norm = NETWORKS[name].build().batch_norm
        assert norm == BatchNorm(epsilon=1.001e-5, momentum=0.99, unbiased=False)
        assert NETWORKS[name].build().stride_in == "1x1"
    norm = NETWORKS["inceptionv3"].build().batch_norm
    assert norm == BatchNorm(epsilon=1e-3, momentum=0.99, scale=False, unbiased=False)
    assert not NETWORKS["inceptionv3"].build().count_padding


def test_the_networks_draw_no_masks_and_have_no_heads():
    assert all(
        row.dropout == 0.0
        for name in ("vgg16", "vgg19")
        for row in NETWORKS[name].build().table
        if isinstance(row, Dense)
    )
    rows = [row.name for row in NETWORKS["inceptionv3"].build().table]
    assert "dropout" not in rows
    assert not any(row.startswith("aux") for row in rows)
