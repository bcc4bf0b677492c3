"""The losses of training/losses.py; cross-entropy's worked example is with the metrics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.codec import decode, encode
from cnn_jax.training.losses import (
    LabelSmoothing,
    cross_entropy,
    sigmoid_cross_entropy,
    squared_error,
)

LOGITS = np.array([[1.0, 2.0, 3.0], [-0.5, 4.0, 0.25], [0.0, 0.0, -30.0]])
LABELS = np.array([2, 0, 1])

# torch 2.13, float64: cross_entropy(z, y, reduction="none"), the same with
# label_smoothing=0.1, and binary_cross_entropy_with_logits(z, one_hot(y, 3).double(),
# reduction="none").sum(-1)
PYTORCH = [
    (cross_entropy, [0.4076059644443804, 4.5340407263048865, 0.6931471805599921]),
    (LabelSmoothing(0.1), [0.5076059644443804, 4.359040726304887, 1.693147180559992]),
    (sigmoid_cross_entropy, [3.4887770501349378, 5.81816633197676, 1.386294361119983]),
]
EVERY_LOSS = [*(loss for loss, _ in PYTORCH), squared_error]


def test_losses_are_pytorch_s():
    with jax.enable_x64(True):
        every = jax.jit(lambda logits: [loss(logits, LABELS) for loss, _ in PYTORCH])
        seen = every(LOGITS)
    for (loss, expected), values in zip(PYTORCH, seen, strict=True):
        assert values.dtype == np.float64
        np.testing.assert_allclose(values, expected, rtol=1e-14, err_msg=f"{loss}")


def test_label_smoothing_is_the_cross_entropy_of_the_papers_distribution():
    # Szegedy et al. 2016, Section 7: q'(k) = (1 - eps) [k = y] + eps / K
    epsilon, expected = 0.3, []
    for scores, label in zip(LOGITS, LABELS, strict=True):
        p = np.exp(scores) / np.exp(scores).sum()
        q = [(1 - epsilon) * (k == label) + epsilon / 3 for k in range(3)]
        expected.append(-sum(a * np.log(b) for a, b in zip(q, p, strict=True)))
    with jax.enable_x64(True):
        seen = jax.jit(LabelSmoothing(epsilon))(LOGITS, LABELS)
    np.testing.assert_allclose(seen, expected, rtol=1e-13)  # float64


def test_the_lectures_binary_form_is_that_of_sigmoid_outputs():
    # The slide's y is the softmax of (1, 2, 3), which gives 0.7826282.
    y = np.exp([1.0, 2.0, 3.0]) / np.exp([1.0, 2.0, 3.0]).sum()
    logits = np.float32(np.log(y / (1 - y)))[None]  # whose sigmoids are y
    loss = jax.jit(sigmoid_cross_entropy)(logits, np.array([2]))
    np.testing.assert_allclose(loss, [0.7826282], rtol=1e-6)  # float32


def test_squared_error_is_the_lectures_e():
    # E = (f - y)^2 / 2 with one output, y = 1
    assert float(jax.jit(squared_error)(np.float32([[-0.5]]), np.array([0]))[0]) == 1.125
    expected = [((1 + 4 + 4) / 2), (2.25 + 16 + 0.0625) / 2, (1 + 900) / 2]
    with jax.enable_x64(True):
        seen = jax.jit(squared_error)(LOGITS, LABELS)
    np.testing.assert_allclose(seen, expected, rtol=1e-15)


def test_half_precision_scores_are_widened_first():
    logits = LOGITS.astype(jnp.bfloat16)  # all are bfloat16 numbers
    every = jax.jit(lambda logits: [loss(logits, LABELS) for loss in EVERY_LOSS])
    for wide, narrow in zip(every(np.float32(logits)), every(logits), strict=True):
        assert narrow.dtype == jnp.float32
        np.testing.assert_allclose(wide, narrow, rtol=1e-6)  # float32


def test_huge_scores_have_finite_losses_and_slopes():
    logits = np.float32([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0]])
    labels = np.array([1, 1])

    def total(logits, loss):
        losses = loss(logits, labels)
        return losses.sum(), losses

    both = jax.value_and_grad(total, has_aux=True)
    for (_, values), slopes in jax.jit(
        lambda logits: [both(logits, loss) for loss in EVERY_LOSS[:3]]
    )(logits):
        assert np.isfinite(values).all()
        assert np.isfinite(slopes).all()
        assert values[0] >= 1e4 > values[1]


def test_sigmoids_that_are_sure_keep_their_last_digits():
    # log(1 + e^-20) = 2.06e-9 is lost where 1 + e^20 is formed.
    loss = jax.jit(sigmoid_cross_entropy)(np.float32([[20.0, -20.0]]), np.array([0]))
    np.testing.assert_allclose(loss, [2 * np.log1p(np.exp(-20.0))], rtol=1e-6)  # float32


@pytest.mark.parametrize("epsilon", [0.0, 1.0, -0.1, float("nan")])
def test_smoothing_by_nothing_or_everything_is_refused(epsilon):
    with pytest.raises(ValueError, match=f"epsilon {epsilon} is not between 0 and 1"):
        LabelSmoothing(epsilon)


@pytest.mark.parametrize("loss", EVERY_LOSS)
def test_a_loss_is_read_back_as_written(loss):
    assert decode(encode(loss)) == loss
