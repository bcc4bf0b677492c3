"""``cnn-jax evaluate``."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from tyro.conf import Positional, arg

from cnn_jax.cli.options import Count, DataDir, Dataset, Directory, Progress
from cnn_jax.cli.sources import Checkpoint
from cnn_jax.errors import UserError

if TYPE_CHECKING:
    from cnn_jax.cli.sources import Source
    from cnn_jax.data.dataset import Dataset as OpenedDataset
    from cnn_jax.evaluation.evaluate import Evaluation
    from cnn_jax.evaluation.protocol import Protocol

Sources = Annotated[
    Positional[tuple[str, ...]],
    arg(metavar="RUN_OR_WEIGHTS ...", help_behavior_hint=""),
]
Model = Annotated[str | None, arg(metavar="SOURCE/ARCHITECTURE", help_behavior_hint="")]
Word = Annotated[str, arg(metavar="NAME")]


@dataclass(frozen=True)
class Evaluate:
    """Evaluate runs or weights: errors with intervals, calibration, confusion, mistakes.

    Example: cnn-jax evaluate runs/lenet5_mnist/mnist-seed0 --data-dir path/to/mnist
    """

    sources: Sources
    """Directories of runs, or files of weights (with --model)."""
    dataset: Dataset = None
    """What to evaluate on; a run's own by default."""
    data_dir: DataDir = None
    """Where the dataset lies: a directory, or an archive."""
    split: Word = "test"
    """test, validation or train."""
    protocol: Word = "one-crop"
    """one-crop, ten-crop, fifty-crop, crops-144, multi-scale or dense."""
    ensemble: bool = False
    """Also evaluate the mean of the networks' probabilities."""
    model: Model = None
    """What a file of weights holds, e.g. torchvision/vgg16; an exported run says itself."""
    checkpoint: Checkpoint = "last"
    """Of a run: the last one, or the one with the smallest validation error."""
    batch_size: Count = None
    """Inputs of the network at once; changes memory and speed, no number. 64 by default."""
    devices: Count = None
    """How many devices to use."""
    out: Directory = None
    """Directory for the results; RUN/evaluation/DATASET-SPLIT-PROTOCOL by default."""
    progress: Progress = "auto"
    """auto is live on a terminal, plain lines elsewhere."""
    json: bool = False
    """Write evaluation.json to standard output instead of the table."""

    def __call__(self) -> int:
        """Evaluate, write the files, and show the numbers."""
        from cnn_jax.cli.output import print_json

        if not self.sources:
            raise UserError("evaluate needs the directory of a run, or a file of weights")
        if self.ensemble and len(self.sources) < 2:
            raise UserError("--ensemble needs two networks or more")
        done = self._evaluate_all()
        told = [one.told for one in done]
        if self.json:
            several = {"kind": "evaluations", "evaluations": told}
            print_json(told[-1] if self.ensemble or len(told) == 1 else several)
            return 0
        _show(done)
        return 0

    def _evaluate_all(self) -> list["_Done"]:
        """Evaluate each network and, where it was asked for, the ensemble; write it all."""
        from cnn_jax.cli.sources import load_source
        from cnn_jax.evaluation.evaluate import open_pictures

        opened: dict[str, OpenedDataset] = {}
        done: list[_Done] = []
        names = _unique([Path(source).resolve().name for source in self.sources])
        for given, name in zip(self.sources, names, strict=True):
            source = load_source(given, self.model, self.checkpoint)
            dataset = self._dataset(source, opened)
            below = None
            if self.out is not None:
                below = self.out / name if len(self.sources) > 1 else self.out
            done.append(self._evaluate_one(source, dataset, below))
        if self.ensemble:
            size = self._rules(source, dataset)[1]
            shape = source.network.model.input_shape
            pictures = open_pictures(dataset, self.split, shape, size)
            done.append(self._evaluate_ensemble(done, pictures.decode))
        return done

    def _dataset(
        self, source: "Source", opened: dict[str, "OpenedDataset"]
    ) -> "OpenedDataset":
        """Return the dataset for a network, as its run saw it."""
        from cnn_jax.cli.sources import as_trained_on
        from cnn_jax.data.datasets import open_dataset

        experiment = source.experiment
        name = self.dataset or (None if experiment is None else experiment.dataset)
        if name is None:
            raise UserError(f"{source.label}: say what to evaluate on with --dataset")
        if name not in opened:
            opened[name] = open_dataset(name, self.data_dir)
        if experiment is None or name != experiment.dataset:
            return opened[name]
        return as_trained_on(opened[name], experiment)

    def _rules(
        self, source: "Source", dataset: "OpenedDataset"
    ) -> tuple["Protocol | str", tuple[int, int] | None]:
        """Return the protocol, and the size at which images are read before it.

        ``one-crop`` is what the network's makers do: a run keeps its images at one size;
        weights of another library bring that library's resizing. Any other protocol
        begins with the images' own size where the dataset has it.
        """
        from cnn_jax.cli.images import choose_protocol
        from cnn_jax.weights.load import OWN

        kept = source.image_size or source.network.model.input_shape[:2]
        if self.protocol != "one-crop":
            return self.protocol, kept if dataset.pictures is None else None
        if source.weights in (None, OWN):
            return self.protocol, kept
        return choose_protocol(self.protocol, source, source.weights)[0], None

    def _evaluate_one(
        self,
        source: "Source",
        dataset: "OpenedDataset",
        out: Path | None,
    ) -> "_Done":
        from cnn_jax.evaluation.evaluate import BATCH_SIZE, evaluate
        from cnn_jax.evaluation.report import check_place, write_evaluation

        setting = f"{dataset.name}-{self.split}-{self.protocol}"
        if self.checkpoint != "last":
            setting += f"-{self.checkpoint}"
        if out is not None:
            check_place(
                out,
                {
                    "model": source.label,
                    "fingerprint": dataset.fingerprint,
                    "split": self.split,
                    "protocol": self.protocol,
                },
            )
        rules, size = self._rules(source, dataset)
        evaluation = evaluate(
            *source.network,
            dataset,
            rules,
            split=self.split,
            image_size=size,
            batch_size=BATCH_SIZE if self.batch_size is None else self.batch_size,
            devices=self.devices,
            label=source.label,
            progress=self.progress,
        )
        directory = out or source.home / "evaluation" / setting
        told = write_evaluation(directory, evaluation, {"directory": str(directory)})
        return _Done(evaluation, told, directory)

    def _evaluate_ensemble(self, members: list["_Done"], image_of: Any) -> "_Done":
        from cnn_jax.evaluation.ensemble import ensemble
        from cnn_jax.evaluation.evaluate import assess
        from cnn_jax.evaluation.report import check_place, write_evaluation

        together = ensemble([member.evaluation.predictions for member in members])
        labels = [member.told["model"] for member in members]
        directory = self.out or _ensemble_home(together.setting, labels)
        if self.out is not None:
            same = {"members": labels, "fingerprint": together.setting.fingerprint}
            check_place(directory, same | {"split": self.split, "protocol": self.protocol})
        evaluation = assess(together, image_of)
        extra = {"directory": str(directory), "members": labels}
        told = write_evaluation(directory, evaluation, extra)
        return _Done(evaluation, told, directory)


class _Done(NamedTuple):
    """An evaluation, what its JSON file says, and where that is."""

    evaluation: "Evaluation"
    told: dict[str, Any]
    directory: Path


def _ensemble_home(setting: Any, labels: list[str]) -> Path:
    """Return the default place of an ensemble; another one for other members."""
    from cnn_jax.codec import digest

    name = f"{setting.dataset}-{setting.split}-{setting.protocol}-{digest(labels)[:8]}"
    return Path("runs") / "ensembles" / name


def _unique(names: list[str]) -> list[str]:
    """Number the names that occur again: a, b, a-2."""
    return [
        name if names[:i].count(name) == 0 else f"{name}-{names[:i].count(name) + 1}"
        for i, name in enumerate(names)
    ]


def _show(done: list[_Done]) -> None:
    from cnn_jax.cli.output import print_line, print_renderable, print_table
    from cnn_jax.evaluation.wording import (
        EVALUATION_COLUMNS,
        EVALUATION_LEGEND,
        evaluation_cells,
        evaluation_reasons,
    )

    last = done[-1].evaluation
    setting = last.predictions.setting
    print_line(
        f"{setting.dataset_label}, {setting.split}, {setting.protocol}: "
        f"{last.top1.examples:,} images, {len(last.per_class)} classes"
    )
    print_table(EVALUATION_COLUMNS, [evaluation_cells(one.evaluation) for one in done])
    print_renderable(EVALUATION_LEGEND)
    for line in evaluation_reasons(last):
        print_line(line)
    confused = ", ".join(
        f"{pair['true']} taken for {pair['guess']} ({pair['images']})"
        for pair in done[-1].told["most_confused"][:5]
    )
    if confused:
        print_line(f"most frequent mistakes: {confused}")
    for one in done:
        print_line(f"written: {one.directory}")
