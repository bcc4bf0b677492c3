"""What a command takes for a network: the directory of a run, or a file of weights."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from cnn_jax.errors import UserError

if TYPE_CHECKING:
    from cnn_jax.data.dataset import Dataset
    from cnn_jax.evaluation.network import Network
    from cnn_jax.experiment.declaration import Experiment

Checkpoint = Literal["last", "best"]


class Source(NamedTuple):
    """A network, and where it came from.

    Attributes:
        label: its path, relative to the working directory where it lies inside.
        network: ready to evaluate.
        experiment: that trained it; None for a file of weights.
        home: directory for what is made of it.
        weights: ``SOURCE/ARCHITECTURE`` of a file, also of one that we made of it;
            ``"cnn_jax"`` of a run that we exported; None for a run.
        classes: their names; None where there are none.
        image_size: height and width at which images were kept in training; None where
            that is not known.
    """

    label: str
    network: "Network"
    experiment: "Experiment | None"
    home: Path
    weights: str | None = None
    classes: tuple[str, ...] | None = None
    image_size: tuple[int, int] | None = None


def load_source(
    path: Path | str, model: str | None = None, checkpoint: Checkpoint = "last"
) -> Source:
    """Load the network of a run's directory, or of a file of weights.

    Args:
        path: of the directory, or of the file.
        model: ``SOURCE/ARCHITECTURE`` of the file, e.g. ``"torchvision/vgg16"``; not
            needed for one that ``cnn-jax export`` wrote, which says itself what it is.
        checkpoint: of a run: the last, or the one with the best validation error.

    Raises:
        UserError: nothing there, a file without ``model``, a run with one, or whatever
            ``load_run`` and ``load_weights`` refuse.
    """
    from cnn_jax.evaluation.network import Network

    place = Path(path)
    label = _label(place)
    if place.is_dir():
        if model is not None:
            raise UserError(f"--model {model} is for a file of weights; {place} is a run")
        from cnn_jax.experiment.load import load_run

        run = load_run(place, checkpoint)
        network = Network(run.model, run.variables, run.preprocessing)
        if checkpoint == "best":
            label += " (best checkpoint)"
        return Source(
            label,
            network,
            run.experiment,
            place,
            classes=_classes(place, run.model.num_classes),
            image_size=run.experiment.image_shape[:2],
        )
    if checkpoint != "last":
        raise UserError(f"--checkpoint is for a run; {place} is none")
    if not place.exists():
        raise UserError(f"{place} does not exist; expected a run's directory, or weights")
    from cnn_jax.weights.load import OWN, load_weights
    from cnn_jax.weights.network_file import UNKNOWN, is_network, read_about

    own = is_network(place)
    if model is None and not own:
        raise UserError(
            f"{place} is a file of weights: say what it holds with "
            f"--model SOURCE/ARCHITECTURE, e.g. torchvision/vgg16"
        )
    network = Network(*load_weights(model or OWN, place))
    about = read_about(place) if own else UNKNOWN
    return Source(
        f"{model} {label}" if model else label,
        network,
        None,
        Path("runs") / place.stem,
        model or about.origin or OWN,
        classes=about.classes or None,
        image_size=about.image_size,
    )


def _classes(run: Path, count: int) -> tuple[str, ...] | None:
    """Return the names of a run's classes, from its manifest."""
    from cnn_jax.training.run_directory import read_json

    manifest = read_json(run / "manifest.json") or {}
    names = tuple(manifest.get("dataset", {}).get("classes", ()))
    return names if len(names) == count else None


def as_trained_on(dataset: "Dataset", experiment: "Experiment") -> "Dataset":
    """Return the dataset with the training split that a run saw, which may be a subset."""
    count, pictures = experiment.train_examples, dataset.pictures
    if count is None:
        return dataset
    from cnn_jax.data.dataset import Pictures
    from cnn_jax.data.subsets import balanced, subset

    def fewer(split: str, channels: int, size: tuple[int, int] | None) -> Pictures:
        assert pictures is not None
        whole = pictures(split, channels, size)
        if split != "train":
            return whole
        chosen = balanced(whole.labels, count)
        return Pictures(
            lambda position: whole.decode(int(chosen[position])),
            whole.labels[chosen],
            tuple(whole.names[position] for position in chosen),
        )

    return dataclasses.replace(
        dataset,
        read=lambda shape: subset(dataset.read(shape), count),
        pictures=pictures and fewer,
    )


def _label(place: Path) -> str:
    whole, here = place.resolve(), Path.cwd().resolve()
    return str(whole.relative_to(here) if whole.is_relative_to(here) else whole)
