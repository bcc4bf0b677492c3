"""Numbers against torchvision are in ``tests/weights/test_torchvision.py``."""

import jax
import numpy as np
import pytest

from cnn_jax.analysis.compute import layer_macs
from cnn_jax.models.alexnet_owt import TABLE, AlexNetOneWeirdTrick

# Arithmetic on the widths 64, 192, 384, 256, 256; their sum is torchvision's 0.714 G.
MACS = {
    "conv1": 55 * 55 * 64 * 363,
    "conv2": 27 * 27 * 192 * 1600,
    "conv3": 13 * 13 * 384 * 1728,
    "conv4": 13 * 13 * 256 * 3456,
    "conv5": 13 * 13 * 256 * 2304,
    "fc6": 9216 * 4096,
    "fc7": 4096 * 4096,
    "fc8": 4096 * 1000,
}


def test_every_layer_has_the_multiply_adds_of_its_widths():
    assert layer_macs(AlexNetOneWeirdTrick()) == MACS
    assert sum(MACS.values()) == pytest.approx(0.714e9, rel=1e-3)


def test_inputs_of_fc6_and_fc7_are_dropped_and_those_of_fc8_are_not():
    # A unit of weight 1 from every input of one layer to the next: the scores count what
    # dropout left, times its scale of 2 a layer.
    rows = {row.name: row for row in TABLE}
    table = (rows["dropout5"], *(rows[name] for name in ("fc6", "fc7", "fc8")))
    narrow = tuple(
        type(row)(row.name, 1, dropout=row.dropout) if row.name in ("fc6", "fc7") else row
        for row in table
    )
    model = AlexNetOneWeirdTrick(num_classes=1, input_shape=(1, 1, 1), table=narrow)
    unit = {"kernel": np.ones((1, 1), np.float32), "bias": np.zeros(1, np.float32)}
    variables = {"params": {"fc6": unit, "fc7": unit, "fc8": unit}}
    images = np.ones((4000, 1, 1, 1), np.float32)
    rngs = {"dropout": jax.random.key(0)}
    scores = jax.jit(lambda x: model.apply(variables, x, train=True, rngs=rngs))(images)
    values, counts = np.unique(scores, return_counts=True)
    # Two layers of 50 %: 4 with a probability of 1/4, else 0; deviation 27 of 1000.
    assert values.tolist() == [0.0, 4.0]
    assert counts[1] == pytest.approx(1000, abs=110)
    assert np.all(np.asarray(model.apply(variables, images[:1], train=False)) == 1.0)
