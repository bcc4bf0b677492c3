"""A network as a convolution: equal to its windows, or to its layers slid by NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnn_jax
from cnn_jax.errors import UserError
from cnn_jax.evaluation.convolutional import convolutional, map_stride, slides_exactly
from cnn_jax.layers.activations import Maxout, PReLU, tanh
from cnn_jax.layers.auxiliary_head import AuxiliaryHead
from cnn_jax.layers.batch_norm import BatchNorm
from cnn_jax.layers.batch_norm_conv import ConvNorm
from cnn_jax.layers.inception import DropoutRow, InceptionNetwork
from cnn_jax.layers.residual import BasicBlock
from cnn_jax.layers.residual_network import GlobalAveragePool, ResidualNetwork
from cnn_jax.layers.rows import (
    AveragePool,
    Classifier,
    Conv,
    Dense,
    LocalContrastNorm,
    LocalResponseNorm,
    MaxPool,
)
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.layers.tracing import trace_variables
from tests.evaluation.small_networks import (
    PADDED,
    UNPADDED,
    network,
    random_variables,
    windows_of,
)

# float32 sums of at most a hundred terms of unit size, in another order.
TOLERANCE = 1e-5


def score_map(model, variables, images):
    module, variables = convolutional(model, variables)
    return np.asarray(jax.jit(module.apply)(variables, images))


def scores(model, variables, images):
    return np.asarray(
        jax.jit(lambda v, x: model.apply(v, x, train=False))(variables, images)
    )


# The lecture's case: a multilayer perceptron that scans is a convolution.
PERCEPTRON = TableNetwork(
    num_classes=3,
    input_shape=(5, 4, 2),  # higher than wide
    table=(Dense("hidden", 7), Dense("hidden2", 6), Classifier("out")),
    activation=tanh,
)
NORMALISED = InceptionNetwork(
    num_classes=3,
    input_shape=(14, 14, 1),
    table=(
        ConvNorm("conv1", 4, 3, 2, "valid"),
        LocalResponseNorm("norm1", alpha=0.1),
        AuxiliaryHead("aux1", size=2, stride=2, reduce=2, features=4),
        AveragePool("pool1", 4, 1),
        DropoutRow("dropout", 0.4),
        Dense("fc", 5),
        DropoutRow("dropout2", 0.4),
        Classifier("out"),
    ),
    batch_norm=BatchNorm(),
)


@pytest.mark.parametrize(
    "model",
    [
        UNPADDED,
        UNPADDED.clone(activation=PReLU),
        PERCEPTRON,
        PERCEPTRON.clone(activation=Maxout(2)),
        NORMALISED,
    ],
    ids=["convolutions", "prelu", "perceptron", "maxout", "normalised"],
)
def test_each_cell_is_what_the_network_says_of_its_window(model, draw):
    assert slides_exactly(model)
    height, width, channels = model.input_shape
    stride = map_stride(model)
    variables = random_variables(model)
    image = draw.standard_normal((height + 2 * stride + 1, width + 3 * stride, channels))
    image = image.astype(np.float32)
    windows = windows_of(image, (height, width), stride)
    expected = scores(model, variables, windows.reshape(-1, height, width, channels))
    found = score_map(model, variables, image[None])[0]
    if model is NORMALISED:  # 3 x 3 / 2 on 14 pixels leaves the last one out
        assert found.shape[:2] == (4, 4)
        found = found[:3]
    assert found.shape[:2] == windows.shape[:2]
    np.testing.assert_allclose(
        found, expected.reshape(found.shape), atol=TOLERANCE, rtol=TOLERANCE
    )


def test_behind_padded_maps_the_dense_layers_slide_over_the_last_map(draw):
    variables = random_variables(PADDED)
    images = draw.standard_normal((2, 18, 22, 1)).astype(np.float32)
    features = PADDED.clone(table=PADDED.table[:2])
    maps = scores(features, variables, images)
    assert maps.shape == (2, 9, 11, 6)
    params = variables["params"]
    found = score_map(PADDED, variables, images)
    assert found.shape == (2, 3, 5, 3)
    for row in range(3):
        for column in range(5):
            flat = maps[:, row : row + 7, column : column + 7].reshape(2, -1)
            hidden = np.maximum(flat @ params["fc1"]["kernel"] + params["fc1"]["bias"], 0)
            expected = hidden @ params["out"]["kernel"] + params["out"]["bias"]
            np.testing.assert_allclose(
                found[:, row, column], expected, atol=TOLERANCE, rtol=TOLERANCE
            )
    # It is not what the network says of the windows: their borders are zeros.
    window = images[:, 2:16, 2:16]
    alone = scores(PADDED, variables, window)
    assert np.abs(alone - found[:, 1, 1]).max() > 0.01


def test_a_global_mean_keeps_its_window_and_slides(draw):
    model = ResidualNetwork(
        num_classes=3,
        input_shape=(8, 8, 1),
        table=(
            Conv("conv1", 4, 3, padding=1),
            BasicBlock("conv2", 4, 2),
            GlobalAveragePool("gap"),
            Classifier("fc"),
        ),
    )
    assert map_stride(model) == 2
    assert not slides_exactly(model)
    variables = random_variables(model)
    images = draw.standard_normal((1, 12, 10, 1)).astype(np.float32)
    np.testing.assert_allclose(
        score_map(model, variables, images[:, :8, :8])[:, 0, 0],
        scores(model, variables, images[:, :8, :8]),
        atol=TOLERANCE,
    )
    features = model.clone(table=model.table[:2])
    apply = jax.jit(lambda v, x: features.apply(v, x, train=False))
    maps = np.asarray(apply(variables, images))
    fc = variables["params"]["fc"]
    found = score_map(model, variables, images)
    assert found.shape == (1, 3, 2, 3)
    expected = maps[:, 2:6, 1:5].mean((1, 2)) @ fc["kernel"] + fc["bias"]
    np.testing.assert_allclose(found[:, 2, 1], expected, atol=TOLERANCE, rtol=TOLERANCE)


def traced_map(name, height, width):
    model = cnn_jax.create_model(name)
    images = jax.ShapeDtypeStruct((1, height, width, 3), jnp.float32)

    def forward(variables, images):
        module, variables = convolutional(model, variables)
        return module.apply(variables, images)

    return jax.eval_shape(forward, trace_variables(model), images).shape[1:3]


@pytest.mark.parametrize(
    ("name", "image", "places"),
    [
        # OverFeat, Table 5: input and class map without the shifts of its last pool.
        ("overfeat_accurate", (245, 245), (1, 1)),
        ("overfeat_accurate", (281, 317), (2, 3)),
        ("overfeat_accurate", (317, 389), (3, 5)),
        ("overfeat_accurate", (389, 461), (5, 7)),
        ("overfeat_accurate", (461, 569), (7, 10)),
        # VGG: Q / 32 pixels less the 7 x 7 of its first fully connected layer.
        ("vgg_a", (224, 224), (1, 1)),
        ("vgg_a", (256, 384), (2, 6)),
        # 480 / 32 and 640 / 32 less the 7 x 7 mean.
        ("resnet18", (480, 640), (9, 14)),
    ],
)
def test_maps_of_the_printed_networks_have_the_sizes_of_their_papers(name, image, places):
    assert traced_map(name, *image) == places


@pytest.mark.slow  # tracing: minutes
@pytest.mark.parametrize("name", cnn_jax.list_models())
def test_every_network_becomes_a_convolution_or_says_why_not(name):
    model = cnn_jax.create_model(name)
    if name.startswith("prelu_net"):
        with pytest.raises(UserError, match="bins of spp"):
            convolutional(model, {})
        return
    variables = trace_variables(model)
    height, width, channels = model.input_shape
    stride = map_stride(model)
    for more in (0, 1, 3):
        images = jax.ShapeDtypeStruct(
            (2, height, width + more * stride, channels), jnp.float32
        )

        def forward(variables, images):
            module, variables = convolutional(model, variables)
            return module.apply(variables, images)

        found = jax.eval_shape(forward, variables, images)
        assert found.shape == (2, 1, 1 + more, model.num_classes)


@pytest.mark.parametrize(
    ("name", "stride"),
    [
        ("alexnet", 32),  # 4 2 2 2
        ("zfnet", 32),  # 2 2 2 2 2
        ("overfeat_fast", 32),  # 4 2 2 2
        ("overfeat_accurate", 36),  # 2 3 2 3
        ("vgg_e", 32),
        ("googlenet", 32),
        ("bn_inception", 32),  # two of them within modules
        ("inception_v3", 32),
        ("resnet50", 32),
        ("resnet20", 4),
        ("prelu_net_a", 16),  # in front of its pyramid
        ("lenet5_modern", 4),
        ("mlp", 1),
    ],
)
def test_stride_is_the_product_of_the_strides(name, stride):
    assert map_stride(cnn_jax.create_model(name)) == stride


def test_only_networks_without_padding_slide_exactly():
    exact = {name for name in cnn_jax.list_models() if _slides(name)}
    assert exact >= {"lenet5_modern", "mnist_net", "exercise_cnn", "mlp"}
    padded = {"alexnet", "zfnet", "vgg_d", "googlenet", "resnet18", "inception_v3"}
    assert not exact & {*padded, "overfeat_fast", "prelu_net_a"}


def _slides(name):
    return slides_exactly(cnn_jax.create_model(name))


@pytest.mark.parametrize(
    "row",
    [
        LocalContrastNorm("norm"),  # its floor is a mean over the image
        MaxPool("pool", 3, 2, ceil=True),
        MaxPool("pool", 3, 2, padding=1),
        AveragePool("pool", 3, 2, padding=1),
        Conv("conv", 4, 3, padding=1),
        ConvNorm("conv", 4, 1, 2, "same"),
        object(),  # one that is not known
    ],
    ids=lambda row: type(row).__name__,
)
def test_one_row_that_looks_beyond_its_window_is_enough(row):
    assert not slides_exactly(UNPADDED.clone(table=(row, *UNPADDED.table)))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ((), "no table of layers"),
        ((Conv("conv1", 4, 3),), "no table of layers"),
        (
            (GlobalAveragePool("gap"), Conv("conv9", 4, 1), Classifier("out")),
            r"conv9 \(Conv\) stands behind gap",
        ),
    ],
)
def test_what_cannot_slide_is_refused_with_its_reason(table, said):
    with pytest.raises(UserError, match=said):
        convolutional(UNPADDED.clone(table=table), {"params": {}})


def test_images_smaller_than_the_input_are_refused():
    net = network(UNPADDED)
    module, variables = convolutional(UNPADDED, net.variables)
    images = jax.ShapeDtypeStruct((1, 14, 13, 1), jnp.float32)
    with pytest.raises(ValueError, match="14 x 13 pixels are smaller"):
        jax.eval_shape(module.apply, variables, images)
