"""``cnn-jax train``."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from cnn_jax.cli.options import Count, DataDir, Dataset, Directory, Epochs, Name, Progress


@dataclass(frozen=True)
class Train:
    """Train one declared experiment; given again, an interrupted run goes on.

    Example: cnn-jax train lenet5_mnist --data-dir path/to/mnist
    """

    name: Name
    """As ``cnn-jax experiments`` lists it."""
    dataset: Dataset = None
    """Another dataset; the network takes its channels and classes."""
    data_dir: DataDir = None
    """Where the dataset lies: a directory, or an archive."""
    epochs: Epochs = None
    """Another length; the learning-rate schedule is stretched in proportion."""
    batch_size: Count = None
    """Examples a step."""
    seed: Count = None
    """Of initial weights, order, augmentation and dropout."""
    out: Directory = None
    """Directory of the run; runs/NAME/DATASET-seedS by default."""
    experiments: Directory = None
    """A directory of your own; it goes before ./experiments and the built-in ones."""
    progress: Progress = "auto"
    """auto is live on a terminal, plain lines elsewhere."""
    json: bool = False
    """Write the result as JSON."""

    def __call__(self) -> int:
        """Train, and write where the run is."""
        from cnn_jax.cli.output import print_json, print_line, print_note
        from cnn_jax.codec import digest
        from cnn_jax.experiment.declaration import (
            Where,
            identity_fields,
            on_dataset,
            with_epochs,
        )
        from cnn_jax.experiment.program import Workbench
        from cnn_jax.experiment.run import run
        from cnn_jax.study.declared import load_experiment
        from cnn_jax.training.parallel import keep_freed_memory

        declared = load_experiment(self.name, self.experiments)
        bench = Workbench(Where(data_dir=self.data_dir, progress=self.progress))
        if self.dataset is not None and self.dataset != declared.dataset:
            dataset = bench.dataset(self.dataset)
            declared = on_dataset(
                declared,
                self.dataset,
                channels=dataset.channels,
                num_classes=len(dataset.classes),
            )
        experiment = declared
        if self.epochs is not None:
            experiment = with_epochs(experiment, self.epochs)
            if experiment.epochs != declared.epochs and self.progress != "none":
                print_note(
                    f"--epochs {experiment.epochs:g} instead of {declared.epochs:g}: the "
                    f"learning-rate schedule is stretched in proportion"
                )
        if self.batch_size is not None:
            experiment = dataclasses.replace(experiment, batch_size=self.batch_size)
        changed = digest(identity_fields(experiment))
        suffix = "" if changed == digest(identity_fields(declared)) else f"-{changed[:8]}"
        if self.seed is not None:
            experiment = dataclasses.replace(experiment, seed=self.seed)
        out = self.out or Path("runs") / self.name / (
            f"{experiment.dataset}-seed{experiment.seed}{suffix}"
        )
        keep_freed_memory()
        result = run(experiment, out, workbench=bench, title=self.name)
        if self.json:
            print_json(result | {"directory": str(out)})
            return 0
        if result["status"] == "diverged":
            print_line(
                f"diverged: the loss stopped being finite at {result['diverged_at_step']}"
            )
        else:
            print_line(
                f"{bench.dataset(experiment.dataset).label}: test error "
                f"{result['test_error']:.2%} ({result['test_wrong']} of "
                f"{result['test_examples']} wrong), validation error "
                f"{result['validation_error']:.2%}, {result['steps']} steps, "
                f"{result['wall_seconds']:.1f} s, "
                f"resumed_at_step {result['resumed_at_step']}"
            )
        print_line(f"run: {out}")
        return 0
