"""The figure of an invariance measurement: test error against the amount of change."""

from collections.abc import Mapping

from cnn_jax.analysis.invariance import InvarianceCurve
from cnn_jax.evaluation.drawing import GREY, RULE, STYLE, png, shortened

# Okabe and Ito's colours, told apart by colour-blind readers too; then once more, dashed.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#000000")


def invariance_figure(found: Mapping[str, InvarianceCurve], amount: str) -> bytes:
    """Draw one line a network as PNG.

    Args:
        found: measurements by label.
        amount: what the horizontal axis counts, with its unit.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.5, 4.6), layout="constrained")
        axes = figure.subplots()
        for i, (label, one) in enumerate(found.items()):
            axes.plot(
                one.amounts,
                [100 * error for error in one.errors],
                color=COLOURS[i % len(COLOURS)],
                linestyle="-" if i < len(COLOURS) else "--",
                marker="o",
                markersize=4,
                label=shortened(label, 60),
            )
        axes.set_ylim(bottom=0)
        axes.set_xlabel(amount)
        axes.set_ylabel("test error (%)")
        axes.grid(axis="y", color=RULE)
        axes.tick_params(length=0, colors=GREY)
        axes.legend(frameon=False, loc="best", fontsize=9)
        return png(figure)
