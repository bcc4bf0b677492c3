"""Networks whose output is more than one class: a few steps lower their own loss."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import cnn_jax
from cnn_jax.layers.initializers import he
from cnn_jax.layers.tracing import trace_output
from cnn_jax.training.metrics import measure
from cnn_jax.training.structured_losses import (
    multi_head_cross_entropy,
    multi_label_cross_entropy,
    sequence_cross_entropy,
)

pytestmark = pytest.mark.slow

BATCH, WIDTH, CLASSES = 4, 24, 5
LABELS = {
    "multidigit": np.array(
        [[0] * 6, [1, 2, 0, 0, 0, 0], [5, 4, 3, 2, 1, 0], [6] + [0] * 5]
    ),
    "text_char": np.random.default_rng(0).integers(0, CLASSES, (BATCH, 23)),
    "text_ngram": np.random.default_rng(1).integers(0, 2, (BATCH, CLASSES)),
}
LOSSES = {
    "multidigit": multi_head_cross_entropy,
    "text_char": sequence_cross_entropy,
    "text_ngram": multi_label_cross_entropy,
}


def narrow(name):
    """The network with 24 features a layer, five classes, and nothing dropped.

    So few features, of which half are dropped, can all be 0 for all examples.
    """
    model = cnn_jax.create_model(name, num_classes=CLASSES, initializer=he)
    fewer = {"features": WIDTH, "dropout": 0.0}
    rows = [
        dataclasses.replace(row, **{k: v for k, v in fewer.items() if hasattr(row, k)})
        for row in model.table
    ]
    return model.clone(table=tuple(rows))


@pytest.mark.parametrize("name", LABELS)
def test_a_narrow_network_learns_four_examples(name):
    model, loss, labels = narrow(name), LOSSES[name], jnp.asarray(LABELS[name])
    shape = model.input_shape
    images = np.random.default_rng(2).standard_normal((BATCH, *shape), np.float32)
    params = jax.jit(lambda k: model.init(k, images, train=False))(jax.random.key(0))
    optimizer = optax.adam(3e-3)

    def mean_loss(params):
        logits = model.apply(params, images, train=True)
        losses = loss(logits, labels)
        return losses.mean(), measure(losses, logits, labels, jnp.ones(BATCH))

    @jax.jit
    def step(params, state):
        (_, metrics), grads = jax.value_and_grad(mean_loss, has_aux=True)(params)
        updates, state = optimizer.update(grads, state)
        return optax.apply_updates(params, updates), state, metrics, grads

    state, losses, every = optimizer.init(params), [], []
    for _ in range(30):
        params, state, metrics, grads = step(params, state)
        every.append(grads)
        losses.append(float(metrics.loss_sum) / BATCH)
        assert int(metrics.examples) == BATCH
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.9 * losses[0], losses
    paths = jax.tree_util.tree_leaves_with_path(every[0])
    dead = [path for path, leaf in paths if not np.any(leaf)]
    assert not dead
    assert trace_output(model, BATCH)[0] == BATCH
