"""A smaller training split, and the check of labels."""

import numpy as np

from cnn_jax.data.dataset import Pictures, Split, Splits
from cnn_jax.data.order import random_order
from cnn_jax.errors import UserError

SUBSET_KEY = 10_000  # of the fixed order in which examples enter a subset


def subset(splits: Splits, train_examples: int | None) -> Splits:
    """Return the splits with a smaller, class-balanced training split.

    The choice is a function of the labels alone, so it is the same for all seeds, and a
    smaller subset lies within a larger one. Every class gives equally many examples (the
    first ones of a remainder one more); a class that runs out is made up for by the
    others. The chosen examples keep their order. Validation and test stay whole.

    Args:
        splits: all examples.
        train_examples: size of the training split; None for all.

    Raises:
        UserError: ``train_examples`` is below 1 or above what there is.
    """
    labels = splits.train.labels
    chosen = balanced_subset(labels, train_examples)
    if chosen is None:
        return splits
    return splits._replace(train=Split(splits.train.images[chosen], labels[chosen]))


def balanced_subset(labels: np.ndarray, train_examples: int | None) -> np.ndarray | None:
    """Return the positions of that training subset, None for all.

    Raises:
        UserError: ``train_examples`` is below 1 or above what there is.
    """
    if train_examples is None:
        return None
    if not 1 <= train_examples <= len(labels):
        raise UserError(
            f"a training subset of {train_examples} examples was asked for;"
            f" allowed are 1 to {len(labels)}"
        )
    return balanced(labels, train_examples)


def balanced(labels: np.ndarray, count: int) -> np.ndarray:
    """Return ``count`` positions with the classes as equally often as can be, sorted."""
    order = random_order(len(labels), SUBSET_KEY)
    # The how-manieth example of its class each one is, in the fixed order.
    rank = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        rank[members] = np.arange(len(members))
    # First the first example of every class, then the second of every class, and so on.
    return np.sort(np.lexsort((labels, rank))[:count])


def check_labels(split: Split | Pictures, num_classes: int, where: str) -> None:
    """Refuse labels that are not among the model's classes.

    Args:
        split: examples.
        num_classes: labels must be 0 to ``num_classes - 1``.
        where: what to call the split in the message, e.g. ``"mnist, train"``.

    Raises:
        UserError: a label outside; the message has its index and value.
    """
    wrong = np.flatnonzero((split.labels < 0) | (split.labels >= num_classes))
    if len(wrong):
        raise UserError(
            f"{where}: label {split.labels[wrong[0]]} at index {wrong[0]},"
            f" allowed are 0 to {num_classes - 1}"
        )
