"""From finished runs to the numbers of a report: one JSON-able dict, ``results.json``.

What must come out the same however often a study was killed and resumed stands under
``"study"``, ``"arms"`` and ``"comparison"``; what a clock or a machine says stands under
``"timing"`` and ``"provenance"``; ``study/ensembles.py`` may add ``"ensembles"``.
Errors are fractions, intervals ``[low, high]``; whatever does not exist (an interval of
one seed) is ``null``.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnn_jax.study.comparison import agreement, differences, summary
from cnn_jax.study.statistics import mean_interval, wilson_interval

Results = dict[str, Any]
"""The dict that ``results`` returns and ``results.json`` holds."""


@dataclass(frozen=True, kw_only=True)
class PublishedColumn:
    """Numbers of a paper, printed beside ours and never mixed with them.

    Attributes:
        title: with its unit, e.g. ``"top-1 %"``.
        source: paper, table and data they were measured on.
        values: arm name -> number, larger is worse; arms may be missing.
    """

    title: str
    source: str
    values: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class ArmRuns:
    """One arm of a study: its network and its runs, one a seed.

    Attributes:
        name: as declared, e.g. ``"without_6_7"``.
        label: for display, e.g. ``"-6,7"``.
        parameters: of the network trained here.
        removed_trained: the baseline's parameters minus this arm's; may be negative.
        removed_printed: the same edit on the paper's network, None without a printed one.
        printed_parameters: of the paper's network under this edit, None without one.
        runs: the ``result.json`` of each seed.
        curves: of each seed, the rows of its ``metrics.jsonl``.
    """

    name: str
    label: str
    parameters: int
    removed_trained: int
    removed_printed: int | None
    printed_parameters: int | None
    runs: tuple[Mapping[str, Any], ...]
    curves: tuple[tuple[Mapping[str, Any], ...], ...]


@dataclass(frozen=True, kw_only=True)
class StudyFacts:
    """What a report says about a study besides its numbers.

    Attributes:
        name: as declared.
        title: for display.
        question: that the study asks.
        study_source: where the question comes from.
        setting: e.g. ``"digits"``.
        setting_description: one or two sentences.
        dataset_label: for display, e.g. ``"CIFAR-10 (JPEG 75)"``.
        dataset_fingerprint: hash of the data.
        sizes: images in ``train``, ``validation`` and ``test``.
        baseline: name of the arm that all others are compared with.
        seeds: that were asked for.
        published: columns of other people's numbers.
        printed_network: e.g. ``"alexnet at 227x227, 1000 classes"``.
        identity: hash of what was declared.
        command: that makes this report again.
        commit: of the source.
        versions: package -> version.
        device: in words.
        started: date and time.
        wall_seconds: of the whole study.
        notes: anything else that the reader has to know.
    """

    name: str
    title: str
    question: str
    study_source: str
    setting: str
    setting_description: str
    dataset_label: str
    dataset_fingerprint: str
    sizes: Mapping[str, int]
    baseline: str
    seeds: tuple[int, ...]
    published: tuple[PublishedColumn, ...]
    printed_network: str | None
    identity: str
    command: str
    commit: str
    versions: Mapping[str, str]
    device: str
    started: str
    wall_seconds: float
    notes: tuple[str, ...]


_PROVENANCE = ("command", "commit", "versions", "device", "started", "wall_seconds")
_RUN = (
    *("seed", "status", "diverged_at_step", "test_error", "test_wrong", "test_examples"),
    *("validation_error", "train_error", "steps", "parameters_sha256"),
)
_TIMING = ("seed", "images_per_second", "wall_seconds", "resumed_at_step", "attempts")


def results(facts: StudyFacts, arms: Sequence[ArmRuns]) -> Results:
    """Return every number of the report.

    Verdicts (``arms[name]["difference"]["verdict"]``): ``"resolved"`` if the interval
    that holds for all comparisons together leaves 0 out; ``"not resolved together"`` if
    only the arm's own 95 % interval does; ``"not resolved"``; and ``"no interval"`` for
    fewer than two common seeds.

    Raises:
        ValueError: runs of one study were tested on different numbers of images.
    """
    examples = _test_examples(facts, arms)
    errors = {arm.name: _finished(arm) for arm in arms}
    compared = differences(facts.baseline, errors, examples)
    study = {
        field.name: getattr(facts, field.name)
        for field in dataclasses.fields(facts)
        if field.name not in _PROVENANCE
    }
    study["published"] = [dataclasses.asdict(column) for column in facts.published]
    found = {
        "study": study,
        "arms": {
            arm.name: _arm(arm, facts, compared.get(arm.name), examples) for arm in arms
        },
        "comparison": summary(facts.baseline, compared)
        | {
            "published": [
                {"title": column.title} | agreement(column.values, errors, examples)
                for column in facts.published
            ]
        },
        "seeds": list(facts.seeds),
        "timing": {arm.name: _timing(arm) for arm in arms},
        "provenance": {name: getattr(facts, name) for name in _PROVENANCE},
    }
    plain: Results = _plain(found)
    return plain


def _arm(
    arm: ArmRuns, facts: StudyFacts, difference: dict[str, Any] | None, examples: int
) -> dict[str, Any]:
    errors = _finished(arm)
    diverged = [run for run in arm.runs if run["status"] == "diverged"]
    return {
        "label": arm.label,
        "parameters": arm.parameters,
        "parameters_removed": {
            "trained": _removed(arm.removed_trained, arm.parameters),
            "printed": _removed(arm.removed_printed, arm.printed_parameters),
        },
        "test_error": _rate(list(errors.values()), examples),
        "train_error": _mean(arm, "train_error"),
        "validation_error": _mean(arm, "validation_error"),
        "difference": difference,
        "published": [column.values.get(arm.name) for column in facts.published],
        "finished": len(errors),
        "diverged": [
            {"seed": run["seed"], "step": run.get("diverged_at_step")} for run in diverged
        ],
        "runs": [{key: run.get(key) for key in _RUN} for run in arm.runs],
    }


def _rate(errors: list[float], examples: int) -> dict[str, Any]:
    """Return mean, interval over seeds and Wilson interval of one arm."""
    mean = float(np.mean(errors)) if errors else None
    found: dict[str, Any] = {"mean": mean, "interval": None, "half_width": None}
    if len(errors) > 1:
        estimate = mean_interval(errors, examples=examples)
        found |= {
            "interval": [float(estimate.low), float(estimate.high)],
            "half_width": float(estimate.half_width),
        }
    wilson = None if mean is None else wilson_interval(mean, examples)
    found["wilson"] = wilson and [float(end) for end in wilson]
    return found | {"examples": examples, "seeds": len(errors)}


def _finished(arm: ArmRuns) -> dict[int, float]:
    """Return seed -> test error of the runs that count."""
    return {
        int(run["seed"]): float(run["test_error"])
        for run in arm.runs
        if run["status"] == "finished"
    }


def _mean(arm: ArmRuns, key: str) -> float | None:
    values = [run.get(key) for run in arm.runs if run["status"] == "finished"]
    known = [float(value) for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _removed(count: int | None, left: int | None) -> dict[str, Any] | None:
    if count is None or left is None:
        return None
    return {"count": count, "percent": 100 * count / (left + count), "left": left}


def _timing(arm: ArmRuns) -> dict[str, Any]:
    speeds = [run.get("images_per_second") for run in arm.runs]
    known = [float(speed) for speed in speeds if speed]
    return {
        "images_per_second": float(np.median(known)) if known else None,
        "runs": [{key: run.get(key) for key in _TIMING} for run in arm.runs],
    }


def _test_examples(facts: StudyFacts, arms: Sequence[ArmRuns]) -> int:
    counts = {
        int(run["test_examples"])
        for arm in arms
        for run in arm.runs
        if run["status"] == "finished"
    } or {int(facts.sizes["test"])}
    if len(counts) > 1:
        raise ValueError(f"runs were tested on different numbers of images: {counts}")
    return counts.pop()


def _plain(value: Any) -> Any:
    """Return ``value`` in the types of JSON; a float that is not finite becomes None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
