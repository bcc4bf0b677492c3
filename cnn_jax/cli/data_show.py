"""``cnn-jax data show``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

from cnn_jax.cli.options import DataDir, Directory, Name, Progress
from cnn_jax.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from cnn_jax.cli.dataset_facts import Opened
    from cnn_jax.data.augmentation import Augmentation
    from cnn_jax.types import ImageShape

Declared = Annotated[str | None, arg(metavar="EXPERIMENT", help_behavior_hint="")]
Picture = Annotated[Path | None, arg(metavar="FILE.png", help_behavior_hint="")]

PICTURES = 8  # in a row of the sheet
DRAWS = 3  # rows of changed pictures
FITTED = 256  # images on which an augmentation's facts are measured
KEY = 0  # of the random changes
MANY = 20  # classes of which not all are listed
SMALL = 64  # pixels up to which images are shifted instead of cut
KEPT, CUT = 256, 224  # pixels of the larger ones: as they are kept, and cut out


@dataclass(frozen=True)
class Show:
    """Show splits, shapes, classes and fingerprint; draw images before and after changes.

    Example: cnn-jax data show cifar10 --data-dir path/to/cifar10 --augment resnet20_cifar10
    """

    name: Name
    """Of the dataset."""
    data_dir: DataDir = None
    """Where the dataset lies: a directory, or an archive."""
    augment: Declared = None
    """Whose changes of the images to draw; shifts, flips and the like by default."""
    out: Picture = None
    """The contact sheet; NAME-sheet.png here by default."""
    experiments: Directory = None
    """A directory of your own; it goes before ./experiments and the built-in ones."""
    progress: Progress = "auto"
    """auto is live on a terminal, plain lines elsewhere."""
    json: bool = False
    """Write JSON for programs."""

    def __call__(self) -> int:
        """Look at the dataset, draw the sheet, and say what was found."""
        from cnn_jax.cli.dataset_facts import facts_of, open_all
        from cnn_jax.cli.output import print_json
        from cnn_jax.cli.work_display import WorkDisplay

        sheet = self._place()
        experiment = self._experiment()
        with WorkDisplay(self.progress) as display:
            display(0, None, f"opening {self.name}")
            opened = open_all(self.name, self.data_dir)
            facts = facts_of(opened)
            display(0, None, f"drawing {sheet}")
            if experiment is None:
                shape, changes = _default_changes(opened)
            else:
                shape, changes = experiment.image_shape, experiment.augmentation
            drawn = _draw(opened, shape, changes, self.augment or "by default")
        try:
            sheet.write_bytes(drawn)
        except OSError as error:
            raise UserError(f"{sheet} can't be written: {error.strerror}") from None
        told = facts | {
            "augmentation": [repr(change) for change in changes],
            "sheet": str(sheet),
        }
        if self.json:
            print_json(told)
        else:
            _print(told)
        return 0

    def _place(self) -> Path:
        """Return where the sheet goes; refused before anything is read."""
        name = self.name.replace(":", "-").replace("/", "-")
        sheet = self.out or Path(f"{name}-sheet.png")
        if sheet.suffix.lower() != ".png":
            raise UserError(f"--out {sheet}: the sheet is a PNG file, so a name in .png")
        if not sheet.parent.is_dir():
            raise UserError(f"--out {sheet}: there is no directory {sheet.parent}")
        return sheet

    def _experiment(self) -> Any:
        """Return the experiment whose changes are drawn, or None."""
        from cnn_jax.study.declared import load_experiment

        if self.augment is None:
            return None
        return load_experiment(self.augment, self.experiments)


def _default_changes(
    opened: "Opened",
) -> tuple["ImageShape", tuple["Augmentation", ...]]:
    """Return the shape of the images on the sheet, and what changes them."""
    from cnn_jax.data.augmentation import HorizontalFlip, ShiftedCrop
    from cnn_jax.data.photometric import PhotometricDistortion
    from cnn_jax.data.resized_crop import RandomResizedCrop

    channels = opened.dataset.channels
    if opened.size is None or min(opened.size) > SMALL:
        crop = RandomResizedCrop(CUT, CUT)
        return (KEPT, KEPT, channels), (crop, HorizontalFlip(), PhotometricDistortion())
    shape = (*opened.size, channels)
    shift = ShiftedCrop(max(min(opened.size) // 8, 1))
    return shape, (shift,) if channels == 1 else (shift, HorizontalFlip())


def _draw(
    opened: "Opened",
    shape: "ImageShape",
    changes: Sequence["Augmentation"],
    whose: str,
) -> bytes:
    """Return the sheet: some training images, and below them what changes make of them."""
    import jax
    import numpy as np

    from cnn_jax.data.augmentation import augment_batch, fit_augmentations
    from cnn_jax.data.contact_sheet import Row, contact_sheet
    from cnn_jax.data.preprocessing import to_unit_range

    train = opened.pictures("train", shape)
    chosen = _one_of_each(train.labels)
    images = np.stack([train.decode(int(position)) for position in chosen])
    rows = [Row("as stored", list(images))]
    if changes:
        spread = np.linspace(0, len(train.labels) - 1, FITTED).astype(int)
        sample = np.stack([train.decode(int(i)) for i in np.unique(spread)])
        facts = fit_augmentations(changes, sample)
        change = jax.jit(
            lambda key, pixels: augment_batch(changes, facts, key, to_unit_range(pixels))
        )
        for draw in range(DRAWS):
            changed = np.asarray(change(jax.random.key(KEY + draw), images))
            pixels = np.rint(changed.clip(0.0, 1.0) * 255).astype(np.uint8)
            rows.append(Row(f"changed, {draw + 1}", list(pixels)))
    dataset = opened.dataset
    title = f"{dataset.label}, train, changed {whose}" if changes else dataset.label
    columns = [dataset.classes[label] for label in train.labels[chosen]]
    return contact_sheet(title, columns, rows)


def _one_of_each(labels: "np.ndarray") -> "np.ndarray":
    """Return positions of images of different classes; of few classes, several of each."""
    import numpy as np

    present = np.unique(labels)
    spread = np.linspace(0, len(present) - 1, min(PICTURES, len(present))).astype(int)
    each = -(-PICTURES // len(spread))
    found = [np.flatnonzero(labels == label)[:each] for label in present[spread]]
    in_turn = [places[i] for i in range(each) for places in found if i < len(places)]
    return np.array(in_turn[:PICTURES])


def _print(told: dict[str, Any]) -> None:
    from cnn_jax.cli.output import print_line, print_table

    splits, classes = told["splits"], told["classes"]
    print_line(f"{told['label']}: {len(classes)} classes, {told['channels']} channels")
    print_table(
        ("split", "examples", "height x width", "per class"),
        [
            (name, split["examples"], _sizes(split), _span(split["per_class"]))
            for name, split in splits.items()
        ],
    )
    if len(classes) <= MANY:
        rows = [
            (name, *(split["per_class"][label] for split in splits.values()))
            for label, name in enumerate(classes)
        ]
        print_table(("class", *splits), rows)
    else:
        print_line(f"classes: {', '.join(classes[:MANY])}, ... (all of them: --json)")
    print_line(f"fingerprint: {told['fingerprint']}")
    print_line(f"made of: {told['fingerprint_rule']}")
    print_line(f"written: {told['sheet']}")


def _sizes(split: dict[str, Any]) -> str:
    smallest, largest = (" x ".join(map(str, split[s])) for s in ("smallest", "largest"))
    if smallest == largest:
        return smallest
    return f"{smallest} to {largest} (of {split['looked_at']})"


def _span(counts: Sequence[int]) -> str:
    least, most = min(counts), max(counts)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"
