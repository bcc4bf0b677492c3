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
        from cnn_jax.cli.output import print_json, print_line, print_table
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
            return 0
        kinds = {
            kind: [r for r in rows if r["kind"] == kind] for kind in ("study", "experiment")
        }
        print_line("cnn-jax study NAME [--dataset SETTING]")
        print_table(
            ("name", "settings", "arms", "question"),
            [
                (r["name"], ", ".join(r["settings"]), ", ".join(r["arms"]), r["question"])
                for r in kinds["study"]
            ],
        )
        print_line("cnn-jax train NAME")
        print_table(
            ("name", "dataset", "question"),
            [(r["name"], r["settings"][0], r["question"]) for r in kinds["experiment"]],
        )
        return 0
