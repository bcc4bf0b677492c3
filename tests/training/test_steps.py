"""The gradient of a batch, taken in pieces or with less memory, and what is refused."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import UserError
from cnn_jax.experiment.declaration import GhostBatch
from cnn_jax.experiment.recipe import pure_steps
from cnn_jax.layers.residual import BasicBlock
from cnn_jax.layers.residual_network import GlobalAveragePool, ResidualNetwork
from cnn_jax.layers.rows import Classifier, Conv, Dense
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.training.losses import cross_entropy
from cnn_jax.training.steps import StepOptions, make_train_step
from tests.tiny import variant
from tests.training.small_network import (
    difference,
    make_data,
    optimizer,
    positions,
    prepare,
    start,
)

PLAIN = TableNetwork(
    num_classes=10,
    input_shape=(6, 6, 1),
    table=(Conv("conv1", 4, 3), Dense("fc2", 16, dropout=0.5), Classifier("fc3")),
)
NORMALISED = ResidualNetwork(
    num_classes=10,
    input_shape=(6, 6, 1),
    table=(
        Conv("conv1", 4, 3, padding=1),
        BasicBlock("conv2_1", 4),
        GlobalAveragePool("pool"),
        Classifier("fc"),
    ),
)
ROUNDING = 1e-12  # float64, one step
# These tests compile more than they compute.
QUICK = {"xla_backend_optimization_level": 0}


def step_of(model, **options):
    how = StepOptions(**options)
    return make_train_step(model, cross_entropy, optimizer(), prepare, how)


def one_step(model, pieces=1, **options):
    """Parameters, statistics and momentum after a step in float64, and its metrics."""
    with jax.enable_x64(True):
        step = jax.jit(step_of(model, **options), compiler_options=QUICK)
        state, metrics = step(start(model), make_data(), positions(0, pieces))
        trained = (state.params, state.batch_stats, state.opt_state.rule)
        return jax.device_get(trained), jax.device_get(metrics)


@pytest.fixture(scope="module")
def whole():
    return one_step(PLAIN)


@pytest.fixture(scope="module")
def whole_normalised():
    return one_step(NORMALISED)


@pytest.mark.parametrize("unroll", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_four_pieces_are_the_whole_batch(whole, unroll):
    trained, metrics = one_step(PLAIN, 4, unroll=unroll)
    assert difference(whole[0], trained) < ROUNDING
    np.testing.assert_allclose(metrics.loss_sum, whole[1].loss_sum, rtol=1e-6)
    assert (metrics.wrong, metrics.examples) == (whole[1].wrong, whole[1].examples)


def test_what_is_computed_again_is_the_whole_batch_with_its_statistics(whole_normalised):
    trained, metrics = one_step(NORMALISED, recompute=True)
    assert difference(whole_normalised[0], trained) < ROUNDING
    np.testing.assert_allclose(metrics.loss_sum, whole_normalised[1].loss_sum, rtol=1e-6)


@pytest.mark.slow
def test_pieces_of_ghost_batches_are_the_ghost_batches_of_the_whole(whole_normalised):
    at_once, _ = one_step(NORMALISED, statistics_rows=4)
    in_pieces, _ = one_step(NORMALISED, 2, statistics_rows=4)
    assert difference(at_once, in_pieces) < ROUNDING
    assert difference(at_once, whole_normalised[0]) > 1e-3


def test_over_the_global_batch_accumulation_computes_again_instead_of_in_pieces():
    fields = {"model": NORMALISED.clone(input_shape=(8, 8, 1)), "batch_size": 48}
    assert pure_steps(variant(**fields, accumulation=4), 512).pieces == 1
    ghosts = variant(**fields, accumulation=4, batch_norm=GhostBatch(4))
    assert pure_steps(ghosts, 512).pieces == 4
    assert pure_steps(variant(batch_size=48, accumulation=4), 512).pieces == 4


def test_only_what_enters_a_normalisation_is_kept_for_the_backward_pass():
    step = step_of(NORMALISED, recompute=True)
    traced = jax.make_jaxpr(step)(start(NORMALISED), make_data(), positions(0))
    (again,) = (e for e in traced.jaxpr.eqns if e.primitive.name.startswith("remat"))
    kept = [v.aval.shape for v in again.invars if v.aval.shape[:1] == (16,)]
    # The images, the labels and the outputs of the three convolutions.
    assert sorted(kept) == [(16,), (16, 6, 6, 1)] + 3 * [(16, 6, 6, 4)]


@pytest.mark.slow
def test_memory_of_a_step():
    """Pieces in a loop take a piece's memory; a CPU keeps what is to be computed again."""
    model = NORMALISED.clone(input_shape=(16, 16, 1))
    data = make_data((16, 16, 1))

    def temporary(pieces=1, **options):
        step = jax.jit(step_of(model, **options))
        lowered = step.lower(start(model), data, positions(0, pieces))
        return lowered.compile().memory_analysis().temp_size_in_bytes

    whole = temporary()
    assert temporary(4, statistics_rows=4, unroll=False) < 0.4 * whole
    assert temporary(recompute=True) <= 1.01 * whole


class Users(nn.Module):
    """A network with one of Flax's own layers."""

    layer: nn.Module
    input_shape: tuple[int, int, int] = (6, 6, 1)

    @nn.compact
    def __call__(self, images, *, train):
        return self.layer(nn.Dense(10)(images.reshape(images.shape[0], -1)))


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (
            nn.BatchNorm(use_running_average=False),
            r"^layer: flax.linen.BatchNorm does not know which rows .*layers.batch_norm",
        ),
        (
            nn.Dropout(0.5, deterministic=False),  # noqa: TID251
            r"^layer: flax.linen.Dropout does not know which rows .*layers.dropout",
        ),
    ],
)
def test_layers_of_flax_that_do_not_know_their_rows_are_refused(layer, reason):
    model = Users(layer)
    with pytest.raises(ValueError, match=reason):
        jax.eval_shape(step_of(model), start(model), make_data(), positions(0))


@pytest.mark.parametrize(
    ("devices", "axis", "fields", "reason"),
    [
        (1, None, {"batch_norm": GhostBatch(7)}, "7 rows don't divide the 48 rows"),
        (2, "data", {"batch_norm": GhostBatch(16)}, r"the 24 rows .* each of 2 devices"),
        (
            1,
            None,
            {"batch_norm": GhostBatch(16), "accumulation": 2},
            "the 24 rows that are taken at once, a piece of 48",
        ),
        (5, None, {}, "48 examples can't be shared evenly by 5 devices; .* 45 and 50$"),
        (1, None, {"accumulation": 5}, "by one device in 5 pieces each; .*: 45 and 50$"),
    ],
)
def test_batches_that_cannot_be_cut_up_are_refused(devices, axis, fields, reason):
    experiment = variant(batch_size=48, **fields)
    with pytest.raises(UserError, match=reason):
        pure_steps(experiment, 512, devices, axis)


def test_float64_without_it_in_jax_is_refused():
    with pytest.raises(UserError, match="JAX_ENABLE_X64=1"):
        pure_steps(variant(precision="f64"), 512)


@pytest.mark.slow
def test_the_first_loss_that_is_not_finite_is_remembered():
    step = jax.jit(step_of(PLAIN), compiler_options=QUICK)
    data = make_data()
    state, metrics = step(start(PLAIN), data, positions(0))
    assert int(state.diverged_at) == -1
    assert int(state.totals.examples) == int(metrics.examples) == 16
    broken = state._replace(params=jax.tree.map(lambda p: p * jnp.nan, state.params))
    for _ in range(2):
        broken, _ = step(broken, data, positions(1))
    assert (int(broken.diverged_at), int(broken.step)) == (1, 3)
    assert math.isnan(float(broken.totals.loss_sum))
    assert int(broken.totals.examples) == 48
