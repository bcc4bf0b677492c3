"""bfloat16 in the middle, float32 where a number is kept."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnn_jax
from cnn_jax.layers.activations import Maxout, PReLU, elu, leaky_relu, scaled_tanh, tanh
from cnn_jax.layers.inception import Pool, pool_branch
from cnn_jax.layers.residual import BasicBlock
from cnn_jax.layers.residual_network import GlobalAveragePool, ResidualNetwork
from cnn_jax.layers.rows import (
    AveragePool,
    Classifier,
    Conv,
    Dense,
    DropConnectDense,
    LocalContrastNorm,
    LocalResponseNorm,
    MaxPool,
    SpatialPyramidPool,
)
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.layers.tracing import trace_variables
from cnn_jax.training.losses import (
    LabelSmoothing,
    cross_entropy,
    sigmoid_cross_entropy,
    squared_error,
)
from cnn_jax.training.precision import lower_precision
from cnn_jax.training.steps import StepOptions, make_train_step
from tests.training.small_network import MODEL, make_data, optimizer, positions, prepare
from tests.training.small_network import start as first_state
from tests.training.test_steps import NORMALISED, QUICK


def step_of(model, **options):
    how = StepOptions(**options)
    return make_train_step(model, cross_entropy, optimizer(), prepare, how)


def products(jaxpr: Any) -> Iterator[Any]:
    """Every convolution and matrix product, those of inner programs included."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("conv_general_dilated", "dot_general"):
            yield equation
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    yield from products(inner)


def test_products_take_bfloat16_and_what_is_kept_stays_float32():
    step = step_of(MODEL, half=True, average=lambda step: 1.0 / step)
    state = first_state(MODEL, averaged=True)
    traced, (after, metrics) = jax.make_jaxpr(step, return_shape=True)(
        state, make_data(), positions(0)
    )
    types = [[v.aval.dtype for v in e.invars] for e in products(traced.jaxpr)]
    # conv1, two of the block, fc3 (and its masks), fc4, fc5: forward and backward.
    assert len(types) >= 3 * 6 - 1
    assert {dtype for pair in types for dtype in pair} == {np.dtype(jnp.bfloat16)}
    given = jax.tree.map(lambda leaf: np.asarray(leaf).dtype, state)
    assert jax.tree.map(lambda leaf: leaf.dtype, after) == given
    assert jnp.bfloat16 not in jax.tree.leaves(given)
    assert metrics.loss_sum.dtype == jnp.float32
    plain = jax.make_jaxpr(step_of(MODEL))(first_state(MODEL), make_data(), positions(0))
    assert "bf16" not in str(plain)


def test_normalisations_keep_their_float32_parameters():
    variables = trace_variables(NORMALISED)
    images = jax.ShapeDtypeStruct((2, 6, 6, 1), jnp.float32)
    lowered, images = jax.eval_shape(lower_precision, variables, images)
    assert images.dtype == jnp.bfloat16
    for path, leaf in jax.tree_util.tree_leaves_with_path(lowered["params"]):
        ours = jnp.float32 if "_norm" in jax.tree_util.keystr(path) else jnp.bfloat16
        assert leaf.dtype == ours, path
    statistics = jax.tree.leaves(lowered["batch_stats"])
    assert {leaf.dtype for leaf in statistics} == {np.dtype("float32")}


@pytest.mark.parametrize(
    "loss", [cross_entropy, LabelSmoothing(), sigmoid_cross_entropy, squared_error]
)
def test_losses_of_bfloat16_scores_are_float32(loss):
    scores = jax.ShapeDtypeStruct((4, 10), jnp.bfloat16)
    labels = jax.ShapeDtypeStruct((4,), jnp.int32)
    assert jax.eval_shape(loss, scores, labels).dtype == jnp.float32


def output_types(model):
    """Types of the scores and of everything else that training gives."""

    def forward(variables, images, key):
        variables, images = lower_precision(variables, images)
        return model.apply(
            variables,
            images,
            train=True,
            rngs={"dropout": key},
            mutable=["batch_stats", "aux_logits"],
        )

    variables = {"batch_stats": {}} | trace_variables(model)
    images = jax.ShapeDtypeStruct((4, *model.input_shape), jnp.float32)
    logits, rest = jax.eval_shape(forward, variables, images, jax.random.key(0))
    auxiliary = jax.tree.leaves(rest.get("aux_logits", {}))
    statistics = jax.tree.leaves(rest.get("batch_stats", {}))
    return {a.dtype.name for a in (logits, *auxiliary)}, {a.dtype.name for a in statistics}


# Parameters are bfloat16, so one float32 between layers would reach the scores. All of
# the zoo: -m slow.
FAMILIES = (
    "alexnet",
    "googlenet",
    "prelu_net_a",
    "overfeat_fast",
    "resnet20",
    "zfnet",
)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in FAMILIES else pytest.mark.slow)
        for name in cnn_jax.list_models()
    ],
)
def test_between_the_layers_of_the_zoo_everything_is_bfloat16(name):
    scores, statistics = output_types(cnn_jax.create_model(name))
    assert scores == {"bfloat16"}
    assert statistics <= {"float32"}


ROWS = (
    Conv("conv1", 4, 3, padding=1),
    LocalResponseNorm("norm1"),
    MaxPool("pool1", 2, 2),
    LocalContrastNorm("norm2", size=3),
    AveragePool("pool2", 2, 1),
    SpatialPyramidPool("pool3", (2, 1)),
    DropConnectDense("fc4", 6),
    Dense("fc5", 6, dropout=0.5),
    Classifier("fc6"),
)


@pytest.mark.parametrize(
    "activation", [PReLU, Maxout(2), elu, leaky_relu, scaled_tanh, tanh]
)
def test_no_row_and_no_activation_gives_back_float32(activation):
    model = TableNetwork(input_shape=(9, 9, 1), table=ROWS, activation=activation)
    assert output_types(model)[0] == {"bfloat16"}


def test_a_mean_over_the_pixels_inside_the_image_stays_bfloat16():
    pool = Pool("average", 3, 1)
    x = jax.ShapeDtypeStruct((2, 5, 5, 3), jnp.bfloat16)
    for count_padding in (True, False):
        pooled = partial(pool_branch, pool=pool, count_padding=count_padding)
        assert jax.eval_shape(pooled, x).dtype == jnp.bfloat16


def test_a_block_that_may_be_left_out_stays_bfloat16():
    blocks = (BasicBlock("conv2_1", 4), BasicBlock("conv3_1", 6, 2))
    table = (Conv("conv1", 4, 3), *blocks, GlobalAveragePool("pool"), Classifier("fc"))
    model = ResidualNetwork(input_shape=(9, 9, 1), table=table, survival=0.5)
    assert output_types(model) == ({"bfloat16"}, {"float32"})


@pytest.mark.slow
def test_a_small_network_learns_as_in_float32():
    """Sixteen examples by heart."""
    falls = {}
    for half in (False, True):
        step = jax.jit(step_of(NORMALISED, half=half), compiler_options=QUICK)
        state, data, losses = first_state(NORMALISED), make_data(), []
        for _ in range(60):
            state, metrics = step(state, data, positions(0))
            losses.append(metrics.loss_sum)
        falls[half] = np.array(losses) / 16
    assert falls[False][-5:].mean() < 0.9 * falls[False][:5].mean()
    # bfloat16 keeps 8 bits; the losses of both stay within a few of its units.
    np.testing.assert_allclose(falls[True], falls[False], rtol=0.05)
    assert np.any(falls[True] != falls[False])
