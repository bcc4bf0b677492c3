"""The three figures of an evaluation: confusion, reliability, worst mistakes.

Each returns PNG bytes. What has nothing to show says why.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cnn_jax.evaluation.calibration import Calibration
from cnn_jax.evaluation.drawing import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    RULE,
    SKY,
    STYLE,
    png,
    shortened,
)
from cnn_jax.evaluation.evaluate import Evaluation, Mistake
from cnn_jax.evaluation.measures import confusion

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NUMBERED = 30
"""Up to so many classes each cell of the confusion matrix says its number."""
NAMED = 60
"""Up to so many classes the rows and columns have names."""
CELLS = 150
"""Cells a side at most; more classes share a cell."""
SHEET_COLUMNS = 5


def confusion_figure(evaluation: Evaluation) -> bytes:
    """Draw the confusion matrix, each row as shares of its class.

    Right guesses (the diagonal) are blue, mistakes orange on a scale of their own, so
    that a rare mistake is seen beside a class that is nearly always right. Of very many
    classes a cell stands for a block, and shows the worst mistake in it.
    """
    import matplotlib
    from matplotlib.figure import Figure

    names = evaluation.predictions.classes
    table = confusion(evaluation.predictions)
    unguessed, counts = int(table[:, -1].sum()), table[:, :-1]
    shares = counts / np.maximum(table.sum(axis=1), 1)[:, None]
    right, mistakes = shares.diagonal(), np.where(np.eye(len(names)) > 0, 0.0, shares)
    worst = float(mistakes.max())
    block = math.ceil(len(names) / CELLS)
    with matplotlib.rc_context(STYLE):
        side = min(max(4.4, 1.6 + 0.42 * len(names)), 9.0)
        figure = Figure(figsize=(side + 0.6, side + 0.7), layout="constrained")
        axes = figure.subplots()
        end = len(names) - 0.5
        axes.imshow(
            _colours(_blocks(right, block), _blocks(mistakes, block), worst),
            interpolation="nearest",
            extent=(-0.5, end, end, -0.5),
        )
        if len(names) <= NUMBERED:
            _write_counts(axes, counts, shares, cell=72 * 0.8 * side / len(names))
        _class_ticks(axes, names)
        axes.set_xlabel("guess")
        axes.set_ylabel("true class")
        for spine in axes.spines.values():
            spine.set_visible(True)
            spine.set_color(RULE)
        axes.tick_params(which="both", length=0)
        key = f"blue: right; orange: mistakes, the darkest is {worst:.1%} of its class"
        if block > 1:
            key += f"\na cell: {block} x {block} classes, the worst mistake in it"
        if unguessed:
            key += f"\n{unguessed:,} without a guess: a score is not finite"
        title = f"{_headline(evaluation)}\n{key}"
        axes.set_title(title, loc="left", fontsize=9.5, color=GREY)
        return png(figure)


def _blocks(shares: np.ndarray, block: int) -> np.ndarray:
    """Return the highest share in each block of classes along every axis."""
    if block == 1:
        return shares
    for axis in range(shares.ndim):
        shares = np.maximum.reduceat(shares, range(0, shares.shape[axis], block), axis)
    return shares


def _colours(right: np.ndarray, mistakes: np.ndarray, worst: float) -> np.ndarray:
    """Return RGB: white to blue on the diagonal, white to orange elsewhere."""
    from matplotlib.colors import to_rgb

    diagonal = np.eye(len(right), dtype=bool)
    # The square root shows single mistakes; blue stays pale enough for black figures.
    orange = np.sqrt(mistakes / worst) if worst else mistakes
    strength = np.where(diagonal, 0.75 * right, orange)[..., None]
    colour = np.where(diagonal[..., None], to_rgb(BLUE), to_rgb(ORANGE))
    return np.clip(1 - strength * (1 - colour), 0, 1)


def _write_counts(
    axes: "Axes", counts: np.ndarray, shares: np.ndarray, cell: float
) -> None:
    """Write the number into each cell, which is ``cell`` points wide."""
    edges = np.arange(0.5, len(counts) - 1)
    worst = np.where(np.eye(len(counts)) > 0, 0.0, shares).max()
    axes.set_xticks(edges, minor=True)
    axes.set_yticks(edges, minor=True)
    axes.grid(which="minor", color=RULE, linewidth=0.5)
    size = min(9.5, cell / (0.65 * len(str(counts.max())) + 0.6))
    for row, column in zip(*np.nonzero(counts), strict=True):
        share = shares[row, column]
        dark = share > 0.6 if row == column else share > 0.35 * worst
        axes.text(
            column,
            row,
            str(counts[row, column]),
            ha="center",
            va="center",
            fontsize=size,
            color="white" if dark else INK,
        )


def _class_ticks(axes: "Axes", names: tuple[str, ...]) -> None:
    if len(names) > NAMED:
        return  # matplotlib's own ticks count the classes
    long = max(map(len, names)) > 3
    size = min(9.5, 9.5 * 32 / len(names))
    labels = [shortened(name, 18) for name in names]
    places = range(len(names))
    turned: dict[str, Any] = {"rotation": 90} if long else {}
    axes.set_xticks(places, labels, fontsize=size, **turned)
    axes.set_yticks(places, labels, fontsize=size)


def _headline(evaluation: Evaluation) -> str:
    """Return two lines: the network, and what came out on what."""
    setting, top1 = evaluation.predictions.setting, evaluation.top1
    label = setting.model
    return (
        f"{label if len(label) <= 50 else f'…{label[-49:]}'}\n"
        f"{shortened(setting.dataset_label, 36)}, {setting.split}, {setting.protocol}: "
        f"{top1.error:.2%} wrong"
    )


def reliability_figure(evaluation: Evaluation) -> bytes:
    """Draw accuracy against confidence, and below how many guesses each bin holds.

    The gap between the two is what the ECE averages, weighted by the guesses.
    """
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    with matplotlib.rc_context(STYLE):
        found = evaluation.calibration
        if not isinstance(found, Calibration):
            return _message(Figure(figsize=(4.8, 1.6)), f"no calibration: {found.reason}")
        figure = Figure(figsize=(4.8, 5.8), layout="constrained")
        figure.suptitle(
            f"{_headline(evaluation)}\nexpected calibration error {found.ece:.2%}: mean "
            f"confidence {found.confidence:.2%},\naccuracy {found.accuracy:.2%}",
            x=0.02,
            ha="left",
            fontsize=9,
            color=GREY,
        )
        above, below = figure.subplots(2, 1, height_ratios=(3.2, 1), sharex=True)
        _draw_bins(above, found)
        _draw_sizes(below, found)
        for axes in (above, below):
            axes.tick_params(which="both", length=0)
            axes.grid(axis="y", color=RULE, linewidth=0.7)
        key = {"right": BLUE, "missing: too sure": ORANGE, "more: not sure enough": SKY}
        figure.legend(
            [Patch(color=colour) for colour in key.values()],
            list(key),
            loc="outside lower center",
            ncols=3,
            frameon=False,
            fontsize=9,
            handlelength=0.9,
            columnspacing=1.2,
        )
        return png(figure)


def _draw_bins(axes: "Axes", found: Calibration) -> None:
    from matplotlib.ticker import PercentFormatter

    for one in found.bins:
        if one.accuracy is None or one.confidence is None:
            continue
        low, high = sorted((one.accuracy, one.confidence))
        gap = ORANGE if one.accuracy < one.confidence else SKY
        place: dict[str, Any] = {"width": one.high - one.low, "align": "edge"}
        axes.bar(one.low, low, color=BLUE, edgecolor="white", linewidth=0.6, **place)
        axes.bar(one.low, high - low, bottom=low, color=gap, edgecolor="white", **place)
    axes.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_ylabel("right guesses")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))


def _draw_sizes(axes: "Axes", found: Calibration) -> None:
    from matplotlib.ticker import FuncFormatter

    axes.bar(
        [one.low for one in found.bins],
        [one.examples for one in found.bins],
        width=found.bins[0].high - found.bins[0].low,
        align="edge",
        color=GREY,
        edgecolor="white",
        linewidth=0.6,
    )
    axes.set_yscale("symlog", linthresh=1)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
    axes.set_ylabel("images")
    axes.set_xlabel("confidence: probability of the guess")


def mistakes_figure(evaluation: Evaluation) -> bytes:
    """Draw the most confident mistakes as a contact sheet, the worst first."""
    import matplotlib
    from matplotlib.figure import Figure

    mistakes = evaluation.mistakes
    with matplotlib.rc_context(STYLE):
        if not mistakes:
            return _message(Figure(figsize=(4.8, 1.6)), "no wrong guess to show")
        # All lengths in inches; a row is an image and its two lines.
        cell, gap, row, head = 1.6, 0.15, 2.1, 0.85
        width = SHEET_COLUMNS * (cell + gap) + gap
        height = math.ceil(len(mistakes) / SHEET_COLUMNS) * row + head
        figure = Figure(figsize=(width, height))
        sheet = figure.add_axes((0, 0, 1, 1))
        sheet.set_axis_off()
        title = (
            f"{_headline(evaluation)}\nthe most confident mistakes, with the probabilities "
            "of the guess and of the true class"
        )
        sheet.text(gap, 0.1, title, va="top", fontsize=9.5, color=GREY)
        for i, mistake in enumerate(mistakes):
            left = gap + i % SHEET_COLUMNS * (cell + gap)
            bottom = head + i // SHEET_COLUMNS * row + cell
            _draw_mistake(sheet, mistake, left + cell / 2, bottom, cell)
        sheet.set_aspect("auto")
        sheet.set_xlim(0, width)
        sheet.set_ylim(height, 0)
        return png(figure)


def _draw_mistake(
    sheet: "Axes", mistake: Mistake, middle: float, bottom: float, cell: float
) -> None:
    """Draw an image, at most ``cell`` high and wide, on ``bottom``; its captions below."""
    image = mistake.image
    height, width = (cell * side / max(image.shape[:2]) for side in image.shape[:2])
    sheet.imshow(
        np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image,
        extent=(middle - width / 2, middle + width / 2, bottom, bottom - height),
        interpolation="nearest" if max(image.shape[:2]) < 100 else "antialiased",
    )
    guess = f"guess {shortened(mistake.guess, 11)}: {mistake.probability:.1%}"
    true = f"true {shortened(mistake.true, 11)}: {mistake.probability_of_true:.1%}"
    for text, colour, below in ((guess, ORANGE, 0.06), (true, BLUE, 0.21)):
        place: dict[str, Any] = {"ha": "center", "va": "top", "fontsize": 8.5}
        sheet.text(middle, bottom + below, text, color=colour, **place)


def _message(figure: "Figure", text: str) -> bytes:
    axes = figure.subplots()
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", wrap=True)
    return png(figure)
