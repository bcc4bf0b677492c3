"""``load_run``: the trained network of a run directory."""

from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from cnn_jax.codec import decode
from cnn_jax.data.preprocessing import Preprocessing
from cnn_jax.errors import UserError
from cnn_jax.experiment.declaration import Experiment
from cnn_jax.experiment.finished import finished_run
from cnn_jax.experiment.recipe import pure_steps
from cnn_jax.experiment.source_files import load_user_file
from cnn_jax.training.checkpoint import open_checkpoints
from cnn_jax.training.parallel import place
from cnn_jax.training.state import evaluated_variables
from cnn_jax.types import Variables


class LoadedRun(NamedTuple):
    """A trained network: ``model.apply(variables, images, train=False)``.

    Attributes:
        model: the module.
        variables: its parameters and batch statistics after the last step; their average
            where the experiment has one.
        preprocessing: what ``data.preprocessing.apply_preprocessing`` does to pixels.
        experiment: what was run.
    """

    model: Any
    variables: Variables
    preprocessing: Preprocessing
    experiment: Experiment


def load_run(
    directory: Path | str, checkpoint: Literal["last", "best"] = "last"
) -> LoadedRun:
    """Return the network that was trained in ``directory``.

    A run of a user's study file loads the copy of it that lies in the study's directory.

    Args:
        directory: of one run (a study's holds one for each arm and seed).
        checkpoint: ``last`` for the network whose errors the run reports; ``best`` for the
            one with the smallest validation error at the end of an epoch.

    Raises:
        UserError: not a run directory, a run that is not finished or diverged, no readable
            checkpoint, or an experiment that names code from elsewhere.
    """
    directory = Path(directory)
    manifest, result = finished_run(directory)
    modules = []
    if manifest.get("study_file"):
        modules.append(load_user_file(directory.parent / manifest["study_file"]).__name__)
    experiment: Experiment = decode(manifest["experiment"], modules)
    init = pure_steps(experiment, experiment.batch_size).init
    like = jax.eval_shape(init, np.uint32(0), {})
    with open_checkpoints(directory / "checkpoints", read_only=True) as checkpoints:
        state, problems = checkpoints.restore(
            like, "best" if checkpoint == "best" else None
        )
    wanted = checkpoint == "best" or (state and int(state.step) == result["steps"])
    if state is None or not wanted:
        raise UserError(
            f"{directory} has no readable checkpoint of its last step"
            + "".join(f"; {p}" for p in problems)
        )
    with np.load(directory / "preprocessing.npz") as arrays:
        preprocessing = Preprocessing(**{name: arrays[name] for name in arrays.files})
    variables = place(evaluated_variables(state))
    if not state.batch_stats:
        del variables["batch_stats"]
    return LoadedRun(experiment.model, variables, preprocessing, experiment)
