"""Two networks on the same examples: is one better, and by how much?"""

from typing import NamedTuple

from cnn_jax.evaluation.measures import Unknown, losses, not_finite, ranks
from cnn_jax.evaluation.predictions import Predictions, check_same_examples
from cnn_jax.maths.intervals import CONFIDENCE, Interval
from cnn_jax.maths.paired import mcnemar, paired_mean_interval, tango_interval


class PairedRate(NamedTuple):
    """The difference of two error rates on the same examples.

    Attributes:
        first: error of the first, a fraction.
        second: error of the second.
        difference: first - second; below 0 where the first is better.
        interval: Tango's 95 % score interval of it.
        only_first_wrong: examples that the first alone gets wrong.
        only_second_wrong: examples that the second alone gets wrong.
        both_wrong: examples that both get wrong.
        examples: all of them.
        p_value: of McNemar's exact test that both err equally often.
        resolved: whether the interval leaves 0 out and the exact test rejects: where only
            a few examples tell the two apart, one may without the other.
    """

    first: float
    second: float
    difference: float
    interval: Interval
    only_first_wrong: int
    only_second_wrong: int
    both_wrong: int
    examples: int
    p_value: float
    resolved: bool


class PairedMean(NamedTuple):
    """The difference of two mean log-likelihoods, in nats, with Student's paired interval.

    Attributes:
        first: mean of the first.
        second: mean of the second.
        difference: first - second; below 0 where the first is better.
        interval: of the difference; None for one example.
        resolved: whether the interval leaves 0 out.
    """

    first: float
    second: float
    difference: float
    interval: Interval | None
    resolved: bool


class Comparison(NamedTuple):
    """The first network against the second."""

    first: Predictions
    second: Predictions
    top1: PairedRate
    top5: PairedRate | Unknown
    nll: PairedMean | Unknown


def compare(first: Predictions, second: Predictions) -> Comparison:
    """Compare two sets of predictions of the same examples, example by example.

    Raises:
        UserError: they are of different data, splits, labels or classes.
    """
    check_same_examples(first, second)
    classes = len(first.classes)
    few = f"{classes} classes: the label is always among the best 5"
    return Comparison(
        first,
        second,
        _paired_rate(first, second, 1),
        _paired_rate(first, second, 5) if classes > 5 else Unknown(few),
        _paired_mean(first, second),
    )


def _paired_rate(first: Predictions, second: Predictions, k: int) -> PairedRate:
    a, b = ranks(first) >= k, ranks(second) >= k
    examples = len(a)
    only_first, only_second = int((a & ~b).sum()), int((b & ~a).sum())
    interval = tango_interval(only_first, only_second, examples)
    p_value = mcnemar(only_first, only_second)
    return PairedRate(
        first=int(a.sum()) / examples,
        second=int(b.sum()) / examples,
        difference=(only_first - only_second) / examples,
        interval=interval,
        only_first_wrong=only_first,
        only_second_wrong=only_second,
        both_wrong=int((a & b).sum()),
        examples=examples,
        p_value=p_value,
        resolved=_leaves_zero_out(interval) and p_value < 1 - CONFIDENCE,
    )


def _paired_mean(first: Predictions, second: Predictions) -> PairedMean | Unknown:
    for predictions in (first, second):
        undefined = not_finite(predictions)
        if undefined:
            return Unknown(f"{predictions.setting.model}: {undefined.reason}")
    a, b = losses(first), losses(second)
    difference, interval = paired_mean_interval(a, b)
    resolved = interval is not None and _leaves_zero_out(interval)
    return PairedMean(float(a.mean()), float(b.mean()), difference, interval, resolved)


def _leaves_zero_out(interval: Interval) -> bool:
    return interval.low > 0 or interval.high < 0
