"""The two figures of a report: learning curves, and differences to the baseline.

Labels stand beside what they name. Both return PNG bytes, finer than a screen shows.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cnn_jax.evaluation.drawing import GREY, INK, RULE, STYLE
from cnn_jax.study.drawing import WIDTH, colours, message, png, spread
from cnn_jax.study.results import ArmRuns
from cnn_jax.study.wording import decimals, interval, percent, verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Results = Mapping[str, Any]
Curve = dict[float, float]
"""Epoch -> validation error in percent."""


def learning_curves(results: Results, arms: Sequence[ArmRuns]) -> bytes:
    """Draw validation error by epoch: a thin line a seed, a thick one for their mean.

    The mean is over the seeds that finished, at the epochs that all of them have; a
    diverged run ends in a cross.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 4.1), layout="constrained")
        axes = figure.subplots()
        style = colours(results)
        drawn = {arm.name: [_curve(rows) for rows in arm.curves] for arm in arms}
        points = [v for curves in drawn.values() for c in curves for v in c.values()]
        if not points:
            return message(figure, axes, "no run recorded a validation error")
        floor = _log_floor(points, results["study"]["sizes"]["validation"])
        ends = []
        for arm in arms:
            colour, dash = style[arm.name]
            mean = _mean_curve(arm, drawn[arm.name])
            for run, curve in zip(arm.runs, drawn[arm.name], strict=True):
                x, y = _line(curve, floor)
                axes.plot(x, y, color=colour, linewidth=0.7, alpha=0.3, zorder=2)
                if run["status"] == "diverged" and x:
                    axes.plot(x[-1], y[-1], "x", color=colour, markersize=7, zorder=4)
            x, y = _line(mean, floor)
            # The baseline thin on top: two lines that coincide are both seen.
            base = arm.name == results["comparison"]["baseline"]
            width, order = (1.2, 3.5) if base else (2.2, 3)
            mark = "o" if len(x) == 1 else None
            pen = {"color": colour, "linestyle": dash, "linewidth": width}
            axes.plot(x, y, marker=mark, zorder=order, **pen)
            if x:
                ends.append((arm.label, colour, x[-1], y[-1]))
        _scale(axes, floor, points)
        axes.set_xlabel("epoch")
        axes.set_title("validation error", loc="left", fontsize=10, color=INK)
        _label_ends(axes, ends)
        return png(figure)


def _curve(rows: Sequence[Mapping[str, Any]]) -> Curve:
    return {
        float(row["epoch"]): 100 * float(row["validation_error"])
        for row in rows
        if row.get("validation_error") is not None
    }


def _mean_curve(arm: ArmRuns, curves: Sequence[Curve]) -> Curve:
    finished = [
        curve
        for run, curve in zip(arm.runs, curves, strict=True)
        if run["status"] == "finished" and curve
    ]
    if not finished:
        return {}
    epochs = set.intersection(*(set(curve) for curve in finished))
    return {e: sum(c[e] for c in finished) / len(finished) for e in sorted(epochs)}


def _line(curve: Curve, floor: float | None) -> tuple[list[float], list[float]]:
    values = list(curve.values())
    return list(curve), values if floor is None else [max(v, floor) for v in values]


def _log_floor(points: Sequence[float], examples: int) -> float | None:
    """Return what an error of 0 is drawn at on a log scale; None for a linear scale.

    The scale is logarithmic where the largest error is eight times the smallest or more;
    there 0 is drawn at half a validation image.
    """
    half_image = 50 / examples
    return half_image if max(points) >= 8 * max(min(points), half_image) else None


def _scale(axes: "Axes", floor: float | None, points: Sequence[float]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g} %"))
    if floor is None:
        axes.set_ylim(bottom=0)
    else:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(LogLocator(subs=range(2, 10)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g} %"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylim(0.85 * max(min(points), floor), min(1.15 * max(points), 115))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", color=RULE, linewidth=0.7)
    axes.tick_params(which="both", length=0)


def _label_ends(axes: "Axes", ends: list[tuple[str, str, float, float]]) -> None:
    """Write each arm's label beside the end of its line, moved apart where they touch."""
    if not ends:
        return
    left, right = axes.dataLim.intervalx
    axes.set_xlim(left - 0.02 * (right - left), right if right > left else right + 1)
    unit = [
        float(axes.transAxes.inverted().transform(axes.transData.transform((x, y)))[1])
        for _, _, x, y in ends
    ]
    places = spread(unit, gap=0.052)
    for (label, colour, _, _), at, place in zip(ends, unit, places, strict=True):
        axes.annotate(
            label,
            xy=(1.0, at),
            xytext=(1.03, place),
            xycoords="axes fraction",
            textcoords="axes fraction",
            color=colour,
            va="center",
            fontsize=10,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.7},
        )


def comparison(results: Results) -> bytes:
    """Draw the paired differences to the baseline: seeds, mean, both intervals, zero."""
    import matplotlib
    from matplotlib.figure import Figure

    shown = {
        name: arm
        for name, arm in results["arms"].items()
        if arm["difference"] and arm["difference"]["mean"] is not None
    }
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 1.1 + 0.75 * max(len(shown), 2)))
        figure.set_layout_engine("constrained")
        axes = figure.subplots()
        if not shown:
            return message(figure, axes, "no arm has a finished run to compare")
        style, many = colours(results), results["comparison"]["comparisons"]
        axes.axvline(0, color=INK, linewidth=1, zorder=1)
        for row, (name, arm) in enumerate(shown.items()):
            _draw_arm(axes, row, arm["difference"], style[name][0])
            _write_arm(axes, row, arm, style[name][0], decimals(results), many)
        axes.set_title(_key(many, shown), loc="left", fontsize=9, color=GREY, pad=8)
        axes.set_yticks([])
        axes.set_ylim(len(shown) - 0.35, -0.6)
        axes.spines["left"].set_visible(False)
        axes.tick_params(length=0)
        axes.grid(axis="x", color=RULE, linewidth=0.7)
        base = results["arms"][results["comparison"]["baseline"]]["label"]
        _difference_scale(axes, list(shown.values()), base)
        return png(figure)


def _key(many: int, shown: Mapping[str, Any]) -> str:
    """Return what the signs mean."""
    if all(len(arm["difference"]["per_seed"]) == 1 for arm in shown.values()):
        return "ring: the one seed"
    parts = ["ring: mean", "dots: seeds"]
    if any(arm["difference"]["interval"] for arm in shown.values()):
        parts.insert(1, "thick: 95 % interval")
        if many > 1:
            parts.insert(2, f"thin: all {many} together")
    return "  ·  ".join(parts)


def _draw_arm(axes: "Axes", row: int, entry: Mapping[str, Any], colour: str) -> None:
    seeds = [round(100 * value, 9) for value in entry["per_seed"].values()]
    # Equal differences are common (counts!): they stand below one another.
    rows = [row + 0.17 + 0.08 * seeds[:i].count(seed) for i, seed in enumerate(seeds)]
    if len(seeds) > 1:
        axes.plot(
            seeds, rows, "o", color=colour, markersize=4.5, alpha=0.6, mew=0, zorder=2
        )
    for key, width in (("simultaneous", 1.3), ("interval", 4.0)):
        if entry[key] is not None:
            ends = [100 * end for end in entry[key]]
            axes.plot(
                ends, [row, row], color=colour, linewidth=width, solid_capstyle="butt"
            )
    mean = 100 * entry["mean"]
    ring: dict[str, Any] = {"color": "white", "mec": colour, "mew": 2, "markersize": 8}
    axes.plot(mean, row, "o", zorder=4, **ring)


def _write_arm(
    axes: "Axes", row: int, arm: Mapping[str, Any], colour: str, digits: int, many: int
) -> None:
    """Write label, number and verdict above the signs of an arm."""
    entry = arm["difference"]
    number = percent(entry["mean"], digits, sign=True)
    said = f"{number} {interval(entry['interval'], digits)}".strip()
    line: dict[str, Any] = {
        "transform": axes.get_yaxis_transform(),
        "va": "center",
        "bbox": {"facecolor": "white", "edgecolor": "none", "pad": 1.0},
    }
    axes.text(0, row - 0.32, arm["label"], color=colour, fontweight="bold", **line)
    text = f"{said}, {verdict(arm, many)}"
    axes.text(1, row - 0.32, text, ha="right", fontsize=9.5, **line)


def _difference_scale(
    axes: "Axes", shown: Sequence[Mapping[str, Any]], baseline: str
) -> None:
    """Choose linear, or symmetric log where one effect would hide all the others."""
    from matplotlib.ticker import FuncFormatter, SymmetricalLogLocator

    entries = [arm["difference"] for arm in shown]
    sizes = sorted(abs(100 * entry["mean"]) for entry in entries)
    label = f"test error minus that of {baseline}, points (right: worse)"
    near = max(sizes[(len(sizes) - 1) // 2], 100 / shown[0]["test_error"]["examples"])
    if sizes[-1] > 20 * near:
        linear = 10.0 ** math.ceil(math.log10(near))
        axes.set_xscale("symlog", linthresh=linear, linscale=1.0)
        axes.xaxis.set_major_locator(
            SymmetricalLogLocator(base=10, linthresh=linear, subs=(1,))
        )
        label += f"\nlogarithmic beyond ±{linear:g}"
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda v, _: f"{v:+g}".replace("-", "\u2212") if v else "0")
    )
    axes.set_xlabel(label)
