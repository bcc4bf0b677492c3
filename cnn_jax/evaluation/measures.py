"""Errors, likelihood, confusion: what a set of predictions is worth.

Every function counts each example once. Two rules hold everywhere:

Rank. The rank of a label is the number of classes with a higher score, plus the number of
classes with the same score and a smaller index; the guess is right among the best k where
the rank is below k. So top-1 is ``argmax`` (the first of equal scores wins), as in
``training.metrics.measure``, and a network that gives all classes the same score names the
first k: a tie can't make every label count as right.

Not finite. An example of which any score is NaN or infinite is a wrong guess at every k
and has no predicted class; the mean of anything that needs its probabilities
(likelihood, calibration) is then not a number, and is given as None with the reason.
"""

from typing import Any, NamedTuple

import numpy as np

from cnn_jax.errors import UserError
from cnn_jax.evaluation.predictions import Predictions
from cnn_jax.maths.intervals import Interval, student_interval, wilson_interval

NO_GUESS = -1
"""The predicted class of an example that has a score that is not finite."""


class Rate(NamedTuple):
    """An error rate with Wilson's 95 % interval.

    Attributes:
        error: fraction.
        wrong: examples.
        examples: of which so many are wrong.
        interval: Wilson's.
    """

    error: float
    wrong: int
    examples: int
    interval: Interval


class Mean(NamedTuple):
    """A mean over examples with Student's 95 % interval; None for one example."""

    value: float
    interval: Interval | None


class Unknown(NamedTuple):
    """A number that can't be given."""

    reason: str


class PerClass(NamedTuple):
    """One class among the examples that belong to it.

    Attributes:
        name: of the class.
        rate: its top-1 error; None where the split holds no example of it.
        guessed: how many examples, of any class, were taken for it.
        taken_for: the wrong class most often guessed for its examples, and how often.
    """

    name: str
    rate: Rate | None
    guessed: int
    taken_for: tuple[str, int] | None


def finite(predictions: Predictions) -> np.ndarray:
    """Return where all scores of an example are finite, bool [N].

    Raises:
        UserError: predictions that are not one class an example; every measure asks here.
    """
    scores, labels = predictions.log_probabilities, predictions.labels
    if scores.ndim != 2 or labels.shape != scores.shape[:1]:
        raise UserError(
            f"the measures serve classify, scores [N, classes] and labels [N]; these have "
            f"shapes {scores.shape} and {labels.shape}"
        )
    return np.isfinite(predictions.log_probabilities).all(axis=-1)


def ranks(predictions: Predictions) -> np.ndarray:
    """Return the rank of each label, int [N]; the number of classes if not finite."""
    known = finite(predictions)
    scores, labels = predictions.log_probabilities, predictions.labels[:, None]
    own = np.take_along_axis(scores, labels.astype(np.int64), axis=-1)
    before = np.arange(scores.shape[-1]) < labels
    rank = ((scores > own) | ((scores == own) & before)).sum(axis=-1)
    return np.where(known, rank, scores.shape[-1])


def guesses(predictions: Predictions) -> np.ndarray:
    """Return the predicted class of each example, int [N], or ``NO_GUESS``."""
    best = predictions.log_probabilities.argmax(axis=-1)
    return np.where(finite(predictions), best, NO_GUESS)


def rate(wrong: Any) -> Rate:
    """Return the error rate of examples that are ``wrong``, bool [N], N at least 1."""
    count, examples = int(np.sum(wrong)), len(wrong)
    low, high = wilson_interval(count / examples, examples)
    return Rate(count / examples, count, examples, Interval(float(low), float(high)))


def top_k_error(predictions: Predictions, k: int) -> Rate | Unknown:
    """Return how often the label is not among the ``k`` best guesses.

    With k classes or fewer nobody can be wrong, so there is nothing to tell.
    """
    classes = len(predictions.classes)
    if k > 1 and classes <= k:
        return Unknown(f"{classes} classes: the label is always among the best {k}")
    return rate(ranks(predictions) >= k)


def losses(predictions: Predictions) -> np.ndarray:
    """Return -log of the probability of the label, in nats, float64 [N].

    Infinite where a score is not finite.
    """
    known = finite(predictions)
    labels = predictions.labels[:, None].astype(np.int64)
    own = np.take_along_axis(predictions.log_probabilities, labels, axis=-1)[:, 0]
    # 0.0 -: a certain guess has loss 0, not -0.
    return np.where(known, 0.0 - own.astype(np.float64), np.inf)


def likelihood(predictions: Predictions) -> Mean | Unknown:
    """Return the mean negative log-likelihood in nats an example."""
    undefined = not_finite(predictions)
    return undefined or Mean(*student_interval(losses(predictions)))


def not_finite(predictions: Predictions) -> Unknown | None:
    """Return why a mean of probabilities can't be given, None if it can."""
    count = int((~finite(predictions)).sum())
    if not count:
        return None
    noun = "example has" if count == 1 else "examples have"
    return Unknown(f"{count:,} {noun} a score that is not finite")


def confusion(predictions: Predictions) -> np.ndarray:
    """Return how often each class (row) was taken for each (column), int64 [C, C + 1].

    The last column counts examples without a guess, so a row sums to its class's size.
    """
    classes = len(predictions.classes)
    counts = np.zeros((classes, classes + 1), np.int64)
    # NO_GUESS is the last column.
    np.add.at(counts, (predictions.labels, guesses(predictions)), 1)
    return counts


def per_class(predictions: Predictions) -> tuple[PerClass, ...]:
    """Return the error of each class, in the order of the labels."""
    counts = confusion(predictions)
    wrong = guesses(predictions) != predictions.labels
    found = []
    for index, name in enumerate(predictions.classes):
        own = predictions.labels == index
        others = counts[index, :-1].copy()
        others[index] = 0
        worst = int(others.argmax())
        found.append(
            PerClass(
                name,
                rate(wrong[own]) if own.any() else None,
                int(counts[:, index].sum()),
                (predictions.classes[worst], int(others[worst])) if others.any() else None,
            )
        )
    return tuple(found)


class Confused(NamedTuple):
    """How many examples of one class were taken for another."""

    true: str
    guess: str
    images: int


def most_confused(predictions: Predictions, count: int = 10) -> tuple[Confused, ...]:
    """Return the most frequent confusions, the most frequent first."""
    counts = confusion(predictions)[:, :-1].copy()
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:count]
    found = []
    for true, guess in zip(*np.unravel_index(order, counts.shape), strict=True):
        if counts[true, guess]:
            names = predictions.classes[true], predictions.classes[guess]
            found.append(Confused(*names, int(counts[true, guess])))
    return tuple(found)
