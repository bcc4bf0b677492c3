"""Receptive fields against brute force: which pixels change a unit, and which never do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.analysis.layer_table import layer_table
from cnn_jax.analysis.receptive_field import Place, follow
from cnn_jax.layers.batch_norm import BatchNorm
from cnn_jax.layers.batch_norm_conv import ConvNorm
from cnn_jax.layers.inception import InceptionNetwork
from cnn_jax.layers.residual import BasicBlock, Bottleneck
from cnn_jax.layers.residual_network import GlobalAveragePool, ResidualNetwork
from cnn_jax.layers.rows import (
    AveragePool,
    Classifier,
    Conv,
    Dense,
    LocalContrastNorm,
    LocalResponseNorm,
    MaxPool,
    SpatialPyramidPool,
)
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.layers.tracing import trace_variables
from cnn_jax.maths.receptive_field import gather, pixels, slide, union
from cnn_jax.models import bn_inception, googlenet, inception_v3

PLAIN = TableNetwork(
    num_classes=3,
    input_shape=(64, 49, 2),
    table=(
        Conv("conv1", 2, 5, 2),
        LocalResponseNorm("norm1"),
        MaxPool("pool1", 3, 2, ceil=True),
        Conv("conv2", 4, 3, 1, 1, groups=2),
        AveragePool("pool2", 2, 2, 1),
        Dense("fc3", 4),
        Classifier("fc4"),
    ),
)
# The stride of 5 leaves the last rows and columns over: nobody sees them.
LEFT_OVER = TableNetwork(
    num_classes=3,
    input_shape=(27, 21, 1),
    table=(
        Conv("conv1", 2, 3, 5),
        Conv("conv2", 2, 3, 1, 1),
        Classifier("fc3"),
    ),
)
PYRAMID = TableNetwork(
    num_classes=3,
    input_shape=(20, 17, 1),
    table=(
        Conv("conv1", 2, 4, 2),
        SpatialPyramidPool("spp", (3, 2)),
        Classifier("fc2"),
    ),
)
LOCAL_CONTRAST = TableNetwork(
    num_classes=3,
    input_shape=(20, 17, 1),
    table=(
        Conv("conv1", 2, 4, 2),
        LocalContrastNorm("norm1", 3, 1.0),
        MaxPool("pool1", 2, 2),
        Classifier("fc2"),
    ),
)
MODULES = InceptionNetwork(
    num_classes=3,
    input_shape=(96, 90, 2),
    table=(
        ConvNorm("conv1", 2, 7, 2),
        googlenet.Inception("inception_3a", 1, 1, 2, 1, 1, 1),
        bn_inception.Inception("inception_3b", 0, 1, 2, 1, 2, "max", 0, 2),
        bn_inception.Inception("inception_4a", 1, 1, 1, 1, 2, "average", 1),
        Classifier("linear"),
    ),
    batch_norm=BatchNorm(),
)
FACTORED = InceptionNetwork(
    num_classes=3,
    input_shape=(72, 76, 1),
    table=(
        ConvNorm("conv1", 1, 3, 1, "valid"),
        inception_v3.InceptionA("mixed_5b", 1, 1, 1, 1, 1, 1),
        inception_v3.ReductionA("mixed_6a", 1, 1, 1),
        inception_v3.InceptionB("mixed_6b", 1, 1, 1, 1, 1, 1),
        inception_v3.InceptionC("mixed_7b", 1, 1, 1, 1, 1, 1),
        Classifier("linear"),
    ),
    batch_norm=BatchNorm(),
)
RESIDUAL = ResidualNetwork(
    num_classes=3,
    input_shape=(72, 65, 2),
    table=(
        Conv("conv1", 2, 7, 2, 3),
        MaxPool("pool1", 3, 2, 1),
        BasicBlock("conv2_1", 2),
        Bottleneck("conv3_1", 2, 4, 2),
        GlobalAveragePool("gap"),
        Classifier("fc"),
    ),
)
NETWORKS = {
    "plain": PLAIN,
    "left over": LEFT_OVER,
    "pyramid": PYRAMID,
    "local contrast": LOCAL_CONTRAST,
    "modules": MODULES,
    "factored": FACTORED,
    "residual, B": RESIDUAL,
    "residual, A, 3x3": RESIDUAL.clone(shortcut="A", stride_in="3x3"),
    "residual, none": RESIDUAL.clone(shortcut="none"),
}


def outputs_of_rows(model, images, draw):
    """Return the output of each row for positive weights, under which nothing dies."""

    def positive(path, leaf):
        # A mean would be subtracted: with 0, what is positive stays so.
        share = 0.0 if path[-1].key == "mean" else 1.0 / np.prod(leaf.shape[:-1])
        return share * draw.uniform(0.5, 1.5, leaf.shape)

    steps, shape = [], model.input_shape
    for row in model.table:
        shape = (1,) * (3 - len(shape)) + shape
        single = model.clone(table=(row,), input_shape=shape)
        variables = jax.tree_util.tree_map_with_path(positive, trace_variables(single))
        steps.append((row.name, single, variables))
        out = jax.eval_shape(
            lambda v, x, single=single: single.apply(v, x, train=False),
            trace_variables(single),
            jax.ShapeDtypeStruct((1, *shape), jnp.float32),
        )
        shape = out.shape[1:]

    @jax.jit
    def forward(x, variables):
        outputs = {}
        for (name, single, _), values in zip(steps, variables, strict=True):
            x = x.reshape(-1, *single.input_shape)
            x = outputs[name] = single.apply(values, x, train=False)
        return outputs

    # Twice the digits: far pixels are a small share of a unit's input.
    with jax.enable_x64(True):
        return {
            name: np.asarray(value)
            for name, value in forward(jnp.asarray(images), [v for *_, v in steps]).items()
        }


def lines_seen(model, draw):
    """Return, by row, which lines of the image change each unit, for both directions.

    Image 0 is constant; each other image has one line, a whole row or a whole column of
    pixels, brighter. A pixel is outside the box of a unit if its row or its column is.
    Array ``[lines, units ...]`` of truth values, for rows and for columns.
    """
    height, width, channels = model.input_shape
    images = np.ones((1 + height + width, height, width, channels))
    for line in range(height):
        images[1 + line, line] += 1.0
    for line in range(width):
        images[1 + height + line, :, line] += 1.0
    seen = {}
    for name, value in outputs_of_rows(model, images, draw).items():
        # Rounding of float64 is a thousand times smaller, the smallest share much larger.
        change = np.abs(value[1:] / value[:1] - 1.0).max(-1) > 1e-12
        seen[name] = change[:height], change[height:]
    return seen


def box(changed):
    lines = np.flatnonzero(changed)
    return lines[0], lines[-1]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_pixel_outside_never_changes_a_unit_and_the_outermost_inside_do(name, draw):
    model = NETWORKS[name]
    table = {row.name: row for row in layer_table(model)}
    for row_name, both in lines_seen(model, draw).items():
        row = table[row_name]
        for direction, changed in enumerate(both):
            size = row.receptive_field[direction]
            if row.effective_stride is None:
                # A unit without place is one of many that see the same together.
                first, last = box(changed.reshape(len(changed), -1).any(1))
                assert last - first + 1 == size, row_name
                continue
            # The middle unit and the one before it, along this direction.
            units = np.moveaxis(changed, 1 + direction, 1).any(2)
            middle = units.shape[1] // 2
            (first, last), (before, _) = box(units[:, middle]), box(units[:, middle - 1])
            assert last - first + 1 == size, row_name
            if row_name not in ("norm1", "pool1") or name != "local contrast":
                assert first - before == row.effective_stride[direction], row_name
                assert size <= model.input_shape[direction]


def test_what_no_window_reaches_is_not_in_the_field():
    conv1, conv2, classifier = layer_table(LEFT_OVER)
    assert conv1.receptive_field == (3, 3)  # windows start at 0, 5, 10, 15 (20)
    assert conv2.receptive_field == (13, 13)
    assert classifier.receptive_field == (23, 18)  # rows 0 to 22, columns 0 to 17


def test_rows_and_columns_are_apart():
    def kernel_of_one_row(x):
        return jax.lax.conv_general_dilated(
            x,
            jnp.ones((1, 7, 1, 1)),
            (2, 1),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )

    image = jax.ShapeDtypeStruct((1, 16, 18, 1), jnp.float32)
    jaxpr = jax.make_jaxpr(kernel_of_one_row)(image)
    ((rows, columns),) = follow(jaxpr, [(Place(1, pixels(16)), Place(2, pixels(18)))])
    assert (rows.extent.size, rows.extent.stride) == (1, 2)
    assert (columns.extent.size, columns.extent.stride) == (7, 1)


def test_an_operation_that_is_not_known_is_refused():
    image = jax.ShapeDtypeStruct((1, 4, 4, 1), jnp.float32)
    fields = (Place(1, pixels(4)), Place(2, pixels(4)))
    for function in (
        lambda x: jnp.cumsum(x, 1),
        lambda x: jnp.flip(x, 1),
        lambda x: jnp.concatenate([x, x], 1),
        lambda x: x + x.transpose(0, 2, 1, 3),
    ):
        with pytest.raises(NotImplementedError):
            follow(jax.make_jaxpr(function)(image), [fields])


def test_what_does_not_depend_on_the_image_sees_nothing():
    image = jax.ShapeDtypeStruct((1, 4, 4, 1), jnp.float32)
    jaxpr = jax.make_jaxpr(lambda x: (x, jnp.zeros_like(x) + 1.0))(image)
    fields = (Place(1, pixels(4)), Place(2, pixels(4)))
    assert follow(jaxpr, [fields]) == [fields, None]


def test_a_window_at_the_border_sees_what_is_there():
    padded = slide(pixels(5), -1, 2, 3, 3)  # 3 wide, stride 2, padding 1
    assert (padded.size, padded.stride) == (3, 2)
    np.testing.assert_array_equal(padded.first, [0, 1, 3])
    np.testing.assert_array_equal(padded.last, [1, 3, 4])
    assert gather(padded).size == 5
    only_padding = slide(pixels(2), -3, 1, 2)
    assert gather(only_padding).size == 0
    with pytest.raises(ValueError, match="strides of 2 and 1 pixels"):
        union(padded, pixels(3))


def test_a_fourier_transform_sees_the_whole_image():
    jaxpr = jax.make_jaxpr(lambda x: jnp.fft.fft2(x))(jnp.zeros((1, 6, 4)) + 0j)
    image = (Place(1, pixels(6)), Place(2, pixels(4)))
    ((rows, columns),) = follow(jaxpr, [image])
    assert (rows.axis, rows.extent.size) == (None, 6)
    assert (columns.axis, columns.extent.size) == (None, 4)


def test_a_loop_is_followed_only_where_units_have_no_place():
    def loop(x):
        total = x.sum((1, 2))
        return jax.lax.map(lambda weight: weight * total, jnp.ones(3))

    def loop_over_images(x):
        return jax.lax.map(lambda weight: weight * x, jnp.ones(3))

    image = (Place(1, pixels(6)), Place(2, pixels(4)))
    ((rows, _),) = follow(jax.make_jaxpr(loop)(jnp.zeros((1, 6, 4, 2))), [image])
    assert (rows.axis, rows.extent.size) == (None, 6)
    with pytest.raises(NotImplementedError, match="a loop in which units have a place"):
        follow(jax.make_jaxpr(loop_over_images)(jnp.zeros((1, 6, 4, 2))), [image])
