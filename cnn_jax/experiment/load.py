"""``load_run``: the trained network of a run directory."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from cnn_jax.codec import decode
from cnn_jax.data.preprocessing import Preprocessing
from cnn_jax.errors import UserError
from cnn_jax.experiment.declaration import Experiment
from cnn_jax.experiment.program import pure_steps
from cnn_jax.training.checkpoint import open_checkpoints
from cnn_jax.training.run_directory import read_json
from cnn_jax.training.state import init_state
from cnn_jax.types import Variables


class LoadedRun(NamedTuple):
    """A trained network: ``model.apply(variables, images, train=False)``.

    Attributes:
        model: the module.
        variables: its parameters and batch statistics after the last step.
        preprocessing: what ``data.preprocessing.apply_preprocessing`` does to pixels.
        experiment: what was run.
        classes: class names in the order of the scores.
    """

    model: Any
    variables: Variables
    preprocessing: Preprocessing
    experiment: Experiment
    classes: tuple[str, ...]


def load_run(directory: Path | str, *, modules: Iterable[str] = ()) -> LoadedRun:
    """Return the network that was trained in ``directory``.

    Args:
        directory: of one run (a study's holds one for each arm and seed).
        modules: names of imported modules besides ``cnn_jax`` whose classes and functions
            the experiment may use, e.g. your study file's.

    Raises:
        UserError: not a run directory, no readable checkpoint, or an experiment that
            names code from elsewhere.
    """
    directory = Path(directory)
    manifest = read_json(directory / "manifest.json")
    if manifest is None or manifest.get("kind") != "run":
        raise UserError(f"{directory} is not a run directory: it has no manifest of a run")
    experiment: Experiment = decode(manifest["experiment"], modules)
    optimizer, *_ = pure_steps(experiment, experiment.batch_size)
    like = jax.eval_shape(
        lambda seed: init_state(experiment.model, optimizer, seed), np.uint32(0)
    )
    with open_checkpoints(directory / "checkpoints") as checkpoints:
        state, problems = checkpoints.restore(like)
    if state is None:
        raise UserError(
            f"{directory} has no readable checkpoint" + "".join(f"; {p}" for p in problems)
        )
    with np.load(directory / "preprocessing.npz") as arrays:
        preprocessing = Preprocessing(**{name: arrays[name] for name in arrays.files})
    variables: Variables = {"params": state.params, "batch_stats": state.batch_stats}
    if not state.batch_stats:
        del variables["batch_stats"]
    classes = tuple(manifest["dataset"]["classes"])
    return LoadedRun(experiment.model, variables, preprocessing, experiment, classes)
