"""``cnn-jax invariance``."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

from tyro.conf import Positional, arg

from cnn_jax.cli.options import Count, DataDir, Dataset, Names
from cnn_jax.errors import UserError

if TYPE_CHECKING:
    from cnn_jax.analysis.invariance import Change, InvarianceCurve
    from cnn_jax.cli.sources import Source
    from cnn_jax.data.dataset import Dataset as OpenedDataset

Sources = Annotated[
    Positional[tuple[str, ...]],
    arg(metavar="RUN_OR_WEIGHTS ...", help_behavior_hint=""),
]
Model = Annotated[str | None, arg(metavar="SOURCE/ARCHITECTURE", help_behavior_hint="")]
Amount = Annotated[float | None, arg(metavar="AMOUNT", help_behavior_hint="")]
Word = Annotated[str, arg(metavar="NAME")]
Picture = Annotated[Path | None, arg(metavar="FILE.png", help_behavior_hint="")]


@dataclass(frozen=True)
class Invariance:
    """Error of networks as the images are moved, turned or scaled; a table and a figure.

    Give one of --shift, --rotate and --scale. Shifts are in four directions, and the error
    is their mean. What comes from outside an image is black.

    Example: cnn-jax invariance runs/mlp/s0 runs/cnn/s0 --shift 8 --data-dir path/to/mnist
    """

    sources: Sources
    """Directories of runs, or files of weights (with --model)."""
    shift: Count = None
    """Up to so many pixels, every whole number."""
    rotate: Amount = None
    """Up to so many degrees, counter-clockwise."""
    scale: Amount = None
    """Up to this factor; below 1 it shrinks."""
    steps: int = 8
    """Steps from unchanged to --rotate or --scale."""
    layers: Names = None
    """Layers whose change is measured too, as a share of their length."""
    dataset: Dataset = None
    """What to measure on; a run's own by default."""
    data_dir: DataDir = None
    """Where the dataset lies: a directory, or an archive."""
    split: Word = "test"
    """test, validation or train."""
    examples: Count = None
    """Only the first so many."""
    model: Model = None
    """What files of weights hold, e.g. torchvision/vgg16."""
    out: Picture = None
    """The figure; invariance-shift.png (or -rotate, -scale) here by default."""
    json: bool = False
    """Write JSON for programs."""

    def __call__(self) -> int:
        """Measure every network, write the figure, and show the errors."""
        from cnn_jax.analysis.invariance_figure import invariance_figure
        from cnn_jax.cli.output import print_json, print_line
        from cnn_jax.cli.sources import load_source

        if not self.sources:
            raise UserError("invariance needs the directory of a run, or a file of weights")
        asked = self._asked()
        figure = self._place(asked.kind)
        sources = [load_source(given, self.model) for given in self.sources]
        twice = {s.label for s in sources if [t.label for t in sources].count(s.label) > 1}
        if twice:
            raise UserError(f"given twice: {', '.join(sorted(twice))}")
        opened: dict[str, OpenedDataset] = {}
        found = {s.label: self._measure(s, asked, opened) for s in sources}
        try:
            figure.write_bytes(invariance_figure(found, asked.axis))
        except OSError as error:
            raise UserError(f"{figure} can't be written: {error.strerror}") from None
        if self.json:
            networks = [{"model": label, **one._asdict()} for label, one in found.items()]
            print_json(
                {
                    "change": asked.kind,
                    "split": self.split,
                    "networks": networks,
                    "figure": str(figure),
                }
            )
            return 0
        _show(found, asked.axis)
        print_line(f"written: {figure}")
        return 0

    def _asked(self) -> "_Asked":
        from cnn_jax.analysis.invariance import Rotation, Scaling, Shift

        given = {"shift": self.shift, "rotate": self.rotate, "scale": self.scale}
        chosen = [kind for kind, amount in given.items() if amount is not None]
        if len(chosen) != 1:
            raise UserError("give one of --shift PIXELS, --rotate DEGREES, --scale FACTOR")
        if self.steps < 1:
            raise UserError(f"--steps {self.steps}: at least 1 is needed")
        if self.examples is not None and self.examples < 1:
            raise UserError(f"--examples {self.examples}: at least 1 is needed")
        if self.shift is not None:
            if self.shift < 0:
                raise UserError(f"--shift {self.shift}: 0 or more pixels")
            amounts = tuple(float(i) for i in range(self.shift + 1))
            return _Asked("shift", Shift(), amounts, "shift (pixels)")
        if self.rotate is not None:
            amounts = tuple(self.rotate * i / self.steps for i in range(self.steps + 1))
            return _Asked("rotate", Rotation(), amounts, "rotation (degrees)")
        assert self.scale is not None
        if not self.scale > 0:
            raise UserError(f"--scale {self.scale}: a factor above 0")
        per_step = self.scale ** (1 / self.steps)
        amounts = tuple(per_step**i for i in range(self.steps + 1))
        return _Asked("scale", Scaling(), amounts, "scale (factor)")

    def _place(self, kind: str) -> Path:
        """Return where the figure goes; refused before anything is computed."""
        figure = self.out or Path(f"invariance-{kind}.png")
        if figure.suffix.lower() != ".png":
            raise UserError(f"--out {figure}: the figure is a PNG file, so a name in .png")
        if not figure.parent.is_dir():
            raise UserError(f"--out {figure}: there is no directory {figure.parent}")
        return figure

    def _measure(
        self, source: "Source", asked: "_Asked", opened: "dict[str, OpenedDataset]"
    ) -> "InvarianceCurve":
        import numpy as np

        from cnn_jax.analysis.invariance import invariance
        from cnn_jax.cli.sources import as_trained_on
        from cnn_jax.data.datasets import open_dataset
        from cnn_jax.evaluation.evaluate import check_fit, open_pictures

        experiment, model = source.experiment, source.network.model
        name = self.dataset or (None if experiment is None else experiment.dataset)
        if name is None:
            raise UserError(f"{source.label}: say what to measure on with --dataset")
        if name not in opened:
            opened[name] = open_dataset(name, self.data_dir)
        dataset = opened[name]
        if experiment is not None and name == experiment.dataset:
            dataset = as_trained_on(dataset, experiment)
        size = source.image_size or model.input_shape[:2]
        pictures = open_pictures(dataset, self.split, model.input_shape, size)
        check_fit(dataset, model, pictures, self.split)
        labels = pictures.labels[: self.examples]
        images = np.stack([pictures.decode(i) for i in range(len(labels))])
        layers = tuple(self.layers.split(",")) if self.layers else ()
        return invariance(
            source.network, images, labels, asked.change, asked.amounts, layers=layers
        )


class _Asked(NamedTuple):
    """What was asked for: the change, by how much, and its name on the axis."""

    kind: str
    change: "Change"
    amounts: tuple[float, ...]
    axis: str


def _show(found: "dict[str, InvarianceCurve]", axis: str) -> None:
    from cnn_jax.cli.output import print_line, print_table

    first = next(iter(found.values()))
    print_line(f"test error in %, {first.examples:,} images, against {axis}")
    columns = ("", *(f"{amount:g}" for amount in first.amounts))
    rows = [
        (label, *(f"{100 * error:.2f}" for error in one.errors))
        for label, one in found.items()
    ]
    print_table(columns, rows)
    changed = [
        (f"{label}, {layer}", *(f"{share:.2f}" for share in shares))
        for label, one in found.items()
        for layer, shares in one.feature_distances.items()
    ]
    if changed:
        print_line("change of the features, as a share of their length")
        print_table(columns, changed)
