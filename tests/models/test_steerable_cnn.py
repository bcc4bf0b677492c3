import dataclasses
from functools import partial

import jax
import numpy as np
import pytest

from cnn_jax.layers.steerable import channels_of
from cnn_jax.layers.tracing import trace_variables
from cnn_jax.models.steerable_cnn import SteerableCNN, mixed, steerable_table


def test_the_paper_s_depth_is_four_blocks_a_stage():
    convolutions = 2 * (len(steerable_table(4, (1, 1, 1))) - 2) + 1
    assert convolutions + 1 == 26
    assert channels_of(mixed(3)) == 3 * 18


@pytest.mark.parametrize("train", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_turning_and_mirroring_change_no_score(train, draw):
    stem, block, _, _, classifier = steerable_table(1, (1, 1, 1))
    block = dataclasses.replace(block, stride=2)  # 9 -> 5 pixels
    model = SteerableCNN(5, (9, 9, 2), (stem, block, classifier))
    variables = jax.tree.map(
        lambda leaf: np.float32(0.5 + draw.normal(size=leaf.shape) ** 2),
        trace_variables(model),
    )
    image = np.float32(draw.normal(size=(2, 9, 9, 2)))
    apply = jax.jit(
        partial(model.apply, train=train, mutable=["batch_stats"] if train else False),
        compiler_options={"xla_backend_optimization_level": 0},
    )
    outcome = apply(variables, image)
    quarter, half = (np.rot90(image, k, axes=(1, 2)) for k in (1, 2))
    for pose in (quarter, half, image[:, :, ::-1]):
        turned = apply(variables, pose)

        # Scores, and in training the new running statistics; variances are differences.
        def equal(found, expected):
            scale = np.abs(expected).max() * (5 if train else 1)
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * scale)

        jax.tree.map(equal, turned, outcome)
    assert np.ptp(jax.tree.leaves(outcome)[0]) > 0.01
