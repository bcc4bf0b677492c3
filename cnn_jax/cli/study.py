"""``cnn-jax study``."""

from dataclasses import dataclass

from cnn_jax.cli.options import (
    Count,
    DataDir,
    Dataset,
    Directory,
    Epochs,
    Name,
    Names,
    Parallel,
    Progress,
    Seconds,
    Stream,
    start_devices,
)


@dataclass(frozen=True)
class Study:
    """Run a study: all its arms with several seeds, then the report.

    Given again, an interrupted study goes on; a finished one only shows its report.

    Example: cnn-jax study alexnet_layer_removal --dataset mnist --data-dir path/to/mnist
    """

    name: Name
    """As ``cnn-jax experiments`` lists it, or the path of a file that declares STUDY."""
    dataset: Dataset = None
    """The study's setting: the same question on other data."""
    data_dir: DataDir = None
    """Where the dataset lies: a directory, or an archive."""
    seeds: Count = None
    """Runs an arm."""
    epochs: Epochs = None
    """Another length; the learning-rate schedule is stretched in proportion."""
    arms: Names = None
    """Names with commas between, or "all"; the baseline always runs."""
    devices: Count = None
    """Share each batch among so many devices; the numbers stay the same. 1 by default."""
    parallel: Parallel = "jit"
    """One program over all devices, or one a device (pmap)."""
    stop_after: Count = None
    """Save and stop after so many steps, over all runs."""
    time_limit: Seconds = None
    """Save and stop after so long: 3h, 90m, 1:30:00."""
    ensembles: bool = False
    """Also report the ensemble of each arm's seeds, and test it against the baseline's."""
    stream: Stream = "auto"
    """Decode images while training; auto does where all of them are too many to keep."""
    workers: Count = None
    """Processes that decode streamed images; threads of this one by default."""
    cache: Directory = None
    """Keep streamed images there, decoded, for later epochs and runs."""
    out: Directory = None
    """Directory of the study; runs/NAME/SETTING by default."""
    experiments: Directory = None
    """A directory of your own; it goes before ./experiments and the built-in ones."""
    progress: Progress = "auto"
    """auto is live on a terminal, plain lines elsewhere."""
    json: bool = False
    """Write results.json to standard output instead of the table."""

    def __call__(self) -> int:
        """Run, and write the table and the report's path."""
        from cnn_jax.cli.output import print_json, print_line, print_renderable
        from cnn_jax.experiment.declaration import Where
        from cnn_jax.study.declared import load_study
        from cnn_jax.study.ensembles_section import ensembles_table
        from cnn_jax.study.runner import run_study
        from cnn_jax.study.table import terminal_table
        from cnn_jax.training.interruption import parse_duration

        limit = None if self.time_limit is None else parse_duration(self.time_limit)
        study, file = load_study(self.name, self.experiments)
        arms = None
        if self.arms is not None:
            arms = tuple(arm.strip() for arm in self.arms.split(",") if arm.strip())
        start_devices(distributed=False, precision=None)
        outcome = run_study(
            study,
            self.out,
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
            ),
            setting=self.dataset,
            seeds=self.seeds,
            arms=arms,
            epochs=self.epochs,
            study_file=file,
            ensembles=self.ensembles,
        )
        if self.json:
            print_json(outcome.results)
            return 0
        print_renderable(terminal_table(outcome.results))
        if "ensembles" in outcome.results:
            print_renderable(ensembles_table(outcome.results))
        if not outcome.trained:
            print_line("every run was finished already; nothing was trained")
        print_line(f"report: {outcome.report.resolve()}")
        return 0
