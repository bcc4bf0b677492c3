"""What the figures of a report share: colours, places for labels, PNG files.

Okabe and Ito's colours, told apart by colour-blind readers too; the baseline is black.
"""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cnn_jax.evaluation.drawing import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito, "Color Universal Design", 2008; without the yellow, too pale on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)))
WIDTH = 5.0  # inches: the letters stay legible on a telephone
DPI = 260  # 1300 pixels


def colours(results: Mapping[str, Any]) -> dict[str, tuple[str, Any]]:
    """Return arm -> colour and dash pattern; the same in both figures."""
    baseline = results["comparison"]["baseline"]
    others = [name for name in results["arms"] if name != baseline]
    found: dict[str, tuple[str, Any]] = {baseline: (INK, "-")}
    for i, name in enumerate(others):
        turn = (i // len(COLOURS)) % len(DASHES)
        found[name] = (COLOURS[i % len(COLOURS)], DASHES[turn])
    return found


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Return ``places`` moved apart to at least ``gap``, order and centre kept."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    groups: list[tuple[float, list[int]]] = []  # centre, members from low to high
    for i in order:
        groups.append((places[i], [i]))
        while len(groups) > 1:
            (low, first), (high, second) = groups[-2:]
            if high - low >= gap * (len(first) + len(second)) / 2 - 1e-12:
                break
            both = first + second
            centre = (low * len(first) + high * len(second)) / len(both)
            groups[-2:] = [(centre, both)]
    moved = list(places)
    for centre, members in groups:
        for rank, i in enumerate(members):
            moved[i] = centre + gap * (rank - (len(members) - 1) / 2)
    return moved


def message(figure: "Figure", axes: "Axes", text: str) -> bytes:
    """Return a figure that only says why there is none."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)
    return png(figure)


def png(figure: "Figure") -> bytes:
    """Return the figure as a small PNG: a palette of 128 colours holds all of ours."""
    from PIL import Image

    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI)
    with Image.open(drawn) as image:
        flat = image.convert("RGB").quantize(128, dither=Image.Dither.NONE)
        # No software version in it: the same numbers give the same file.
        flat.save(small, format="png", optimize=True, dpi=(DPI, DPI))
    return small.getvalue()
