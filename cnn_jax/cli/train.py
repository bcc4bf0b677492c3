"""``cnn-jax train``."""

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import arg

from cnn_jax.cli.options import (
    Count,
    DataDir,
    Dataset,
    Directory,
    Epochs,
    Name,
    Names,
    Parallel,
    Precision,
    Progress,
    Seconds,
    Stream,
    start_devices,
)

Start = Annotated[str | None, arg(metavar="RUN_OR_FILE", help_behavior_hint="")]
Rows = Annotated[str | None, arg(metavar="ROWS", help_behavior_hint="")]
Weights = Annotated[str | None, arg(metavar="SOURCE/ARCHITECTURE", help_behavior_hint="")]


@dataclass(frozen=True)
class Train:
    """Train one declared experiment; given again, an interrupted run goes on.

    Exit codes: 0 finished, 2 a mistake, 75 stopped before the end and saved (a signal, a
    limit): the same command goes on.

    Example: cnn-jax train lenet5_mnist --data-dir path/to/mnist --time-limit 3h
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
    precision: Precision | None = None
    """bf16 computes in bfloat16, f64 in double precision."""
    accumulation: Count = None
    """Pieces that a batch is taken in, to save memory; the step stays the same."""
    batch_norm: Rows = None
    """Examples that are normalised together: global, per_replica or ghost:N."""
    start_from: Start = None
    """Begin with the weights of a finished run's directory, or of a file."""
    weights: Weights = None
    """What that file holds, e.g. torchvision/vgg16; not for a run or a file of our own."""
    fresh: Names = None
    """Layers to draw anew all the same, e.g. a classifier for other classes."""
    freeze: Names = None
    """Layers that stay as they are, their running statistics too: "conv*"."""
    devices: Count = None
    """Share each batch among so many devices; the numbers stay the same. 1 by default, all
    where several processes work together."""
    parallel: Parallel = "jit"
    """One program over all devices, or one a device (pmap)."""
    distributed: bool = False
    """Work together with the other processes of this job (srun, mpirun, JAX_*)."""
    stop_after: Count = None
    """Save and stop after so many steps."""
    time_limit: Seconds = None
    """Save and stop after so long: 3h, 90m, 1:30:00."""
    stream: Stream = "auto"
    """Decode images while training; auto does where all of them are too many to keep."""
    workers: Count = None
    """Processes that decode streamed images; threads of this one by default."""
    cache: Directory = None
    """Keep streamed images there, decoded, for later epochs and runs."""
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
        from cnn_jax.cli.output import print_json, print_line
        from cnn_jax.experiment.declaration import Where
        from cnn_jax.experiment.program import Workbench
        from cnn_jax.experiment.run import run
        from cnn_jax.study.declared import load_experiment
        from cnn_jax.training.hosts import all_or_none, is_first
        from cnn_jax.training.interruption import parse_duration

        limit = None if self.time_limit is None else parse_duration(self.time_limit)
        declared = load_experiment(self.name, self.experiments)
        start_devices(distributed=self.distributed, precision=self.precision)
        bench = Workbench(
            Where(
                data_dir=self.data_dir,
                devices=self.devices,
                parallel=self.parallel,
                progress=self.progress,
                stop_after=self.stop_after,
                time_limit=limit,
                stream=self.stream,
                workers=self.workers or 0,
                cache=self.cache,
            )
        )
        experiment, suffix = all_or_none(lambda: self._experiment(declared, bench))
        out = self.out or Path("runs") / self.name / (
            # tfds:mnist:3.0.1 is no name for a directory.
            re.sub(r"[:/]", "-", experiment.dataset) + f"-seed{experiment.seed}{suffix}"
        )
        result = run(experiment, out, workbench=bench, title=self.name)
        if not is_first():
            return 0
        if self.json:
            print_json(result | {"directory": str(out)})
            return 0
        print_line(_told(result, bench.dataset(experiment.dataset).label))
        print_line(f"run: {out}")
        return 0

    def _experiment(self, declared: Any, bench: Any) -> tuple[Any, str]:
        """Return the experiment that the flags make of the declared one, and its suffix."""
        from cnn_jax.cli.output import print_note
        from cnn_jax.codec import digest
        from cnn_jax.experiment.declaration import (
            identity_fields,
            on_dataset,
            with_epochs,
        )
        from cnn_jax.experiment.start import digest_of_start

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
        changes = {
            "batch_size": self.batch_size,
            "precision": self.precision,
            "accumulation": self.accumulation,
            "batch_norm": _normalised_together(self.batch_norm),
            "start_from": self._start(declared.start_from),
            "freeze": _names(self.freeze),
        }
        given = {name: value for name, value in changes.items() if value is not None}
        experiment = dataclasses.replace(experiment, **given)
        fields: Any = identity_fields(experiment)
        suffix = "" if fields == identity_fields(declared) else f"-{digest(fields)[:8]}"
        if self.start_from is not None:
            # Where the weights lie is no part of the fields, so what they are counts.
            suffix = f"-{digest([fields, digest_of_start(experiment.start_from)])[:8]}"
        if self.seed is not None:
            experiment = dataclasses.replace(experiment, seed=self.seed)
        return experiment, suffix

    def _start(self, declared: Any) -> Any:
        """Return what the flags make of the declared ``start_from``."""
        from cnn_jax.errors import UserError
        from cnn_jax.experiment.start import StartFrom

        start = declared
        if self.start_from is not None:
            start = StartFrom(path=self.start_from, weights=self.weights)
        elif self.weights is not None:
            raise UserError("--weights says what --start-from FILE holds; give both")
        fresh = _names(self.fresh)
        if fresh is None:
            return start
        if start is None:
            raise UserError("--fresh names what --start-from is not to give; give both")
        return dataclasses.replace(start, fresh=fresh)


def _normalised_together(text: str | None) -> Any:
    from cnn_jax.errors import UserError
    from cnn_jax.experiment.declaration import GhostBatch

    if text is None or text in ("global", "per_replica"):
        return text
    kind, _, rows = text.partition(":")
    if kind != "ghost" or not rows.isdigit():
        raise UserError(f"--batch-norm {text}: not global, per_replica or ghost:N")
    return GhostBatch(int(rows))


def _names(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _told(result: Any, label: str) -> str:
    if result["status"] == "diverged":
        return f"diverged: the loss stopped being finite at {result['diverged_at_step']}"
    return (
        f"{label}: test error {result['test_error']:.2%} ({result['test_wrong']} of "
        f"{result['test_examples']} wrong), validation error "
        f"{result['validation_error']:.2%}, {result['steps']} steps, "
        f"{result['wall_seconds']:.1f} s, resumed_at_step {result['resumed_at_step']}"
    )
