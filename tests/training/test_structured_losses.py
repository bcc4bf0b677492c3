"""Numbers, words and sets against plain loops; what they are measured by."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.codec import decode, encode
from cnn_jax.errors import UserError
from cnn_jax.training.metrics import measure
from cnn_jax.training.structured_losses import (
    NO_DIGIT,
    decode_number,
    multi_head_cross_entropy,
    multi_label_cross_entropy,
    sequence_cross_entropy,
)

VALUES = 3  # of a digit: all 3 + 9 + ... + 243 + 2 numbers can be tried
measured = jax.jit(measure)
LOSSES = [multi_head_cross_entropy, sequence_cross_entropy, multi_label_cross_entropy]


def log_softmax(scores):
    return scores - np.log(np.exp(scores).sum(-1, keepdims=True))


def heads(logits):
    """The scores of one example as log P(L) and log P(S_i), by slices."""
    length = log_softmax(logits[:7])
    digits = [log_softmax(logits[7 + 3 * i : 10 + 3 * i]) for i in range(5)]
    return length, digits


def log_probability(logits, number):
    """Goodfellow et al. 2014, Section 4; None is a number that is longer than five."""
    length, digits = heads(logits)
    if number is None:
        return length[6]
    return length[len(number)] + sum(digits[i][n] for i, n in enumerate(number))


def every_number():
    yield None
    for count in range(6):
        yield from itertools.product(range(VALUES), repeat=count)


def label(number, behind=NO_DIGIT):
    if number is None:
        return [6, *[behind] * 5]
    return [len(number), *number, *[behind] * (5 - len(number))]


@pytest.fixture
def logits(draw):
    # Loud digits and lengths of all kinds, so that every length is sometimes the best.
    scores = 3 * draw.standard_normal((40, 7 + 5 * VALUES))
    scores[:, 0] -= 2
    return scores


def test_the_probabilities_of_all_numbers_sum_to_one(logits):
    numbers = [label(number) for number in every_number()]
    assert len(numbers) == 1 + sum(VALUES**count for count in range(6))
    one = np.repeat(logits[:1], len(numbers), axis=0)
    with jax.enable_x64(True):
        losses = jax.jit(multi_head_cross_entropy)(one, np.array(numbers))
    np.testing.assert_allclose(np.exp(-np.asarray(losses)).sum(), 1.0, rtol=1e-12)


def test_a_number_s_loss_leaves_the_digits_behind_it_out(logits):
    numbers = [None, (), (2,), (0, 1), (1, 1, 0), (2, 0, 1, 2), (0, 0, 2, 1, 1)]
    expected = [-log_probability(s, n) for s, n in zip(logits, numbers, strict=False)]
    told = np.arange(5) < np.array([0, 0, 1, 2, 3, 4, 5])[:, None]

    def summed(logits, labels):
        losses = multi_head_cross_entropy(logits, labels)
        return losses.sum(), losses

    with jax.enable_x64(True):
        both = jax.jit(jax.value_and_grad(summed, has_aux=True))
        for behind in (NO_DIGIT, 2, 99):
            labels = np.array([label(number, behind) for number in numbers])
            (_, losses), slopes = both(logits[:7], labels)
            np.testing.assert_allclose(losses, expected, rtol=1e-12)
            pulled = (np.asarray(slopes)[:, 7:].reshape(7, 5, VALUES) != 0).all(-1)
            np.testing.assert_array_equal(pulled, told)


def test_decoding_finds_the_most_probable_of_all_numbers(logits):
    best = [max(every_number(), key=lambda n: log_probability(s, n)) for s in logits]
    assert {None if n is None else len(n) for n in best} >= {None, 1, 2, 3, 4, 5}
    found = jax.jit(decode_number)(np.float32(logits))
    np.testing.assert_array_equal(found, [label(number) for number in best])


def test_a_number_is_wrong_if_its_length_or_one_of_its_digits_is(logits):
    logits, mask = np.float32(logits[:12]), np.ones(12, np.float32)
    labels = np.array(jax.jit(decode_number)(logits))

    def count(labels):
        return int(measured(mask, logits, labels, mask).wrong)

    assert count(labels) == 0
    behind = np.where(labels == NO_DIGIT, 1, labels)  # whatever stands there
    assert count(behind) == 0
    with_digit = np.flatnonzero((labels[:, 0] > 0) & (labels[:, 0] < 6))
    changed = behind.copy()
    changed[with_digit, labels[with_digit, 0]] += 1  # the last digit of each
    assert count(changed) == len(with_digit) > 3
    changed = behind.copy()
    changed[:, 0] = (changed[:, 0] + 1) % 7
    assert count(changed) == 12
    logits[3, 0] = np.nan  # argmax takes it for the largest
    assert count(decode_number(logits)) == 1


def test_a_word_s_loss_is_the_sum_over_its_places(draw):
    logits = draw.standard_normal((6, 4, 5))
    labels = draw.integers(0, 5, (6, 4))
    labels[0] = logits[0].argmax(-1)  # all of it right
    labels[1] = logits[1].argmax(-1)
    labels[1, 2] = (labels[1, 2] + 1) % 5  # one place wrong
    with jax.enable_x64(True):
        losses = jax.jit(sequence_cross_entropy)(logits, labels)
    expected = [
        -sum(log_softmax(s)[place] for s, place in zip(word, right, strict=True))
        for word, right in zip(logits, labels, strict=True)
    ]
    np.testing.assert_allclose(losses, expected, rtol=1e-12)
    right = [(w.argmax(-1) == r).all() for w, r in zip(logits, labels, strict=True)]
    assert right[:2] == [True, False]
    scores, mask = np.float32(logits), np.ones(6, np.float32)
    assert int(measured(mask, scores, labels, mask).wrong) == 6 - sum(right)
    scores[0, 0, labels[0, 0]] = np.inf
    assert int(measured(mask, scores, labels, mask).wrong) == 7 - sum(right)


def test_a_set_s_loss_is_that_of_independent_sigmoids(draw):
    logits = 2 * draw.standard_normal((5, 7))
    labels = draw.integers(0, 2, (5, 7))
    labels[0] = logits[0] > 0
    with jax.enable_x64(True):
        losses = jax.jit(multi_label_cross_entropy)(logits, labels)
    y = 1 / (1 + np.exp(-logits))
    expected = -(labels * np.log(y) + (1 - labels) * np.log(1 - y)).sum(-1)
    np.testing.assert_allclose(losses, expected, rtol=1e-12)
    scores, mask = np.float32(logits), np.ones(5, np.float32)
    wrong = sum(((s > 0) != d).any() for s, d in zip(logits, labels, strict=True))
    assert int(measured(mask, scores, labels, mask).wrong) == wrong < 5


@pytest.mark.parametrize(
    ("loss", "scores", "labels"),
    [
        (multi_head_cross_entropy, (2, 57), (2,)),
        (multi_head_cross_entropy, (2, 57), (2, 5)),
        (sequence_cross_entropy, (2, 23, 37), (2, 37)),
        (multi_label_cross_entropy, (2, 9), (2,)),
    ],
)
def test_labels_of_another_shape_are_refused(loss, scores, labels):
    with pytest.raises(UserError, match=rf"{loss.__name__} needs labels of shape"):
        loss(np.zeros(scores), np.zeros(labels, np.int32))


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
def test_a_loss_can_be_part_of_an_experiment(loss):
    assert decode(encode(loss)) is loss


def test_bfloat16_scores_give_float32_losses():
    logits = jax.ShapeDtypeStruct((1, 57), jnp.bfloat16)
    losses = jax.eval_shape(multi_head_cross_entropy, logits, np.array([label((1, 2))]))
    assert (losses.dtype, losses.shape) == (jnp.float32, (1,))
