"""One device or several, jit or pmap, one piece or several: the same numbers."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.experiment.declaration import GhostBatch
from cnn_jax.experiment.load import load_run
from cnn_jax.experiment.program import Workbench
from cnn_jax.experiment.recipe import pure_steps
from cnn_jax.experiment.run import run
from tests.tiny import QUIET, variant
from tests.training.small_network import MODEL, difference, train

STEPS = 50
FLOAT64 = 1e-10  # of 50 steps; measured: 4e-14
PUBLIC = variant(model=MODEL.clone(input_shape=(8, 8, 1)), batch_size=48, epochs=2)
slow = pytest.mark.slow


def in_double(count, strategy, **options):
    with jax.enable_x64(True):
        return train(count, strategy, STEPS, **options)


@pytest.fixture(scope="module")
def one_device():
    return in_double(1, "jit")


@pytest.fixture(scope="module")
def one_device_of_ghosts():
    return in_double(1, "jit", statistics_rows=2)


@pytest.mark.parametrize(
    ("count", "strategy"),
    [
        (4, "jit"),
        (2, "pmap"),
        pytest.param(2, "jit", marks=slow),
        pytest.param(1, "pmap", marks=slow),
        pytest.param(4, "pmap", marks=slow),
    ],
)
def test_in_float64_the_parameters_after_50_steps_are_those_of_one_device(
    count, strategy, one_device
):
    losses, trained = in_double(count, strategy)
    assert {leaf.dtype for leaf in jax.tree.leaves(trained)} == {np.dtype("float64")}
    assert difference(one_device[1], trained) < FLOAT64
    np.testing.assert_allclose(losses, one_device[0], rtol=1e-6)  # summed in float32


@slow
@pytest.mark.parametrize(("count", "strategy"), [(2, "jit"), (4, "pmap")])
def test_what_is_kept_or_computed_again_changes_nothing(count, strategy, one_device):
    _, trained = in_double(count, strategy, recompute=True)
    assert difference(one_device[1], trained) < FLOAT64


@slow
@pytest.mark.parametrize(
    ("count", "strategy", "pieces"),
    [(4, "jit", 1), (4, "pmap", 1), (1, "jit", 2), (2, "jit", 4), (2, "pmap", 2)],
)
def test_ghost_batches_are_the_same_rows_wherever_they_are_and_in_any_pieces(
    count, strategy, pieces, one_device_of_ghosts
):
    _, trained = in_double(count, strategy, pieces=pieces, statistics_rows=2)
    assert difference(one_device_of_ghosts[1], trained) < FLOAT64


@slow
def test_statistics_of_other_rows_are_another_network(one_device, one_device_of_ghosts):
    """What the tests above call equal is not equal for want of a difference."""
    assert difference(one_device[1], one_device_of_ghosts[1]) > 1e-3


@slow
@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("strategy", ["jit", "pmap"])
def test_in_float32_the_losses_of_the_first_20_steps_are_those_of_one_device(
    count, strategy
):
    jax.config.update("jax_disable_most_optimizations", False)  # as users run it
    try:
        expected, _ = train(1, "jit", 20)
        losses, _ = train(count, strategy, 20)
    finally:
        jax.config.update("jax_disable_most_optimizations", True)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    assert np.ptp(expected) > 0.1  # it is not one number twenty times


def program_text(bench, devices, **fields):
    experiment = replace(PUBLIC, **fields)
    pure = pure_steps(experiment, 512, devices)
    data = bench.data(experiment).train
    rows = jnp.zeros((pure.pieces, experiment.batch_size // pure.pieces), jnp.int32)
    state = jax.eval_shape(pure.init, jnp.uint32(0), {})
    return str(jax.make_jaxpr(pure.train_step)(state, data, rows))


def test_per_replica_is_ghost_batches_of_the_replicas_size():
    """Or of its piece's, where a batch is taken in pieces: the very same program."""
    bench = Workbench(QUIET)
    ghosts = [program_text(bench, 1, batch_norm=GhostBatch(rows)) for rows in (12, 24)]
    replicas = [program_text(bench, n, batch_norm="per_replica") for n in (4, 2)]
    assert replicas == ghosts
    assert ghosts[0] != ghosts[1]
    pieces = {"accumulation": 2}
    assert program_text(bench, 2, batch_norm="per_replica", **pieces) == program_text(
        bench, 2, batch_norm=GhostBatch(12), **pieces
    )


@slow
def test_a_run_in_float64_is_the_same_on_any_devices(tmp_path):
    experiment = replace(PUBLIC, precision="f64")
    found = {}
    with jax.enable_x64(True):
        for count in (1, 2, 4):
            for strategy in ("jit", "pmap"):
                place = tmp_path / f"{strategy}{count}"
                where = replace(QUIET, devices=count, parallel=strategy)
                result = run(experiment, place, where)
                assert result["attempts"][0]["devices"] == count
                assert result["attempts"][0]["parallel"] == strategy
                found[strategy, count] = result, load_run(place).variables
        expected, variables = found["jit", 1]
        for result, others in found.values():
            assert difference(dict(variables), dict(others)) < FLOAT64
            assert result["test_wrong"] == expected["test_wrong"]
