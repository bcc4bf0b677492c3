import jax
import numpy as np
import pytest

from cnn_jax import UserError, count_parameters, create_model, layer_table, without
from cnn_jax.layers.scattering import Scattering
from cnn_jax.layers.tracing import trace_variables


# 1 + J L + L^2 J (J - 1) / 2 maps for each channel of the image.
@pytest.mark.parametrize(
    ("fields", "shape"),
    [
        ({}, (8, 8, 81)),
        ({"J": 3}, (4, 4, 217)),
        ({"J": 3, "L": 6}, (4, 4, 127)),
        ({"J": 1, "L": 4, "order": 1}, (16, 16, 5)),
        ({"order": 0}, (8, 8, 1)),
        ({"input_shape": (28, 64, 3)}, (7, 16, 243)),
    ],
)
def test_shapes_and_parameters_of_every_row(fields, shape):
    rows = layer_table(create_model("scattering", **fields))
    height, width, channels = shape
    assert [(row.name, row.output_shape, row.parameters) for row in rows] == [
        ("scattering", shape, 0),  # nothing is learned
        ("norm", shape, 2 * channels),
        ("linear", (10,), height * width * channels * 10 + 10),
    ]


def test_the_small_network_reads_the_same_maps():
    rows = layer_table(create_model("scattering_cnn"))
    assert [(row.name, row.output_shape, row.parameters) for row in rows] == [
        ("scattering", (8, 8, 81), 0),
        ("norm", (8, 8, 81), 162),
        ("conv1", (8, 8, 64), 9 * 81 * 64 + 64),
        ("fc1", (512,), 4096 * 512 + 512),
        ("fc2", (10,), 5130),
    ]


def test_scores_are_linear_in_the_normalised_coefficients(draw):
    model = create_model("scattering", J=1, L=2, input_shape=(4, 4, 1))
    variables = jax.tree.map(
        lambda leaf: draw.uniform(0.5, 1.5, leaf.shape).astype(np.float32),
        trace_variables(model),
    )
    images = draw.standard_normal((3, 4, 4, 1)).astype(np.float32)
    found = jax.jit(lambda v, x: model.apply(v, x, train=False))(variables, images)
    norm, dense = variables["params"]["norm"], variables["params"]["linear"]
    statistics = variables["batch_stats"]["norm"]
    x = np.asarray(jax.jit(Scattering(1, 2))(images))
    x = (x - statistics["mean"]) / np.sqrt(statistics["var"] + 1e-8)
    x = x * norm["scale"] + norm["bias"]
    expected = x.reshape(3, -1) @ dense["kernel"] + dense["bias"]
    np.testing.assert_allclose(found, expected, rtol=1e-4)  # float32


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"J": 3, "input_shape": (28, 28, 1)}, "scattering: 2\\^J = 8 must divide"),
        ({"J": 0}, "J = 0; a whole number of at least 1 is needed"),
        ({"L": 0}, "L = 0; a whole number of at least 1 is needed"),
        ({"order": 3}, "order = 3 is not one of 0, 1, 2"),
    ],
)
def test_what_cannot_be_computed_is_refused_in_one_line(fields, message):
    with pytest.raises(UserError, match=message) as refusal:
        layer_table(create_model("scattering", **fields))
    assert "\n" not in str(refusal.value)


def test_without_the_transform_a_linear_classifier_of_pixels_is_left():
    left = without(create_model("scattering"), "scattering")
    assert count_parameters(left) == 2 + 1024 * 10 + 10
