"""``cnn-jax table``."""

import dataclasses
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

from cnn_jax.cli.options import Name
from cnn_jax.errors import UserError
from cnn_jax.types import ImageShape, ModelSpec

if TYPE_CHECKING:
    from cnn_jax.analysis.layer_table import LayerRow

Size = Annotated[str | None, arg(metavar="HxWxC", help_behavior_hint="")]

LEGEND = (
    "field, stride: receptive field and effective stride in pixels; rows x columns where "
    'they differ; of an endless image, so a field can be larger than the input. "all": '
    "every pixel of the input. memory: the row's output for one image in float32."
)
HEADS = "(training only): an auxiliary head; the totals leave it out."


@dataclass(frozen=True)
class Table:
    """Show a network layer by layer: shapes, parameters, multiply-adds, receptive fields.

    Example: cnn-jax table vgg_d --input 256x256x3
    """

    name: Name
    """As ``cnn-jax models`` lists it."""
    input: Size = None
    """Height, width and channels; the paper's by default."""
    json: bool = False
    """Write JSON for programs."""

    def __call__(self) -> int:
        """Write the table; no accelerator is started."""
        import jax

        from cnn_jax.analysis.layer_table import layer_table, totals
        from cnn_jax.cli.output import (
            print_json,
            print_line,
            print_renderable,
            print_table,
        )
        from cnn_jax.models import model_spec

        # Some kernels ask for the platform while they are traced; an accelerator need
        # not be woken up, or taken from others, for that.
        jax.config.update("jax_platforms", "cpu")
        spec = model_spec(self.name)
        shape = spec.input_shape if self.input is None else parse_shape(self.input)
        rows = layer_table(spec.build(), shape)
        total = totals(rows)
        if self.json:
            print_json(
                {
                    "name": self.name,
                    "paper": spec.paper,
                    "year": spec.year,
                    "source": spec.source,
                    "input_shape": list(shape),
                    "rows": [dataclasses.asdict(row) for row in rows],
                    "totals": total._asdict(),
                    "printed": [
                        dataclasses.asdict(printed)
                        | {
                            "input_shape": list(spec.input_shape),
                            "ours": _ours(spec, printed.quantity),
                        }
                        for printed in spec.printed
                    ],
                }
            )
            return 0
        print_line(f"{self.name}: {spec.paper} {spec.year}, input {_size(shape)}")
        print_table(
            (
                "layer",
                "kind",
                "output",
                "parameters",
                "multiply-adds",
                "field",
                "stride",
                "memory (bytes)",
            ),
            [
                *(_cells(row, shape) for row in rows),
                ("total", "", "", *total[:2], "", "", total.activation_memory),
            ],
        )
        print_renderable(LEGEND)
        if any(row.auxiliary for row in rows):
            print_renderable(HEADS)
        if spec.printed:
            print_line("")
            print_line(f"As printed, for an input of {_size(spec.input_shape)}:")
            print_table(
                ("", "printed", "here", "source"),
                [
                    (p.quantity, p.figure, _ours(spec, p.quantity), p.source)
                    for p in spec.printed
                ],
            )
        return 0


def parse_shape(text: str) -> ImageShape:
    """Return height, width and channels of ``"224x224x3"``.

    Raises:
        UserError: not three whole numbers from 1 on with ``x`` between.
    """
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)x([1-9]\d*)", text)
    if match is None:
        raise UserError(
            f"--input {text}: not HEIGHTxWIDTHxCHANNELS in whole numbers from 1 on, "
            f"e.g. 224x224x3"
        )
    height, width, channels = (int(number) for number in match.groups())
    return height, width, channels


def _ours(spec: ModelSpec, quantity: str) -> int | None:
    return spec.parameters if quantity == "parameters" else spec.macs


def _cells(row: "LayerRow", shape: ImageShape) -> tuple[Any, ...]:
    field: str | int = _across(row.receptive_field)
    if row.effective_stride is None and row.receptive_field == shape[:2]:
        field = "all"
    return (
        f"{row.name} (training only)" if row.auxiliary else row.name,
        row.kind,
        _size(row.output_shape),
        row.parameters,
        row.macs,
        field,
        "-" if row.effective_stride is None else _across(row.effective_stride),
        row.activation_memory,
    )


def _across(pair: tuple[int, int]) -> int | str:
    return pair[0] if pair[0] == pair[1] else f"{pair[0]}x{pair[1]}"


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
