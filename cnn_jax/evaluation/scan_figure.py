"""The figure of a scan: the image, the winning class at each place, and where a class is.

A place is drawn as a square around the centre of its window, as wide as a step.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnn_jax.evaluation.drawing import GREY, INK, ORANGE, STYLE, png, shortened
from cnn_jax.evaluation.scan import ClassMap

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, told apart by colour-blind readers too.
COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442",
)  # fmt: skip
OTHERS = "#999999"
PANEL = 3.9  # inches
VEIL = 0.85
"""How much of the image a certain class hides."""
PALE = 165
"""What black becomes under the map, of 255."""


def scan_figure(
    image: np.ndarray, found: ClassMap, names: Sequence[str], asked: Sequence[int]
) -> bytes:
    """Draw a scan as PNG.

    Args:
        image: uint8 [h, w, C], C 1 or 3.
        found: its class map.
        names: of the classes.
        asked: classes whose probability gets a panel each.
    """
    import matplotlib
    from matplotlib.figure import Figure

    probabilities = np.exp(found.log_probabilities)
    pale = _pale(image)
    panels = 2 + len(asked)
    columns = 2 if panels == 4 else min(panels, 3)
    rows = -(-panels // columns)
    ratio = min(max(image.shape[0] / image.shape[1], 0.4), 2.0)
    with matplotlib.rc_context(STYLE):
        size = (PANEL * columns, rows * (PANEL * ratio + 1.15))
        figure = Figure(figsize=size, layout="constrained")
        grid = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axes in grid[panels:]:
            axes.set_axis_off()
        _show_image(grid[0], image, f"{image.shape[1]} × {image.shape[0]} pixels")
        _draw_window(grid[0], found)
        _keep_view(grid[0], image)
        _show_image(grid[1], pale, "most probable class at each place")
        _draw_winners(grid[1], found, probabilities, names)
        _keep_view(grid[1], image)
        for axes, index in zip(grid[2:], asked, strict=False):
            name = shortened(names[index], 30)
            _show_image(axes, pale, f"probability of {name}")
            _draw_probability(axes, found, probabilities[..., index])
            _keep_view(axes, image)
        return png(figure)


def _show_image(axes: "Axes", image: np.ndarray, title: str) -> None:
    colour: Any = {"cmap": "gray", "vmin": 0, "vmax": 255} if image.shape[2] == 1 else {}
    pixels = image[..., 0] if image.shape[2] == 1 else image
    axes.imshow(pixels, interpolation="nearest", zorder=1, **colour)
    axes.set_title(title, loc="left", fontsize=9.5, color=INK)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _pale(image: np.ndarray) -> np.ndarray:
    """Return the image in light grey, so that colours on it are seen."""
    grey = image.mean(axis=-1, keepdims=True)
    return (PALE + (255 - PALE) * grey / 255.0).astype(np.uint8)


def _keep_view(axes: "Axes", image: np.ndarray) -> None:
    """Show the whole image and nothing else, whatever was drawn over it."""
    axes.set_xlim(-0.5, image.shape[1] - 0.5)
    axes.set_ylim(image.shape[0] - 0.5, -0.5)


def _extent(found: ClassMap) -> tuple[float, float, float, float]:
    """Return left, right, bottom and top of the places, in pixels of the image."""
    (height, width), half = found.window, found.step / 2
    first_row = found.tops[0] + (height - 1) / 2
    first_column = found.lefts[0] + (width - 1) / 2
    return (
        first_column - half,
        first_column + found.step * (len(found.lefts) - 1) + half,
        first_row + found.step * (len(found.tops) - 1) + half,
        first_row - half,
    )


def _draw_window(axes: "Axes", found: ClassMap) -> None:
    """Draw the first window, and say how far the next one is."""
    from matplotlib.patches import Rectangle

    height, width = found.window
    for colour, thick in (("white", 3.0), (INK, 1.2)):  # seen on any image
        frame: Any = {"fill": False, "edgecolor": colour, "linewidth": thick}
        axes.add_patch(Rectangle((-0.5, -0.5), width, height, zorder=3, **frame))
    pixels = "pixel" if found.step == 1 else "pixels"
    axes.set_xlabel(
        f"frame: one window, {width} × {height}; step {found.step} {pixels}; "
        f"{len(found.lefts)} × {len(found.tops)} places",
        fontsize=8,
        color=GREY,
        loc="left",
    )


def _draw_probability(axes: "Axes", found: ClassMap, probability: np.ndarray) -> None:
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    ends = [(*to_rgb(ORANGE), 0.0), (*to_rgb(ORANGE), VEIL)]
    drawn = axes.imshow(
        probability,
        extent=_extent(found),
        cmap=LinearSegmentedColormap.from_list("probability", ends),
        vmin=0.0,
        vmax=1.0,
        interpolation="nearest",
        zorder=2,
    )
    below = axes.inset_axes((0.0, -0.075, 0.5, 0.03))
    bar = axes.figure.colorbar(drawn, cax=below, orientation="horizontal")
    bar.set_ticks([0.0, 0.5, 1.0])
    bar.ax.tick_params(length=0, labelsize=8)


def _draw_winners(
    axes: "Axes", found: ClassMap, probabilities: np.ndarray, names: Sequence[str]
) -> None:
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Patch

    winners = probabilities.argmax(axis=-1)
    counts = np.bincount(winners.ravel(), minlength=len(names))
    order = [int(i) for i in np.argsort(-counts, kind="stable") if counts[i]]
    shown = order[: len(COLOURS)]
    colour_of = np.full((len(names), 3), to_rgb(OTHERS))
    for index, colour in zip(shown, COLOURS, strict=False):
        colour_of[index] = to_rgb(colour)
    opacity = VEIL * probabilities.max(axis=-1, keepdims=True)
    painted = np.concatenate([colour_of[winners], opacity], axis=-1)
    axes.imshow(painted, extent=_extent(found), interpolation="nearest", zorder=2)
    keys = [
        Patch(color=colour, label=f"{shortened(names[index], 16)} ({counts[index]:,})")
        for index, colour in zip(shown, COLOURS, strict=False)
    ]
    if len(order) > len(shown):
        rest = counts[order[len(shown) :]].sum()
        label = f"{len(order) - len(shown)} others ({rest:,})"
        keys.append(Patch(color=OTHERS, label=label))
    axes.legend(
        handles=keys,
        title="class (places won); paler: less certain",
        loc="upper left",
        bbox_to_anchor=(0.0, -0.01),
        ncols=2,
        frameon=False,
        fontsize=8,
        title_fontsize=8,
        alignment="left",
        handlelength=1.0,
    )
