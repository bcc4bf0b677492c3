"""The output of a network that reads a whole number: one head for its length, one a digit.

Source:
    Goodfellow, Bulatov, Ibarz, Arnoud and Shet. Multi-digit Number Recognition from Street
    View Imagery using Deep Convolutional Neural Networks. ICLR 2014. Section 4: L has the
    values 0, ..., 5 and "more than 5", each of S_1, ..., S_5 the ten digits.
"""

from typing import NamedTuple

from jaxtyping import Array, Float

from cnn_jax.errors import UserError
from cnn_jax.types import Logits

DIGITS = 5
"""The longest number that is read."""
LENGTHS = DIGITS + 2
"""Values of L: 0 to ``DIGITS``, and more."""


class NumberHeads(NamedTuple):
    """Scores of each head.

    Attributes:
        length: of L, [N, 7].
        digits: of S_1 to S_5, [N, 5, values of a digit].
    """

    length: Float[Array, "batch 7"]
    digits: Float[Array, "batch 5 values"]


def outputs_of(values: int) -> int:
    """Return how many outputs a network with so many values of a digit has."""
    return LENGTHS + DIGITS * values


def split_heads(logits: Logits) -> NumberHeads:
    """Return the heads of an output [N, 7 + 5 values]: L first, then S_1 to S_5.

    Raises:
        UserError: another shape.
    """
    if (
        logits.ndim != 2
        or logits.shape[1] <= LENGTHS
        or (logits.shape[1] - LENGTHS) % DIGITS
    ):
        raise UserError(
            f"scores of shape {logits.shape[1:]} an image are no length and {DIGITS} "
            f"digits; {outputs_of(10)} are, for digits of ten values"
        )
    digits = logits[:, LENGTHS:].reshape(logits.shape[0], DIGITS, -1)
    return NumberHeads(logits[:, :LENGTHS], digits)
