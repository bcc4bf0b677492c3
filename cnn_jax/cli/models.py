"""``cnn-jax models``."""

import dataclasses
from dataclasses import dataclass

from cnn_jax.types import Published


@dataclass(frozen=True)
class Models:
    """List the networks: paper, year, input, parameters, multiply-adds, published error.

    Example: cnn-jax models --json
    """

    json: bool = False
    """Write JSON for programs: every published error, with the place where it stands."""

    def __call__(self) -> int:
        """Write the list; no device is started."""
        from cnn_jax.cli.output import print_json, print_line, print_table
        from cnn_jax.models import declared_models

        specs = declared_models()
        if self.json:
            print_json(
                [
                    {
                        "name": name,
                        "paper": spec.paper,
                        "year": spec.year,
                        "source": spec.source,
                        "input_shape": list(spec.input_shape),
                        "num_classes": spec.num_classes,
                        "task": spec.task,
                        "parameters": spec.parameters,
                        "macs": spec.macs,
                        "published": [dataclasses.asdict(p) for p in spec.published],
                        "printed": [dataclasses.asdict(p) for p in spec.printed],
                    }
                    for name, spec in specs.items()
                ]
            )
            return 0
        print_table(
            ("name", "paper", "input", "parameters", "multiply-adds", "published"),
            [
                (
                    name,
                    f"{spec.paper} {spec.year}",
                    "x".join(map(str, spec.input_shape)),
                    spec.parameters,
                    spec.macs,
                    _error(spec.published[0]) if spec.published else None,
                )
                for name, spec in specs.items()
            ],
        )
        print_line(
            "published: top-1 / top-5 error, and how it was measured: the first that the "
            "file declares (all: --json)."
        )
        return 0


def _error(published: Published) -> str:
    numbers = [
        "-" if error is None else str(error) for error in (published.top1, published.top5)
    ]
    if published.top5 is None:
        numbers.pop()
    return f"{' / '.join(numbers)} %: {published.protocol}"
