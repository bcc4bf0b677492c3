"""Arms against their baseline, and our order of the arms against a published one.

Here it is decided which arms form a family (all that share two seeds or more with the
baseline), at which confidence their intervals hold together, and what counts as resolved.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

from cnn_jax.study.statistics import (
    CONFIDENCE,
    Estimate,
    holm,
    paired_interval,
    rank_agreement,
    simultaneous_confidence,
)


def differences(
    baseline: str, errors: Mapping[str, Mapping[int, float]], examples: int
) -> dict[str, dict[str, Any]]:
    """Return arm -> its paired difference to the baseline; JSON-able.

    The baseline itself is not in it, and nothing is if it was not run.

    Args:
        baseline: name of the arm that the others are compared with.
        errors: arm -> seed -> test error (fraction) of its finished runs.
        examples: test images.
    """
    if baseline not in errors:
        return {}
    base = errors[baseline]
    common = {
        name: [seed for seed in base if seed in own]
        for name, own in errors.items()
        if name != baseline
    }
    tested = [name for name, seeds in common.items() if len(seeds) > 1]
    strict = simultaneous_confidence(max(len(tested), 1))
    found: dict[str, dict[str, Any]] = {}
    p_values = []
    for name, seeds in common.items():
        arm, reference = [errors[name][s] for s in seeds], [base[s] for s in seeds]
        per_seed = {str(s): errors[name][s] - base[s] for s in seeds}
        mean = float(np.mean(list(per_seed.values()))) if seeds else None
        found[name] = {"to": baseline, "mean": mean, "per_seed": per_seed}
        found[name] |= {"interval": None, "simultaneous": None, "smallest_resolvable": None}
        found[name] |= {"p_value": None, "holm_p_value": None, "verdict": "no interval"}
        if name not in tested:
            continue
        own = paired_interval(arm, reference, examples=examples)
        together = paired_interval(arm, reference, examples=examples, confidence=strict)
        found[name] |= {
            "interval": _ends(own),
            "simultaneous": _ends(together),
            "smallest_resolvable": float(together.half_width),
            "p_value": float(own.p_value),
            "verdict": _verdict(own, together),
        }
        p_values.append(float(own.p_value))
    for name, adjusted in zip(tested, holm(p_values) if tested else (), strict=True):
        found[name]["holm_p_value"] = float(adjusted)
    return found


def _verdict(own: Estimate, together: Estimate) -> str:
    if together.low > 0 or together.high < 0:
        return "resolved"
    return "not resolved together" if own.low > 0 or own.high < 0 else "not resolved"


def summary(baseline: str, compared: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return how the comparisons were made, and what they could have resolved."""
    widths = [
        d["smallest_resolvable"]
        for d in compared.values()
        if d["smallest_resolvable"] is not None
    ]
    return {
        "baseline": baseline,
        "confidence": CONFIDENCE,
        "comparisons": len(widths),
        "simultaneous_confidence": simultaneous_confidence(max(len(widths), 1)),
        "intervals": "Bonferroni",
        "p_values": "Holm",
        "smallest_resolvable": [min(widths), max(widths)] if widths else None,
    }


def agreement(
    published: Mapping[str, float], errors: Mapping[str, Mapping[int, float]], examples: int
) -> dict[str, Any]:
    """Compare the order of the arms in one published column with ours.

    Args:
        published: arm -> number, larger is worse; arms may be missing.
        errors: arm -> seed -> test error of its finished runs.
        examples: test images.
    """
    names = [name for name in errors if name in published and errors[name]]
    theirs = [published[name] for name in names]
    ours = [float(np.mean(list(errors[name].values()))) for name in names]
    asked = [
        (i, j) for i, j in combinations(range(len(names)), 2) if theirs[i] != theirs[j]
    ]
    resolved = np.zeros((len(names), len(names)), bool)
    for i, j in asked:
        first, second = errors[names[i]], errors[names[j]]
        seeds = [seed for seed in first if seed in second]
        if len(seeds) > 1:
            pair = paired_interval(
                [first[s] for s in seeds],
                [second[s] for s in seeds],
                examples=examples,
                confidence=simultaneous_confidence(len(asked)),
            )
            resolved[i, j] = resolved[j, i] = pair.low > 0 or pair.high < 0
    found = rank_agreement(ours, theirs, resolved)
    return {"arms": names} | found._asdict()


def _ends(estimate: Estimate) -> list[float]:
    return [float(estimate.low), float(estimate.high)]
