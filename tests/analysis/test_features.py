"""Features by layer name: against the network itself and against loops."""

from functools import cache

import jax
import numpy as np
import pytest

from cnn_jax import UserError, create_model
from cnn_jax.analysis.features import features
from cnn_jax.layers.inception import AuxiliaryHead
from cnn_jax.layers.tracing import trace_variables
from tests.layers.small_residual_networks import (
    BASIC,
    SHAPE,
    network,
    quick_jit,
    random_variables,
)
from tests.tiny import MODEL


@pytest.fixture
def images(draw):
    return draw.standard_normal((2, *MODEL.input_shape), np.float32)


@pytest.fixture(scope="module")
def variables_of():
    """``name -> model, shapes of its variables``, each traced once."""

    @cache
    def traced(name):
        model = create_model(name)
        return model, trace_variables(model)

    return traced


def test_rows_of_a_table_are_what_the_layers_compute(images, draw):
    variables = random_variables(MODEL, draw)
    params = variables["params"]

    names = [row.name for row in MODEL.table]

    @quick_jit
    def together(variables, images):
        found = [features(MODEL, variables, images, name) for name in names]
        return *found, MODEL.apply(variables, images, train=False)

    outputs = map(np.asarray, together(variables, images))
    conv1, pool1, conv2, fc1, out, logits = outputs
    assert conv1.shape == (2, 6, 6, 4)
    window = images[1, 2:5, 3:6, 0]
    expected = np.sum(window[..., None] * params["conv1"]["kernel"][:, :, 0], (0, 1))
    expected = np.maximum(expected + params["conv1"]["bias"], 0)
    # float32 sums of 9 terms in another order.
    np.testing.assert_allclose(conv1[1, 2, 3], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(
        pool1, conv1.reshape(2, 3, 2, 3, 2, 4).max((2, 4)), strict=True
    )
    hidden = conv2.reshape(2, -1) @ params["fc1"]["kernel"] + params["fc1"]["bias"]
    # Sums of 72 terms. Dropout does nothing here.
    np.testing.assert_allclose(fc1, np.maximum(hidden, 0), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(out, logits, strict=True)


def test_rows_of_a_residual_network_lead_to_its_logits(draw):
    model = network(BASIC[:1])
    variables = random_variables(model, draw)
    images = draw.standard_normal((2, *SHAPE), np.float32)

    @quick_jit
    def together(variables, images):
        found = [features(model, variables, images, name) for name in ("conv2_1", "gap")]
        return *found, model.apply(variables, images, train=False)

    last, pooled, logits = map(np.asarray, together(variables, images))
    assert last.shape == (2, 4, 3, 4)
    assert last.min() == 0.0  # the block ends with a ReLU
    # Means of 12 numbers, and sums of 4: rounding of float32.
    np.testing.assert_allclose(pooled, last.mean((1, 2), keepdims=True), rtol=1e-5)
    head = variables["params"]["fc"]
    np.testing.assert_allclose(
        pooled[:, 0, 0] @ head["kernel"] + head["bias"], logits, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("name", "layer", "shape"),
    [  # as printed: Szegedy et al. 2015, Table 1; Simonyan & Zisserman 2015, Table 1
        ("googlenet", "inception_3a", (28, 28, 256)),
        ("googlenet", "pool2", (28, 28, 192)),
        ("vgg_a_bn", "pool2", (56, 56, 128)),
        ("vgg_a_bn", "fc6", (4096,)),
    ],
)
def test_rows_have_the_shapes_that_the_papers_print(name, layer, shape, variables_of):
    model, variables = variables_of(name)
    images = jax.ShapeDtypeStruct((3, *model.input_shape), np.float32)
    found = jax.eval_shape(lambda v, x: features(model, v, x, layer), variables, images)
    assert found.shape == (3, *shape)


def test_unknown_layers_are_answered_with_near_ones(images):
    with pytest.raises(UserError, match=r"unknown layer of TableNetwork 'pol1'; .*pool1"):
        features(MODEL, {}, images, "pol1")
    with pytest.raises(UserError, match="no table of named layers"):
        features(MODEL.clone(table=()), {}, images, "conv1")
    googlenet = create_model("googlenet")
    head = next(r.name for r in googlenet.table if isinstance(r, AuxiliaryHead))
    with pytest.raises(UserError, match="auxiliary head: it runs in training only"):
        features(googlenet, {}, images, head)
