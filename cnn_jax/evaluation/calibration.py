"""Calibration: whether a network that is 80 % sure is right in 80 % of the cases.

Source: C. Guo, G. Pleiss, Y. Sun and K. Weinberger, "On Calibration of Modern Neural
    Networks", ICML 2017, Section 2. The confidence is the probability of the guess.
"""

from typing import NamedTuple

import numpy as np

from cnn_jax.evaluation.measures import Unknown, guesses, not_finite
from cnn_jax.evaluation.predictions import Predictions

BINS = 15  # Guo et al., Section 5


class Bin(NamedTuple):
    """The examples whose confidence is in (low, high].

    Attributes:
        low: end that is not in it.
        high: end that is.
        examples: how many.
        confidence: their mean; None if there are none.
        accuracy: fraction of them that is right; None if there are none.
    """

    low: float
    high: float
    examples: int
    confidence: float | None
    accuracy: float | None


class Calibration(NamedTuple):
    """How far confidence and accuracy are apart.

    Attributes:
        ece: expected calibration error, a fraction.
        confidence: mean over all examples.
        accuracy: fraction of the examples that is right.
        bins: of equal width, from 0 to 1.
    """

    ece: float
    confidence: float
    accuracy: float
    bins: tuple[Bin, ...]


def calibration(predictions: Predictions, bins: int = BINS) -> Calibration | Unknown:
    """Return the expected calibration error and the bins of the reliability diagram.

    Bin m of M holds the n_m examples with a confidence in ((m - 1)/M, m/M];
    ``ECE = sum over m of n_m / N |accuracy_m - confidence_m|`` (Guo et al., equation 3).
    With few examples a bin the ECE of a perfectly calibrated network is well above 0.

    Args:
        predictions: of one example or more.
        bins: of equal width.

    Returns:
        The numbers; or why there are none, where a score is not finite.
    """
    undefined = not_finite(predictions)
    if undefined:
        return undefined
    best = predictions.log_probabilities.max(axis=-1).astype(np.float64)
    confidences = np.minimum(np.exp(best), 1.0)  # a rounded mean can be above 1
    right = guesses(predictions) == predictions.labels
    edges = np.linspace(0.0, 1.0, bins + 1)
    number = np.digitize(confidences, edges, right=True) - 1
    found, ece = [], 0.0
    for index in range(bins):
        inside = number == index
        examples = int(inside.sum())
        confidence = accuracy = None
        if examples:
            confidence = float(confidences[inside].mean())
            accuracy = float(right[inside].mean())
            ece += examples / len(right) * abs(accuracy - confidence)
        found.append(
            Bin(
                float(edges[index]), float(edges[index + 1]), examples, confidence, accuracy
            )
        )
    return Calibration(ece, float(confidences.mean()), float(right.mean()), tuple(found))
