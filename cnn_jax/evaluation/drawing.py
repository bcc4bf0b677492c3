"""What the figures of an evaluation share: colours, type, PNG files."""

import io
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito, "Color Universal Design", 2008: told apart by colour-blind readers too.
BLUE, ORANGE, SKY = "#0072B2", "#D55E00", "#56B4E9"
INK, GREY, RULE = "#000000", "#595959", "#DDDDDD"
STYLE: Any = {  # matplotlib's own type lists all its keys
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "text.parse_math": False,  # a label may hold a dollar sign
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
}
DPI = 200


def png(figure: "Figure") -> bytes:
    """Return the figure as PNG; the same numbers give the same file."""
    drawn = io.BytesIO()
    with warnings.catch_warnings():  # a name in a script that the font has not: boxes
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        figure.savefig(drawn, format="png", dpi=DPI, metadata={"Software": None})
    return drawn.getvalue()


def shortened(text: str, length: int) -> str:
    """Return ``text`` cut to ``length`` characters, with a mark where it was cut."""
    return text if len(text) <= length else f"{text[: length - 1]}…"
