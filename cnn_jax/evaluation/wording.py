"""How the numbers of an evaluation are written for people."""

from collections.abc import Mapping
from typing import Any

from cnn_jax.evaluation.comparison import Comparison, PairedMean, PairedRate
from cnn_jax.evaluation.evaluate import Evaluation
from cnn_jax.evaluation.measures import Mean, Rate, Unknown

EVALUATION_COLUMNS = (
    "network",
    "top-1 error",
    "top-5 error",
    "negative log-likelihood",
    "ECE",
    "images/s",
)
EVALUATION_LEGEND = (
    "in brackets 95 % intervals: Wilson's of an error, Student's of the likelihood (nats "
    "an image); ECE: expected calibration error, 15 bins (Guo et al. 2017)"
)
COMPARISON_COLUMNS = ("", "A", "B", "A - B", "95 % interval", "p", "")
COMPARISON_LEGEND = (
    "the same images, in pairs; below 0: A is better. Errors: Tango's score interval, "
    "McNemar's exact test; likelihood in nats an image: Student's paired interval"
)


def evaluation_cells(evaluation: Evaluation) -> tuple[str, ...]:
    """Return the cells of ``EVALUATION_COLUMNS``."""
    speed, found = evaluation.speed, evaluation.calibration
    return (
        evaluation.predictions.setting.model,
        _rate(evaluation.top1),
        _rate(evaluation.top5),
        _mean(evaluation.nll),
        "-" if isinstance(found, Unknown) else f"{found.ece:.2%}",
        "-" if speed is None else f"{speed.images_per_second:,.0f}",
    )


def comparison_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """Return the rows of ``COMPARISON_COLUMNS``; what is not known has none."""
    rows = []
    for name, number in _compared(comparison).items():
        if isinstance(number, PairedRate):
            rows.append((name, *_paired(number, ".2%"), f"{number.p_value:.3g}"))
        elif isinstance(number, PairedMean):
            rows.append((name, *_paired(number, ".4f"), "-"))
        else:
            continue
        rows[-1] += ("resolved" if number.resolved else "not resolved",)
    return rows


def evaluation_reasons(evaluation: Evaluation) -> list[str]:
    """Return a line for each number that can't be given."""
    return _reasons({"top-5 error": evaluation.top5, "likelihood": evaluation.nll})


def comparison_reasons(comparison: Comparison) -> list[str]:
    """Return a line for each number that can't be given."""
    return _reasons(_compared(comparison))


def _compared(comparison: Comparison) -> dict[str, Any]:
    return {
        "top-1 error": comparison.top1,
        "top-5 error": comparison.top5,
        "negative log-likelihood": comparison.nll,
    }


def _reasons(numbers: Mapping[str, Any]) -> list[str]:
    return [f"no {k}: {v.reason}" for k, v in numbers.items() if isinstance(v, Unknown)]


def _rate(number: Rate | Unknown) -> str:
    if isinstance(number, Unknown):
        return "-"
    low, high = number.interval
    return f"{number.error:.2%} [{low:.2%}, {high:.2%}]"


def _mean(number: Mean | Unknown) -> str:
    if isinstance(number, Unknown):
        return "-"
    if number.interval is None:
        return f"{number.value:.4f}"
    low, high = number.interval
    return f"{number.value:.4f} [{low:.4f}, {high:.4f}]"


def _paired(number: PairedRate | PairedMean, form: str) -> tuple[str, ...]:
    interval = "-"
    if number.interval is not None:
        low, high = number.interval
        interval = f"[{low:+{form}}, {high:+{form}}]"
    return (
        f"{number.first:{form}}",
        f"{number.second:{form}}",
        f"{number.difference:+{form}}",
        interval,
    )
