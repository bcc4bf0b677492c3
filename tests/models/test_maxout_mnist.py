import jax
import numpy as np
import pytest
from scipy.signal import correlate

import cnn_jax
from cnn_jax.analysis.layer_table import layer_table
from cnn_jax.layers.rows import Classifier
from cnn_jax.layers.tracing import count_parameters
from cnn_jax.models.maxout_mnist import (
    MLP_TABLE,
    TABLE,
    MaxoutConv,
    MaxoutDense,
    MaxoutNetwork,
    rectified,
)

# The authors' configurations, mnist.yaml and mnist_pi.yaml, by arithmetic: a convolution
# has biases for every place; a pool gives ceil((size - window) / stride) + 1 places.
LAYERS = {
    "maxout_mnist": {
        "h0": ((21, 21, 48), 8 * 8 * 96 + 21 * 21 * 96, 21 * 21 * 8 * 8 * 96),
        "pool0": ((10, 10, 48), 0, 0),
        "h1": ((9, 9, 48), 8 * 8 * 48 * 96 + 9 * 9 * 96, 9 * 9 * 8 * 8 * 48 * 96),
        "pool1": ((4, 4, 48), 0, 0),
        "h2": ((6, 6, 24), 5 * 5 * 48 * 96 + 6 * 6 * 96, 6 * 6 * 5 * 5 * 48 * 96),
        "pool2": ((3, 3, 24), 0, 0),
        "y": ((10,), 217 * 10, 216 * 10),
    },
    "maxout_mnist_mlp": {
        "h0": ((240,), 785 * 1200, 784 * 1200),
        "h1": ((240,), 241 * 1200, 240 * 1200),
        "y": ((10,), 241 * 10, 240 * 10),
    },
}


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_has_the_configurations_shape(name):
    rows = {
        row.name: (row.output_shape, row.parameters, row.macs)
        for row in layer_table(cnn_jax.create_model(name))
        if not row.name.endswith("dropout")
    }
    assert rows == LAYERS[name]


def _maxout_by_loops(x, kernel, bias, pieces):
    """Correlate a padded image with every filter; the largest of neighbouring ones."""
    maps = np.stack(
        [correlate(x, kernel[..., k], "valid")[:, :, 0] for k in range(kernel.shape[-1])],
        axis=-1,
    )
    maps = maps + bias
    units = maps.shape[-1] // pieces
    if pieces == 1:
        return np.maximum(maps, 0.0)
    return np.stack(
        [maps[..., u * pieces : (u + 1) * pieces].max(-1) for u in range(units)], axis=-1
    )


@pytest.mark.parametrize("pieces", [3, 1])
def test_a_unit_is_the_largest_of_its_maps_and_every_place_has_its_biases(
    draw, random_scores, pieces
):
    rows = (
        MaxoutConv("h0", 2, 3, padding=1, pieces=pieces),
        MaxoutDense("h1", 4, pieces=pieces),
        Classifier("y"),
    )
    model = MaxoutNetwork(num_classes=3, input_shape=(5, 4, 2), table=rows)
    images = draw.standard_normal((2, 5, 4, 2), np.float32)
    scores, params = random_scores(model, images)
    assert params["h0"]["bias"].shape == (5, 4, 2 * pieces)
    for image, found in zip(images, scores, strict=True):
        x = np.pad(image, ((1, 1), (1, 1), (0, 0)))
        h0 = params["h0"]
        x = _maxout_by_loops(x, h0["conv"]["kernel"], h0["bias"], pieces).reshape(-1)
        x = x @ params["h1"]["kernel"] + params["h1"]["bias"]
        x = np.maximum(x, 0) if pieces == 1 else x.reshape(4, pieces).max(-1)
        expected = x @ params["y"]["kernel"] + params["y"]["bias"]
        # float32 sums of up to 120 terms
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_biases_of_places_refuse_an_image_of_another_size():
    model = MaxoutNetwork(
        input_shape=(5, 5, 1), table=(MaxoutConv("h0", 2, 3), Classifier("y"))
    )
    variables = jax.eval_shape(
        lambda: model.init(jax.random.key(0), np.zeros((1, 5, 5, 1)), train=False)
    )
    with pytest.raises(ValueError, match=r"h0: its biases are for .* \(3, 3, 4\)"):
        jax.eval_shape(
            lambda v: model.apply(v, np.zeros((1, 6, 6, 1)), train=False), variables
        )


def test_the_rectifier_twins_have_as_many_units_or_as_many_filters():
    units = [row.features for row in rectified(TABLE, same_filters=False)[1:8:3]]
    filters = [row.features for row in rectified(TABLE, same_filters=True)[1:8:3]]
    assert (units, filters) == ([48, 48, 24], [96, 96, 96])
    wide = cnn_jax.create_model(
        "maxout_mnist_mlp", table=rectified(MLP_TABLE, same_filters=True)
    )
    assert count_parameters(wide) == 785 * 1200 + 1201 * 1200 + 1201 * 10
