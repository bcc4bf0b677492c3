"""Losses of outputs that are more than one class: numbers, words, sets.

Like those of ``losses.py``: one value for each example, in nats, in float32 at least. What
such outputs say is beside what they are trained for.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from cnn_jax.errors import UserError
from cnn_jax.layers.number_heads import DIGITS, split_heads
from cnn_jax.types import Labels, Logits, serves

NO_DIGIT = -1
"""What ``decode_number`` puts behind the last digit."""


@serves("multi_head")
def multi_head_cross_entropy(logits: Logits, labels: Labels) -> Float[Array, " batch"]:
    """Return -log P of each number: Goodfellow et al. 2014, Section 4.

    log P(number) = log P(L) + sum over i <= L of log P(S_i): digits behind the last one
    are no part of it, whatever their labels. Of a number that is longer than five digits
    only its length is scored; the paper does not say.

    Args:
        logits: [N, 7 + 5 values], see ``split_heads``.
        labels: [N, 6]: the length, 0 to 5 or 6 for more, and five digits.

    Raises:
        UserError: other shapes.
    """
    _check_number_labels(labels)
    length, digits = split_heads(_wide(logits))
    told = _digits_told(labels[:, 0])
    right = jnp.where(told, labels[:, 1:], 0)
    of_digits = _log_probability(digits, right)
    return -_log_probability(length, labels[:, 0]) - jnp.where(told, of_digits, 0.0).sum(-1)


def decode_number(logits: Logits) -> Int[Array, "batch 6"]:
    """Return the most probable number of each example, exactly: its length and digits.

    The digits are independent given the image, so the best number of each length has the
    best digit at each place, and seven numbers are compared: those of 0 to 5 digits, and
    "longer", whose digits the network does not tell.

    Args:
        logits: [N, 7 + 5 values], see ``split_heads``.

    Returns:
        Lengths, 6 for more than five, and digits, ``NO_DIGIT`` behind the last one.
    """
    length, digits = (jax.nn.log_softmax(scores) for scores in split_heads(_wide(logits)))
    of_places = jnp.cumsum(digits.max(axis=-1), axis=-1)
    best = length + jnp.pad(of_places, ((0, 0), (1, 1)))  # 0 for no digit and for "longer"
    longest = jnp.argmax(best, axis=-1)
    read = jnp.where(_digits_told(longest), jnp.argmax(digits, axis=-1), NO_DIGIT)
    return jnp.concatenate([longest[:, None], read], axis=-1).astype(jnp.int32)


def right_number(logits: Logits, labels: Labels) -> Bool[Array, " batch"]:
    """Return where the length and every digit of the decoded number are right."""
    _check_number_labels(labels)
    read = decode_number(logits)
    same = (read == labels).at[:, 1:].max(~_digits_told(labels[:, 0]))
    return same.all(axis=-1)


@serves("sequence")
def sequence_cross_entropy(logits: Logits, labels: Labels) -> Float[Array, " batch"]:
    """Return the summed cross-entropy of the places of each sequence.

    The character model of Jaderberg et al. 2014, Section 3.2: one softmax a place,
    independent of the others; "no character" is a class like any other.

    Args:
        logits: [N, places, classes].
        labels: [N, places].

    Raises:
        UserError: labels of another shape.
    """
    _check_labels(labels, logits.shape[:-1], "sequence_cross_entropy", "class a place")
    return -_log_probability(_wide(logits), labels).sum(axis=-1)


@serves("multi_label")
def multi_label_cross_entropy(logits: Logits, labels: Labels) -> Float[Array, " batch"]:
    """Return the summed cross-entropy of K independent sigmoids and a set of classes.

    The bag of N-grams of Jaderberg et al. 2014, Section 3.3, without the paper's weights
    of the N-grams, which are one over their frequency in the training words.

    Args:
        logits: [N, K].
        labels: [N, K], 1 where the class is in the set, else 0.

    Raises:
        UserError: labels of another shape.
    """
    _check_labels(labels, logits.shape, "multi_label_cross_entropy", "0 or 1 a class")
    scores = _wide(logits)
    return jax.nn.softplus(jnp.where(labels > 0, -scores, scores)).sum(axis=-1)


def _wide(logits: Logits) -> Logits:
    return logits.astype(jnp.promote_types(logits.dtype, jnp.float32))


def _log_probability(scores: Logits, labels: Labels) -> Array:
    """Return log softmax(scores)[label] along the last axis; NaN for a label outside."""
    found = jnp.take_along_axis(jax.nn.log_softmax(scores), labels[..., None], axis=-1)
    return found[..., 0]


def _digits_told(length: Int[Array, " batch"]) -> Bool[Array, "batch 5"]:
    """Return which digits belong to numbers of these lengths; none of a longer one."""
    longer = length[:, None] > DIGITS
    return (jnp.arange(DIGITS)[None] < length[:, None]) & ~longer


def _check_number_labels(labels: Labels) -> None:
    shape = (labels.shape[0], 1 + DIGITS)
    _check_labels(labels, shape, "multi_head_cross_entropy", "length and five digits")


def _check_labels(labels: Labels, shape: tuple[int, ...], loss: str, meaning: str) -> None:
    if labels.shape != shape:
        raise UserError(
            f"{loss} needs labels of shape {shape} ({meaning}); these have {labels.shape}"
        )
