"""``cnn-jax experiments``."""

from dataclasses import dataclass
from typing import Any

from cnn_jax.cli.options import Directory


@dataclass(frozen=True)
class Experiments:
    """List what experiments/ declares: experiments to train, studies to run.

    Example: cnn-jax experiments
    """

    experiments: Directory = None
    """A directory of your own; it goes before ./experiments and the built-in ones."""
    json: bool = False
    """Write JSON for programs."""

    def __call__(self) -> int:
        """Write the list."""
        from cnn_jax.cli.output import print_json, print_table
        from cnn_jax.study.declared import load_all

        declared = load_all(self.experiments)
        rows: list[dict[str, Any]] = [
            {
                "name": name,
                "kind": "experiment",
                "command": f"cnn-jax train {name}",
                "settings": [experiment.dataset],
                "arms": [],
                "question": experiment.question,
            }
            for name, experiment in sorted(declared.experiments.items())
        ] + [
            {
                "name": name,
                "kind": "study",
                "command": f"cnn-jax study {name}",
                "settings": list(study.settings),
                "arms": list(study.arms),
                "question": study.question,
            }
            for name, study in sorted(declared.studies.items())
        ]
        if self.json:
            print_json(rows)
        else:
            print_table(
                ("command", "settings", "arms", "question"),
                [
                    (
                        r["command"],
                        ", ".join(r["settings"]),
                        ", ".join(r["arms"]),
                        r["question"],
                    )
                    for r in rows
                ],
            )
        return 0
