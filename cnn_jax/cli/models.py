"""``cnn-jax models``."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Models:
    """List the networks: paper, year, input, parameters, multiply-adds.

    Example: cnn-jax models --json
    """

    json: bool = False
    """Write JSON for programs."""

    def __call__(self) -> int:
        """Write the list; no device is started."""
        from cnn_jax.cli.output import print_json, print_table
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
                    }
                    for name, spec in specs.items()
                ]
            )
            return 0
        print_table(
            ("name", "paper", "year", "input", "classes", "parameters", "multiply-adds"),
            [
                (
                    name,
                    spec.paper,
                    str(spec.year),
                    "x".join(map(str, spec.input_shape)),
                    spec.num_classes,
                    spec.parameters,
                    spec.macs,
                )
                for name, spec in specs.items()
            ],
        )
        return 0
