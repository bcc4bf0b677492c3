"""``cnn-jax compare``."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

if TYPE_CHECKING:
    from cnn_jax.evaluation.comparison import Comparison

Place = Annotated[Positional[str], arg(metavar="A")]
OtherPlace = Annotated[Positional[str], arg(metavar="B")]


@dataclass(frozen=True)
class Compare:
    """Compare two networks on the same images: paired difference, interval, exact test.

    Example: cnn-jax compare runs/lenet5_mnist/mnist-seed0 runs/lenet5_mnist/mnist-seed1
    """

    first: Place
    """A run that was evaluated, the directory of an evaluation, or a predictions file."""
    second: OtherPlace
    """Likewise."""
    json: bool = False
    """Write JSON for programs."""

    def __call__(self) -> int:
        """Read the predictions and show how they differ."""
        from cnn_jax.cli.output import print_json
        from cnn_jax.evaluation.comparison import compare
        from cnn_jax.evaluation.report import comparison_json, matching_predictions

        comparison = compare(*matching_predictions(self.first, self.second))
        if self.json:
            print_json(comparison_json(comparison))
        else:
            _show(comparison)
        return 0


def _show(comparison: "Comparison") -> None:
    from cnn_jax.cli.output import print_line, print_renderable, print_table
    from cnn_jax.evaluation.wording import (
        COMPARISON_COLUMNS,
        COMPARISON_LEGEND,
        comparison_reasons,
        comparison_rows,
    )

    first, second = comparison.first.setting, comparison.second.setting
    print_line(
        f"{first.dataset_label}, {first.split}: {len(comparison.first.labels):,} images"
    )
    print_line(f"A: {first.model} ({first.protocol})")
    print_line(f"B: {second.model} ({second.protocol})")
    print_table(COMPARISON_COLUMNS, comparison_rows(comparison))
    print_renderable(COMPARISON_LEGEND)
    top1 = comparison.top1
    print_line(
        f"top-1: only A wrong {top1.only_first_wrong:,}, only B wrong "
        f"{top1.only_second_wrong:,}, both wrong {top1.both_wrong:,}"
    )
    for line in comparison_reasons(comparison):
        print_line(line)
