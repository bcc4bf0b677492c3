"""Numbers against torchvision are in ``tests/weights/test_torchvision.py``."""

import jax
import numpy as np
import pytest

import cnn_jax
from cnn_jax.layers.rows import Classifier, Conv, Dense
from cnn_jax.layers.tracing import count_parameters, trace_variables
from cnn_jax.models import vgg, vgg_bn
from cnn_jax.models.vgg_bn import VGGBatchNorm


@pytest.mark.parametrize("letter", vgg_bn.TABLES)
def test_the_layers_are_those_of_vgg(letter):
    assert vgg_bn.TABLES[letter] == vgg.TABLES[letter]


@pytest.mark.parametrize("letter", vgg_bn.TABLES)
def test_two_numbers_a_feature_map_are_added_and_no_bias_is_taken_away(letter):
    plain, normalised = (
        count_parameters(cnn_jax.create_model(f"vgg_{letter}{end}")) for end in ("", "_bn")
    )
    convolutions = [row for row in vgg.TABLES[letter] if isinstance(row, Conv)]
    assert normalised - plain == 2 * sum(row.features for row in convolutions)


def test_a_convolution_keeps_its_bias_which_moves_the_running_mean_alone(draw):
    table = (Conv("conv1", 3, 3, padding=1), Classifier("fc8"))
    model = VGGBatchNorm(num_classes=2, input_shape=(5, 5, 2), table=table)
    images = draw.standard_normal((4, 5, 5, 2)).astype(np.float32)
    variables = jax.tree.map(
        lambda leaf: draw.uniform(0.5, 1.0, leaf.shape).astype(np.float32),
        trace_variables(model),
    )

    @jax.jit
    def train(shift):
        params = {**variables["params"]}
        params["conv1"] = {**params["conv1"], "bias": params["conv1"]["bias"] + shift}
        return model.apply(
            {**variables, "params": params}, images, train=True, mutable=["batch_stats"]
        )

    shift = np.float32([1.0, 2.0, 3.0])
    (before, old), (after, new) = train(np.zeros(3, np.float32)), train(shift)
    np.testing.assert_allclose(after, before, atol=1e-4)  # float32 around 5
    old, new = (s["batch_stats"]["conv1_norm"] for s in (old, new))
    np.testing.assert_allclose(new["mean"] - old["mean"], 0.1 * shift, rtol=1e-4)
    np.testing.assert_allclose(new["var"], old["var"], rtol=1e-4)


def test_a_convolution_after_a_dense_layer_is_refused_by_name():
    table = (Dense("fc6", 4), Conv("conv1", 3, 3, padding=1), Classifier("fc8"))
    model = VGGBatchNorm(num_classes=2, input_shape=(5, 5, 2), table=table)
    with pytest.raises(ValueError, match="conv1: it slides over images"):
        trace_variables(model)
