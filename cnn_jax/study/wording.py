"""The numbers of a report as text: formats, the answer in sentences, how to read it.

Arms are named by their labels between backticks, which the web page turns into tags.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

MINUS = "\u2212"
NOTHING = "\u2013"
Arm = Mapping[str, Any]


def count(number: float | None) -> str:
    """Return ``16,781,312``."""
    return NOTHING if number is None else f"{number:,.0f}".replace("-", MINUS)


def plural(number: int, noun: str) -> str:
    """Return ``1 seed`` or ``5 seeds``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def decimals(results: Mapping[str, Any]) -> int:
    """Return the digits that a percentage deserves: 1 up to 100 test images, else 2."""
    examples = [arm["test_error"]["examples"] for arm in results["arms"].values()]
    return 1 if max(examples, default=0) <= 100 else 2


def percent(fraction: float | None, digits: int, *, sign: bool = False) -> str:
    """Return ``2.36``, or ``+2.36`` with a sign; the unit stands in the heading."""
    if fraction is None:
        return NOTHING
    text = f"{100 * fraction:{'+' if sign else ''}.{digits}f}"
    if float(text) == 0.0:
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def interval(ends: Sequence[float] | None, digits: int) -> str:
    """Return ``[1.91, 2.81]`` in percent; empty without an interval."""
    if ends is None:
        return ""
    return f"[{percent(ends[0], digits)}, {percent(ends[1], digits)}]"


def removed(entry: Mapping[str, Any] | None) -> str:
    """Return ``1,696,512 (2.8 %)``; ``adds ...`` where an edit adds parameters."""
    if entry is None:
        return NOTHING
    if entry["count"] == 0:
        return "0"
    word = "adds " if entry["count"] < 0 else ""
    return f"{word}{abs(entry['count']):,} ({abs(entry['percent']):.1f} %)"


def ran(arm: Arm) -> str:
    """Return what happened to the runs of an arm; empty if all finished."""
    total, lost = len(arm["runs"]), arm["diverged"]
    if not lost:
        return ""
    steps = ", ".join(dict.fromkeys(count(run["step"]) for run in lost))
    which = f"all {total}" if len(lost) == total > 1 else f"{len(lost)} of {total}"
    return f"{which} diverged at step {steps}"


def verdict(arm: Arm, comparisons: int) -> str:
    """Return the last word on an arm's difference to the baseline."""
    difference = arm["difference"]
    if difference is None:
        return NOTHING
    if difference["verdict"] == "resolved":
        return "higher error" if difference["mean"] > 0 else "lower error"
    if difference["verdict"] == "not resolved together":
        return f"not resolved among {comparisons}"
    if difference["verdict"] == "not resolved":
        return "not resolved"
    pairs = len(difference["per_seed"])
    return "one seed: no interval" if pairs == 1 else "no finished pair"


def answer(results: Mapping[str, Any]) -> list[str]:
    """Return the answer to the study's question in a few plain sentences."""
    digits, arms = decimals(results), results["arms"]
    baseline = arms.get(results["comparison"]["baseline"])
    others = [arm for arm in arms.values() if arm["difference"] is not None]
    said = [_level(baseline, digits) if baseline else "The baseline was not run."]
    done = [arm for arm in others if arm["difference"]["mean"] is not None]
    done.sort(key=lambda arm: -abs(arm["difference"]["mean"]))
    by_verdict: dict[str, list[Arm]] = {}
    for arm in done:
        by_verdict.setdefault(arm["difference"]["verdict"], []).append(arm)
    clear = by_verdict.get("resolved", [])
    costs = [arm for arm in clear if arm["difference"]["mean"] > 0]
    gains = [arm for arm in clear if arm["difference"]["mean"] < 0]
    if costs:
        said.append(f"Higher error than the baseline: {_listed(costs, digits)}.")
    if gains:
        said.append(f"Lower error than the baseline: {_listed(gains, digits)}.")
    almost = by_verdict.get("not resolved together", [])
    if almost:
        many = results["comparison"]["comparisons"]
        said.append(
            f"Not resolved once all {many} comparisons are made together, though their own "
            f"intervals leave 0 out: {_listed(almost, digits)}."
        )
    if by_verdict.get("not resolved"):
        said.append(f"Not resolved: {_listed(by_verdict['not resolved'], digits)}.")
    if by_verdict.get("no interval"):
        said.append(
            "Seen with a single seed, so without an interval and not resolved: "
            f"{_listed(by_verdict['no interval'], digits)}."
        )
    said += _limit(results, digits)
    lost = [f"{_tag(arm)} {ran(arm)}" for arm in arms.values() if arm["diverged"]]
    if lost:
        said.append(f"Diverged runs are left out of the means: {'; '.join(lost)}.")
    return said


def _level(arm: Arm, digits: int) -> str:
    error = arm["test_error"]
    if error["mean"] is None:
        return f"No run of {_tag(arm)}, the baseline, finished: nothing can be compared."
    seeds = plural(error["seeds"], "seed")
    extent = interval(error["interval"], digits)
    return (
        f"{_tag(arm)}, the baseline, gets {percent(error['mean'], digits)} % of the test "
        f"images wrong ({f'95 % interval {extent}, ' if extent else ''}{seeds})."
    )


def _limit(results: Mapping[str, Any], digits: int) -> list[str]:
    ends = results["comparison"]["smallest_resolvable"]
    if ends is None:
        return []
    low, high = (percent(end, digits) for end in ends)
    extent = low if low == high else f"{low} to {high}"
    by_arm = "" if low == high else " (it depends on the arm)"
    return [f"Differences under {extent} points could not have been resolved{by_arm}."]


def _listed(arms: Sequence[Arm], digits: int) -> str:
    parts = []
    for arm in arms:
        difference = arm["difference"]
        extent = interval(difference["interval"], digits)
        size = f"{percent(difference['mean'], digits, sign=True)} points"
        parts.append(f"{_tag(arm)} {size} {extent}".rstrip())
    return "; ".join(parts)


def _tag(arm: Arm) -> str:
    return f"`{arm['label'].replace('`', '')}`"


def ranking(results: Mapping[str, Any]) -> list[str]:
    """Return, for each published column, whether our order of the arms agrees with it."""
    said = []
    columns = results["study"]["published"]
    for column, found in zip(columns, results["comparison"]["published"], strict=True):
        theirs = _order(results, found["arms"], lambda name, c=column: c["values"][name])
        ours = _order(
            results, found["arms"], lambda name: results["arms"][name]["test_error"]["mean"]
        )
        if not found["pairs"]:
            said.append(f"{column['title']}: too few arms in common to compare an order.")
            continue
        text = (
            f"{column['title']}, from best to worst: {theirs}; here: {ours}. "
            f"{found['same']} of {plural(found['pairs'], 'pair')} of arms stand in the "
            "same order"
        )
        if found["spearman"] is not None:
            rank = f"{found['spearman']:.2f}".replace("-", MINUS)
            text += f" (Spearman's rank correlation {rank}, {len(found['arms'])} arms)"
        said.append(f"{text}. {_resolved_pairs(found)}")
    return said


def _resolved_pairs(found: Mapping[str, Any]) -> str:
    sure, same = found["resolved"], found["resolved_same"]
    if not sure:
        return "None of these pairs is resolved here, so this is no evidence either way."
    against = sure - same
    text = (
        f"Our seeds resolve {sure} of them: {same} as published, {against} the other way."
    )
    open_pairs = found["pairs"] - sure
    return f"{text} Not resolved: {open_pairs}." if open_pairs else text


def _order(results: Mapping[str, Any], names: Sequence[str], key: Any) -> str:
    ordered = sorted(names, key=key)
    parts = [_tag(results["arms"][ordered[0]])] if ordered else []
    for before, name in pairwise(ordered):
        parts.append("= " if key(before) == key(name) else "< ")
        parts[-1] += _tag(results["arms"][name])
    return " ".join(parts)


def sources(results: Mapping[str, Any]) -> list[str]:
    """Return the sources of published numbers, each once; [1] is the first."""
    return list(dict.fromkeys(c["source"] for c in results["study"]["published"]))


def how_to_read(results: Mapping[str, Any]) -> list[str]:
    """Return what each kind of number means, in words."""
    comparison, study = results["comparison"], results["study"]
    base = results["arms"].get(comparison["baseline"])
    base_tag = _tag(base) if base else f"`{comparison['baseline']}`"
    examples = next(iter(results["arms"].values()))["test_error"]["examples"]
    unit = percent(1 / examples, 2)
    many = comparison["comparisons"]
    said = [
        "Test error: mean over the finished seeds; the test images are looked at once, "
        "after training. [low, high] is the 95 % interval over seeds (Student's t): what "
        "other initial weights, data order and augmentation would change. It is widened so "
        f"that it is never narrower than one of the {examples:,} test images ({unit} "
        "points) on either side, because equal counts do not prove equal networks.",
        "Test-set interval: 95 % Wilson interval of the mean error for "
        f"{examples:,} images: what other test images would change. Every seed sees the "
        "same images, so more seeds do not narrow it.",
    ]
    if all(arm["test_error"]["seeds"] < 2 for arm in results["arms"].values()):
        said.append("One seed says nothing about the spread between seeds: no interval.")
    if any(arm["difference"] for arm in results["arms"].values()):
        said.append(
            f"Difference: test error minus that of {base_tag} with the same seed (same "
            "data order, augmentation, split), in percentage points, mean over the common "
            "seeds, with the 95 % interval of the pairs."
        )
    if many > 1:
        level = f"{100 * comparison['simultaneous_confidence']:.4g}"
        said.append(
            f"All {many} together: the same difference at {level} % (Bonferroni), so that "
            f"all {many} intervals hold at once in 95 % of studies. Holm p: p-value of the "
            "paired t test, adjusted by Holm's step-down method. It asks only whether "
            "there is a difference, and can be a little less strict than the interval."
        )
    if many:
        among = f" (\u201camong {many}\u201d: only the one for all together does)"
        said.append(
            f"Verdict: \u201cnot resolved\u201d where the interval holds 0"
            f"{among if many > 1 else ''}. That is no proof of equality. The smallest "
            "difference that could have been resolved is the half-width of the strictest "
            "interval: with the spread that these seeds showed, a smaller mean difference "
            "would have left 0 inside."
        )
    if study["printed_network"] and changes_size(results):
        said.append(
            "Parameters removed: in the network trained here, and by the same edit in the "
            f"printed one ({study['printed_network']})."
        )
    if any(arm["diverged"] for arm in results["arms"].values()):
        said.append(
            "A run whose loss stopped being finite has diverged: it is counted, shown with "
            "its step, and left out of every mean. Read such an arm with that in mind."
        )
    return said + list(study["notes"])


def changes_size(results: Mapping[str, Any]) -> bool:
    """Return whether any arm has another number of parameters than the baseline."""
    entries = [arm["parameters_removed"] for arm in results["arms"].values()]
    return any(e and e["count"] for both in entries for e in both.values())


def duration(seconds: float) -> str:
    """Return ``58 s``, ``2 min 3 s`` or ``1 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
