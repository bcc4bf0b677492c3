"""The sweep: every declared network, reduced (``reduced.py``), trains on one batch.

    pytest -m slow -s tests/models/test_every_network_trains.py

prints one line a network. The step is the engine's, with dropout, batch statistics and
auxiliary heads (weight 0.3); XLA compiles it with few optimisations, which is faster here.
Every call draws the same dropout masks, so the loss is one function of the weights. The
first call has rate 0: it measures the loss and leaves the gradient in the momentum.
"""

import math
import sys
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import cnn_jax
from cnn_jax.layers.rows import Classifier, Conv
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.layers.tracing import trace_output, trace_variables
from cnn_jax.optim.optimizers import Sgd
from cnn_jax.training.losses import cross_entropy
from cnn_jax.training.parallel import compile_step, fetch, place
from cnn_jax.training.state import init_state
from cnn_jax.training.steps import StepOptions, TrainData, make_train_step
from tests.models.reduced import CLASSES, left_out, reduced

pytestmark = pytest.mark.slow
# Those with other labels: ``test_structured_networks_train.py``; the Neocognitron has
# a rule of its own, in ``test_neocognitron.py``.
every_model = pytest.mark.parametrize(
    "name", [n for n in cnn_jax.list_models() if cnn_jax.model_spec(n).task == "classify"]
)
# Nothing lies below their classifier, or a batch normalisation alone.
LINEAR = {"perceptron", "scattering"}
# With few optimisations and four devices, jaxlib 0.10.2's step of this one now and then has
# NaN in the gradient of a kernel, from the very state that else gives numbers; fully
# compiled, or on one device, it never did (60 steps each).
FULLY_COMPILED = {"p4cnn_rotation_pooling"}

BATCH = 4
UPDATES = 3
# The first update without momentum would lower the loss by this share of it, were the loss
# a plane: rate = SHARE loss / |gradient|^2. Three updates with momentum 0.9: 8 shares.
SHARE = 0.01
# A shorter step cannot be taken in float32, whose neighbours of 0.1 are 7e-9 away.
SHORTEST = 1e-8
# Then: the paper's rate, for longer. Such gradients (1e8 in ``plain110``) come from many
# batch normalisations without shortcuts; since a normalised layer does not feel the size of
# its weights, a huge update makes the next ones small.
PRINTED_RATE, PRINTED_UPDATES = 0.1, 10


class Descent(NamedTuple):
    losses: list[float]  # nats, the first one before any update
    rate: float
    gradient: Any  # at the initial weights
    velocity: Any  # 0 where the gradient was 0 in every step
    diverged_at: int


@pytest.fixture(autouse=True)
def _forget_each_network():
    yield
    jax.clear_caches()
    jax.config.update("jax_disable_most_optimizations", True)


def _batch(shape):
    """Four images of noise, each of another class."""
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, *shape), np.uint8)
    return place(TrainData(pixels, np.arange(BATCH, dtype=np.int32), ()))


def _standardise(key, pixels, facts):
    return (pixels - 127.5) / 73.9  # mean and deviation of 0 ... 255


def _squares(tree):
    return sum(float(np.square(leaf, dtype=np.float64).sum()) for leaf in _leaves(tree))


def _leaves(tree):
    return jax.tree.leaves(tree)


def _descend(model):
    """Take some steps of stochastic gradient descent with momentum on one batch."""
    optimizer = optax.inject_hyperparams(
        lambda rate: Sgd(momentum=0.9).build(lambda count: rate)
    )(rate=0.0)
    train_step = make_train_step(
        model, cross_entropy, optimizer, _standardise, StepOptions(auxiliary_weight=0.3)
    )
    compiled = compile_step(train_step, donate=True)
    init = compile_step(lambda seed: init_state(model, optimizer, seed), donate=False)
    data, positions = _batch(model.input_shape), jnp.arange(BATCH)[None]

    def step(state, rate):
        opt_state = optax.tree_utils.tree_set(state.opt_state, rate=jnp.float32(rate))
        # The step counter is part of the key of the dropout masks.
        state = state._replace(step=jnp.zeros((), jnp.int32), opt_state=opt_state)
        state, metrics = compiled(state, data, positions)
        return state, float(metrics.loss_sum) / BATCH

    state, loss = step(init(jnp.uint32(0)), 0.0)
    losses = [loss]
    gradient = fetch(optax.tree_utils.tree_get(state.opt_state, "trace"))
    rate, updates = SHARE * loss / _squares(gradient), UPDATES
    if rate * math.sqrt(_squares(gradient)) < SHORTEST:
        rate, updates = PRINTED_RATE, PRINTED_UPDATES
    for call in range(updates + 1):
        # The last call measures the loss after the last update.
        state, loss = step(state, rate if call < updates else 0.0)
        losses.append(loss)
    velocity = fetch(optax.tree_utils.tree_get(state.opt_state, "trace"))
    assert compiled._cache_size() == 1
    return Descent(losses, rate, gradient, velocity, int(state.diverged_at))


def _dead(tree):
    """Return the paths of the parameters without any gradient."""
    return [
        "/".join(str(key.key) for key in path)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
        if not np.any(leaf)
    ]


@every_model
def test_a_reduced_network_trains_and_every_parameter_gets_a_gradient(name):
    started = time.perf_counter()
    model, notes = reduced(name)
    jax.config.update("jax_disable_most_optimizations", name not in FULLY_COMPILED)
    descent = _descend(model)
    losses, leaves = descent.losses, _leaves(descent.velocity)
    total = sum(leaf.size for leaf in leaves)
    zero = sum(int((leaf == 0).sum()) for leaf in leaves) / total
    sys.stdout.write(
        f"\n{name}: {'x'.join(map(str, model.input_shape))}, {total:,} parameters, "
        f"loss {losses[0]:.4f} -> {losses[-1]:.4f} in {len(losses) - 2} updates, "
        f"rate {descent.rate:.1e}, gradient {math.sqrt(_squares(descent.gradient)):.1e} "
        f"(0 in {100 * zero:.0f} % of the weights), "
        f"{time.perf_counter() - started:.0f} s; {notes}"
    )
    assert np.isfinite(losses).all(), losses
    assert descent.diverged_at == -1
    assert all(np.isfinite(leaf).all() for leaf in leaves)
    # Without exceptions: rounding alone moves biases in front of a batch normalisation, and
    # every head has its loss.
    assert not _dead(descent.velocity), f"{name}: no gradient: {_dead(descent.velocity)}"
    # Rounding moves a loss by 1e-6; the rule for the rate promises 8 %.
    assert losses[-1] < 0.999 * losses[0], losses
    if name in LINEAR:
        return
    # The classifier's bias alone could lower the loss: one class of five is never right.
    below = {k: v for k, v in descent.gradient.items() if k != model.table[-1].name}
    assert _squares(below) > 0.01 * _squares(descent.gradient)


@every_model
def test_a_reduced_network_has_the_parameters_of_the_printed_one(name):
    printed = cnn_jax.create_model(name)
    model, _ = reduced(name)
    gone = left_out(name, printed.table)
    assert [r.name for r in model.table] == [
        r.name for r in printed.table if r.name not in gone
    ]
    assert model.input_shape == printed.input_shape
    assert trace_output(model) == (1, CLASSES)

    def parameters(network):
        return {
            tuple(key.key for key in path): len(leaf.shape)
            for path, leaf in jax.tree_util.tree_leaves_with_path(
                trace_variables(network)["params"]
            )
        }

    assert parameters(model) == {
        path: rank for path, rank in parameters(printed).items() if path[0] not in gone
    }


def test_a_layer_that_never_fires_is_named_with_those_it_starves():
    rows = (Conv("conv1", 3, 3), Conv("conv2", 3, 3, bias=-1e3), Classifier("out"))
    model = TableNetwork(num_classes=CLASSES, input_shape=(6, 6, 1), table=rows)
    assert _dead(_descend(model).velocity) == [
        "conv1/bias",
        "conv1/kernel",
        "conv2/bias",
        "conv2/kernel",
        "out/kernel",
    ]
