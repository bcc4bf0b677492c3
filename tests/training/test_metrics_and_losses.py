import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.training.losses import cross_entropy
from cnn_jax.training.metrics import measure, merge, summarize, zero_metrics


def test_cross_entropy_is_the_lectures_worked_example():
    # JHU, Deep Learning Basics: z = (1, 2, 3), class 2 -> 0.4076060 nats, not the 0.7826
    # of the slide's binary form (PAPERS.md, section 1).
    loss = cross_entropy(jnp.array([[1.0, 2.0, 3.0]]), jnp.array([2]))
    np.testing.assert_allclose(loss, [0.4076060], rtol=1e-6)  # float32


def test_cross_entropy_of_huge_scores_is_finite():
    loss = cross_entropy(jnp.array([[1e4, -1e4]]), jnp.array([1]))
    np.testing.assert_allclose(loss, [2e4])


def test_padding_does_not_count_and_sums_add_up(draw):
    logits = jnp.asarray(draw.normal(size=(7, 4)), jnp.float32)
    labels = jnp.asarray(draw.integers(0, 4, 7))
    losses = cross_entropy(logits, labels)
    whole = measure(losses, logits, labels, jnp.ones(7))
    total = zero_metrics()
    for start in (0, 4):
        rows = slice(start, start + 4)
        pad = 4 - len(labels[rows])
        mask = jnp.pad(jnp.ones(4 - pad), (0, pad))
        parts = [
            jnp.pad(a[rows], [(0, pad)] + [(0, 0)] * (a.ndim - 1))
            for a in (losses, logits, labels)
        ]
        total = merge(total, measure(*parts, mask))
    assert (int(total.wrong), int(total.examples)) == (int(whole.wrong), 7)
    expected = np.mean(np.argmax(logits, -1) != labels)
    assert summarize(whole).error == pytest.approx(expected)
    np.testing.assert_allclose(summarize(total).loss, losses.mean(), rtol=1e-6)  # float32


def test_a_score_that_is_nan_is_a_wrong_guess():
    logits = jnp.array([[jnp.nan, 0.0]])
    metrics = measure(jnp.zeros(1), logits, jnp.array([0]), jnp.ones(1))
    assert int(metrics.wrong) == 1


def test_no_examples_have_no_mean():
    with pytest.raises(ValueError, match="no examples"):
        summarize(zero_metrics())
